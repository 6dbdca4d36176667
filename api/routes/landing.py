"""The landing page: the portal for people, links for programs."""

from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from api.context import settings_of
from api.documents import GEOJSON, HTML, JSON, OPENAPI_30, OPENAPI_31, Link, json_answer
from api.negotiate import Representation, choose
from api.portal.frame import preferred_language
from api.portal.map import render_portal
from api.routes.collections import TILES_REL

router = APIRouter()

OFFERS = (Representation("json", JSON), Representation("html", HTML))


CATALOGUE_REL = "http://www.opengis.net/def/rel/ogc/1.0/ogc-catalog"
FUNCTIONS_REL = "http://www.opengis.net/def/rel/ogc/1.0/functions"

SCHEMES_REL = "http://www.opengis.net/def/rel/ogc/1.0/tiling-schemes"


def landing_document(base: str, lang: str) -> dict[str, Any]:
    """Links to everything this node offers (OGC 17-069r4, /req/core/root-success)."""
    is_english = lang == "en"
    links = [
        Link(f"{base}/", "self", JSON, "This document"),
        Link(f"{base}/?f=html", "alternate", HTML, "The map" if is_english else "地图"),
        Link(f"{base}/api", "service-desc", OPENAPI_30, "OpenAPI 3.0"),
        Link(f"{base}/api?f=openapi31", "service-desc", OPENAPI_31, "OpenAPI 3.1"),
        Link(f"{base}/api?f=html", "service-doc", HTML, "API documentation" if is_english else "接口文档"),
        Link(f"{base}/conformance", "conformance", JSON, "Conformance classes"),
        Link(f"{base}/collections", "data", JSON, "Collections" if is_english else "数据集合"),
        Link(f"{base}/functions", FUNCTIONS_REL, JSON, "Functions of filters"),
        Link(
            f"{base}/tiles", TILES_REL, JSON, "Vector tiles of all collections" if is_english else "全部数据的矢量瓦片"
        ),
        Link(f"{base}/tileMatrixSets", SCHEMES_REL, JSON, "Tile matrix sets"),
        Link(f"{base}/collections/catalogue/items", CATALOGUE_REL, GEOJSON, "Services" if is_english else "数据服务"),
        Link(f"{base}/catalogue", "related", JSON, "Catalogue" if is_english else "数据服务目录"),
        Link(f"{base}/stac", "related", JSON, "STAC"),
    ]
    return {
        "title": "OpenCIM" if is_english else "OpenCIM 城市信息模型平台",
        "description": "A city's buildings, areas, sensors, cameras and imagery, and services about them."
        if is_english
        else "城市建筑、区划、物联感知、视频监控与影像数据及其服务。",
        "links": [link.to_dict() for link in links],
    }


async def landing(request: Request) -> Response:
    """The landing page (OGC 17-069r4, /req/core/root-op)."""
    if choose(request, OFFERS).f == "html":
        return await render_portal(request)
    document = landing_document(settings_of(request).public_url, preferred_language(request))
    return json_answer(request, document, vary="Accept, Accept-Language")


router.add_route("/", landing, methods=["GET"])
