"""The shelf (数据服务): its front, and the services that are found by words and facets.

What is asked for are the API's own parameters in the page's address; those that are empty, as forms send them, are left out.
"""

import asyncio
import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response

from api.portal.ask import Refused, ask
from api.portal.built import messages_of
from api.portal.forms import a_page
from api.portal.frame import page, preferred_language
from api.portal.listing import next_of

ITEMS = "catalogue/items"
"""Where services are found, from the root."""
PAGE_LENGTH = 20
NEWEST = 6
SHORT = 10
"""Values of a facet that are shown until all are asked for."""
MANY = 1_000
SORTS = ("-updated", "-published", "title", "id")

_OF_THE_PAGE = ("f", "lang", "said", "cursor", "limit", "sortby", "count", "facets", "profile")
"""Parameters that do not say which services."""
_WORDED = {"kind": "kind", "shareClass": "share", "updateCycle": "cycle", "state": "state", "health": "health"}
"""Facet of code words → prefix of their messages."""
_CODE = re.compile(r"\d{2,12}", re.ASCII)

a_shelf_page = a_page("shelf")
"""Around every handler of the shelf."""


def named(record: Mapping[str, Any], lang: str) -> Mapping[str, Any]:
    """The record's properties, with the name of its organisation (`owner`)."""
    properties: dict[str, Any] = dict(record["properties"])
    contacts = properties.get("contacts") or [{}]
    return {**properties, "id": record["id"], "owner": contacts[0].get("organization", "")}


async def area_names(request: Request, codes: Iterable[str | None]) -> Mapping[str, str]:
    """Code → name in the reader's language, of the areas that are known here; nothing where areas are hidden."""
    wanted = sorted({code for code in codes if code and _CODE.fullmatch(code)})[:MANY]
    if not wanted:
        return {}
    query = {
        "filter": f"code IN ({','.join(repr(code) for code in wanted)})",
        "properties": "code,name,name_en",
        "skipGeometry": "true",
        "limit": len(wanted),
    }
    try:
        found = (await ask(request, "GET", "/collections/areas/items", query=query)).document["features"]
    except Refused:
        return {}
    lang = preferred_language(request)
    told = [one["properties"] for one in found]
    return {
        one["code"]: (one.get("name_en") if lang == "en" else None) or one.get("name") or one["code"] for one in told
    }


async def organisation_names(request: Request) -> Mapping[str, str]:
    """Id → name in the reader's language."""
    found = (await ask(request, "GET", "/catalogue/organisations")).document["organisations"]
    first, second = ("name_en", "name_zh") if preferred_language(request) == "en" else ("name_zh", "name_en")
    return {one["id"]: one[first] or one[second] or one["id"] for one in found}


class Labels:
    """What values of facets are called in the reader's language."""

    def __init__(self, t: Mapping[str, str], organisations: Mapping[str, str], areas: Mapping[str, str]) -> None:
        self._t, self._names = t, {"organisation": organisations, "area": areas}

    def of(self, facet: str, value: str) -> str:
        """The name of a value, or the value as it is."""
        if facet in _WORDED:
            return self._t.get(f"{_WORDED[facet]}.{value}", value)
        return f"CIM {value}" if facet == "cimLevel" else self._names.get(facet, {}).get(value, value)


@a_shelf_page
async def front(request: Request) -> Response:
    """How much is on the shelf, by themes, and what is new."""
    lang = preferred_language(request)
    wish = {"facets": f"theme:{MANY},kind:{MANY},organisation:{MANY}", "sortby": "-published", "limit": NEWEST}
    document = (await ask(request, "GET", "/catalogue/items", query={**wish, "lang": lang})).document
    facets = {name: one["buckets"] for name, one in document["facets"].items()}
    records = [named(one, lang) for one in document["features"]]
    labels = Labels(messages_of(lang), {}, await area_names(request, (one["areaCode"] for one in records)))
    return await page(
        request,
        "shelf/front.html",
        "shelf",
        matched=document["numberMatched"],
        facets=facets,
        records=records,
        labels=labels,
    )


