"""Vector tiles of a collection, and how to ask for them."""

from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from api.conditions import QUERY_NAMES, asking, conditions_from, filter_names
from api.context import collection_of, context_of, settings_of
from api.documents import JSON, MVT, Link, answer, json_answer, url_of
from api.negotiate import Representation, choose
from api.params import query_parameters
from api.routes.items import check_geometries
from cim.errors import NotFound
from cim.model import Collection
from cim.query.masking import deepest_zoom
from cim.query.tiles import (
    MAX_ZOOM,
    TILE_MATRIX_SET,
    feature_cap,
    parse_tile,
    sample_percent,
    tile_properties,
    tile_sql,
)

router = APIRouter()

TILE_OFFERS = (Representation("mvt", MVT, also=("application/x-protobuf", "application/octet-stream")),)
TILESET_OFFERS = (Representation("json", JSON), Representation("tilejson", "application/vnd.mapbox.tile+json"))

_TMS_URI = "http://www.opengis.net/def/tilematrixset/OGC/1.0/WebMercatorQuad"
_PATH = "/collections/{collection_id}/tiles/{tile_matrix_set}"


def _check_matrix_set(request: Request) -> None:
    wanted = request.path_params["tile_matrix_set"]
    if wanted != TILE_MATRIX_SET:
        raise NotFound("tile matrix set", wanted, [TILE_MATRIX_SET])


async def tile(request: Request) -> Response:
    """One tile: 204 when nothing lies in it; `X-CIM-Truncated` tells the cap when features were left out."""
    _check_matrix_set(request)
    collection, scope = await collection_of(request)
    parts = request.path_params
    coord = parse_tile(parts["zoom"], parts["row"], parts["col"], deepest_zoom(collection, scope, MAX_ZOOM))
    values = query_parameters(request, (*QUERY_NAMES, *filter_names(collection, scope)))
    choose(request, TILE_OFFERS, f=values.get("f"))
    query = conditions_from(asking(request, collection, scope, values))
    await check_geometries(request, query)
    row = await context_of(request).database.fetch_one(tile_sql(collection, query, scope, coord))
    headers = {}
    if row["taken"] > feature_cap(coord) or sample_percent(collection, coord) is not None:
        headers["X-CIM-Truncated"] = str(feature_cap(coord))
    if not row["body"]:
        return Response(status_code=204, headers={**headers, "Cache-Control": "no-cache"})
    return answer(request, row["body"], MVT, headers=headers, vary="Authorization, X-API-Key")


def tilejson_document(base: str, collection: Collection, fields: dict[str, str], deepest: int) -> dict[str, Any]:
    """TileJSON 3.0 of a collection."""
    home = url_of(base, "collections", collection.id, "tiles", TILE_MATRIX_SET)
    document: dict[str, Any] = {
        "tilejson": "3.0.0",
        "name": collection.title_en,
        "tiles": [f"{home}/{{z}}/{{y}}/{{x}}"],
        "minzoom": 0,
        "maxzoom": deepest,
        "vector_layers": [{"id": collection.id, "fields": fields}],
    }
    if collection.extent.bounds_crs84 is not None:
        document["bounds"] = list(collection.extent.bounds_crs84)
    if collection.attribution:
        document["attribution"] = collection.attribution
    return document


async def tileset(request: Request) -> Response:
    """Metadata of the tiles: as OGC 20-057 has it, or as TileJSON."""
    _check_matrix_set(request)
    collection, scope = await collection_of(request)
    values = query_parameters(request, ())
    kind = choose(request, TILESET_OFFERS, f=values.get("f"))
    base = settings_of(request).public_url
    drawn = tile_properties(collection, scope)
    if kind.f == "tilejson":
        fields = {"id": "String", **{p.name: p.kind.value for p in drawn}}
        return json_answer(
            request, tilejson_document(base, collection, fields, deepest_zoom(collection, scope, MAX_ZOOM)), JSON
        )
    home = url_of(base, "collections", collection.id, "tiles", TILE_MATRIX_SET)
    links = [
        Link(home, "self", JSON, "This document"),
        Link(f"{home}?f=tilejson", "describedby", "application/vnd.mapbox.tile+json", "TileJSON"),
        Link(f"{home}/{{tileMatrix}}/{{tileRow}}/{{tileCol}}", "item", MVT, "Vector tiles", templated=True),
    ]
    document = {
        "title": collection.title_en,
        "dataType": "vector",
        "crs": "http://www.opengis.net/def/crs/EPSG/0/3857",
        "tileMatrixSetURI": _TMS_URI,
        "layers": [{"id": collection.id, "dataType": "vector"}],
        "links": [link.to_dict() for link in links],
    }
    return json_answer(request, document)


router.add_route(_PATH + "/{zoom}/{row}/{col}", tile, methods=["GET"])
router.add_route(_PATH, tileset, methods=["GET"])
