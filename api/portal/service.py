"""The page of one service: what it is, what it gives, how it has been, how it is called, how one gets access."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import orjson
from starlette.requests import Request
from starlette.responses import Response

from api.context import settings_of
from api.portal.ask import Refused, ask
from api.portal.calling import Call, Offer, call_of, offers_of
from api.portal.frame import page, preferred_language, who_of
from api.portal.shelf import a_shelf_page, area_names, named
from api.portal.ways import ways_of

SAMPLE_FEATURES = 3
SAMPLE_COLUMNS = 8
SAMPLE_CHARACTERS = 3_000


async def told(request: Request, path: str, *parts: str, **query: Any) -> Any:
    """The document at a path of the API, None where the caller does not get it."""
    try:
        return (await ask(request, "GET", path, *parts, query=query)).document
    except Refused:
        return None


@dataclass(frozen=True, slots=True)
class Access:
    """How the one who looks gets to the service: `way` is open, own, shut, log-in, no-organisation, granted, applied or apply."""

    way: str
    grants: tuple[Mapping[str, Any], ...] = ()
    application: Mapping[str, Any] | None = None


async def access_of(request: Request, service_id: str, properties: Mapping[str, Any]) -> Access:
    """What the service's share class, and the grants and applications of one's organisation, come to."""
    scope = (await who_of(request)).scope
    if scope.organisation_id is not None and scope.organisation_id == properties["organisation"]:
        return Access("own")
    if properties["shareClass"] != "conditional":
        return Access("open" if properties["shareClass"] == "unconditional" else "shut")
    if scope.organisation_id is None:
        return Access("no-organisation" if scope.caller else "log-in")
    own = {"service": service_id, "organisation": scope.organisation_id}
    grants, applications = await asyncio.gather(
        told(request, "/grants", **own, state="in_force", limit=5),
        told(request, "/applications", **own, limit=1),
    )
    found = tuple((grants or {}).get("grants", ()))
    last = next(iter((applications or {}).get("applications", ())), None)
    is_open = last is not None and last["state"] == "submitted"
    return Access("granted" if found else "applied" if is_open else "apply", found, last)


@a_shelf_page
async def service(request: Request) -> Response:
    """One service (its record) as a page."""
    service_id, lang = request.path_params["service_id"], preferred_language(request)
    home = "/collections/catalogue" if request.url.path.startswith("/collections/") else "/catalogue"
    record = (await ask(request, "GET", f"{home}/items/{{}}", service_id, query={"lang": lang})).document
    properties = named(record, lang)
    collection_id = properties["collectionId"]
    collection = await told(request, "/collections/{}", collection_id, lang=lang) if collection_id else None
    offers = offers_of(record, settings_of(request).public_url, collection)
    offer, calls = offers[0], [call_of(one) for one in offers]
    call = calls[0]
    health, usage, schema, sample, access, areas = await asyncio.gather(
        told(request, "/catalogue/items/{}/health", service_id),
        told(request, "/catalogue/items/{}/usage", service_id),
        told(request, "/collections/{}/schema", collection_id, lang=lang) if collection else _nothing(),
        sample_of(request, offer, call, (await who_of(request)).scope.organisation_id == properties["organisation"]),
        access_of(request, service_id, properties),
        area_names(request, [properties["areaCode"]]),
    )
    return await page(
        request,
        "shelf/service.html",
        "shelf",
        record=record,
        one=properties,
        offer=offer,
        call=call,
        ways=[(one, asked, ways_of(one, asked)) for one, asked in zip(offers, calls, strict=True)],
        working=record.get("working"),
        health=health,
        usage=usage,
        fields=fields_of(schema),
        collection=collection,
        sample=sample,
        access=access,
        area=areas.get(properties["areaCode"] or "", properties["areaCode"]),
        harvested=safe_url((properties.get("provenance") or {}).get("harvested_from")),
        links=[link for link in record["links"] if link["rel"] != "profile" and safe_url(link["href"])],
    )


async def _nothing() -> None:
    return None


def safe_url(text: Any) -> str | None:
    """An address that a page may link to: http and https only."""
    return text if isinstance(text, str) and urlsplit(text).scheme in ("http", "https") else None


def fields_of(schema: Any) -> list[Mapping[str, Any]]:
    """What a row has: name, title, type, unit, codes with their titles; the geometry too."""
    if schema is None:
        return []
    return [
        {
            "name": name,
            "title": one.get("title", ""),
            "type": one.get("format") or one.get("type", ""),
            "unit": one.get("x-ogc-unit", ""),
            "codes": [(code["const"], code.get("title", "")) for code in one.get("oneOf", ()) if "const" in code],
        }
        for name, one in schema["properties"].items()
    ]


async def sample_of(request: Request, offer: Offer, call: Call, is_owner: bool) -> Mapping[str, Any] | None:
    """The first of what a service of this node's own data answers, asked now where it is not metered.

    None where a grant decides what is seen, or where another server answers: these are called in the page.
    """
    if (
        not offer.is_own
        or (offer.needs_key and not is_owner)
        or "{" in offer.url
        or call.gives not in ("features", "json")
    ):
        return None
    registered = urlsplit(offer.url)
    query = {**dict(parse_qsl(registered.query)), **dict(call.parameters)}
    if "limit" in query:
        query["limit"] = str(SAMPLE_FEATURES)
    document = await told(request, registered.path.rstrip("/") + call.path, **query)
    if document is None:
        return None
    features = document.get("features") if isinstance(document, dict) else None
    text = orjson.dumps(features[0] if features else document, option=orjson.OPT_INDENT_2).decode()
    cut = text if len(text) <= SAMPLE_CHARACTERS else text[:SAMPLE_CHARACTERS] + "\n…"
    return {"text": cut, "columns": _columns(features or []), "features": features or []}


def _columns(features: list[Mapping[str, Any]]) -> list[str]:
    """The first properties that hold a plain value in one of the features."""
    names: dict[str, None] = {}
    for feature in features:
        for name, value in feature["properties"].items():
            if value is not None and not isinstance(value, dict | list):
                names[name] = None
    return list(names)[:SAMPLE_COLUMNS]