@a_shelf_page
async def search(request: Request) -> Response:
    """Services that match, with facets that narrow what is found."""
    lang, given = preferred_language(request), request.query_params
    chosen = {name: value for name, value in given.items() if value and name not in _OF_THE_PAGE}
    has_words = bool({"words", "q"} & chosen.keys())
    sort = given.get("sortby") or ("" if has_words else "-updated")
    query = {
        **chosen,
        "sortby": sort,
        "cursor": given.get("cursor"),
        "limit": given.get("limit") or PAGE_LENGTH,
        "facets": given.get("facets") or "all",
        "lang": lang,
    }
    values: dict[str, Any] = {"chosen": chosen, "sort": sort, "sorts": SORTS, "has_words": has_words}
    try:
        answer, organisations = await asyncio.gather(
            ask(request, "GET", "/catalogue/items", query=query), organisation_names(request)
        )
    except Refused as refused:
        drops = _chips(chosen, sort, Labels(messages_of(lang), {}, {}))
        values |= {"refused": refused, "chips": drops, "records": [], "facets": [], "matched": None, "labels": None}
        return await page(request, "shelf/search.html", "shelf", status=refused.status, themes=[], next="", **values)
    document = answer.document
    records = [named(one, lang) for one in document["features"]]
    buckets = document["facets"]
    codes = [one["areaCode"] for one in records] + [
        one["value"] for one in buckets.get("area", {"buckets": []})["buckets"]
    ]
    areas = await area_names(request, [*codes, chosen.get("area")])
    labels = Labels(messages_of(lang), organisations, areas)
    return await page(
        request,
        "shelf/search.html",
        "shelf",
        **values,
        refused=None,
        records=records,
        matched=document["numberMatched"],
        facets=[
            _facet(name, buckets, chosen, given.get("sortby", ""), labels, is_short="facets" not in given)
            for name in buckets
        ],
        chips=_chips(chosen, given.get("sortby", ""), labels),
        themes=[] if records else await _popular(request),
        labels=labels,
        next=next_of(request, document),
    )


def address(chosen: Mapping[str, str], sort: str = "", **more: str) -> str:
    """The query string of the page for these conditions."""
    pairs = {"f": "html", **chosen, **({"sortby": sort} if sort else {}), **more}
    return urlencode(pairs)


def _chips(chosen: Mapping[str, str], sort: str, labels: Labels) -> list[Mapping[str, str]]:
    """What is asked for, each with the address of the page without it."""
    return [
        {
            "name": name,
            "label": labels.of("shareClass" if name == "share-class" else name, value),
            "href": address({other: kept for other, kept in chosen.items() if other != name}, sort),
        }
        for name, value in chosen.items()
    ]


def _facet(
    name: str, known: Mapping[str, Any], chosen: Mapping[str, str], sort: str, labels: Labels, *, is_short: bool
) -> Mapping[str, Any]:
    """A facet: its values with how many services have each, and the address of the page with that value, or without it."""
    values = []
    buckets = known[name]["buckets"][: SHORT if is_short else None]
    for bucket in buckets:
        is_on = chosen.get(name) == bucket["value"]
        others = {other: kept for other, kept in chosen.items() if other != name}
        href = address(others if is_on else {**others, name: bucket["value"]}, sort)
        label = labels.of(name, bucket["value"])
        values.append({"label": label, "count": bucket["count"], "is_on": is_on, "href": href})
    wider = ",".join(f"{other}:{MANY if other == name else SHORT}" for other in known)
    has_more = known[name]["more"] or len(buckets) < len(known[name]["buckets"])
    return {"name": name, "values": values, "more": address(chosen, sort, facets=wider) if has_more else ""}


async def _popular(request: Request) -> list[Mapping[str, Any]]:
    """The themes that most services have: where to go on from nothing."""
    asked = await ask(request, "GET", "/catalogue/items", query={"facets": "theme:12", "limit": 1})
    buckets: list[Mapping[str, Any]] = asked.document["facets"]["theme"]["buckets"]
    return buckets
