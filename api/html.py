"""Plain pages for people: a page of features, one feature, any other document. They work without JavaScript."""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from api.documents import HTML, Link, answer
from api.portal.frame import CONTENT_SECURITY_POLICY, preferred_language, root_of, templates
from cim.model import Collection, Kind, Property
from cim.query.features import ATTRIBUTES, FIXED

MAX_ROWS = 1000
"""Rows of a table in a page; the rest is behind `next`."""

TEXTS = {
    "en": {
        "map": "Map",
        "collections": "Collections",
        "documentation": "API",
        "next": "Next page",
        "found": "Features here: {count}",
        "of": "of {count}",
        "none": "Nothing matches.",
        "links": "Links",
        "geometry": "Geometry",
        "yes": "yes",
        "no": "no",
        "language": "中文",
    },
    "zh-CN": {
        "map": "地图",
        "collections": "数据集合",
        "documentation": "接口",
        "next": "下一页",
        "found": "本页要素：{count}",
        "of": "共 {count}",
        "none": "没有符合条件的要素。",
        "links": "链接",
        "geometry": "几何",
        "yes": "是",
        "no": "否",
        "language": "English",
    },
}

_HEADERS = {"Content-Security-Policy": CONTENT_SECURITY_POLICY}
_VARY = "Accept, Accept-Language, Cookie, Authorization, X-API-Key"


def title_of(thing: Collection | Property, lang: str) -> str:
    """The title in the reader's language."""
    return thing.title_en if lang == "en" else thing.title_zh


def shown_value(declared: Property | None, value: Any, lang: str) -> str:
    """A value as a person reads it: the title of a code, a unit behind a number, nothing for null."""
    if value is None:
        return ""
    if declared is not None and declared.codes and isinstance(value, str) and value in declared.codes:
        return declared.codes[value][1 if lang == "en" else 0]
    if isinstance(value, bool):
        return TEXTS[lang]["yes" if value else "no"]
    if isinstance(value, dict | list):
        return orjson.dumps(value).decode()
    unit = f" {declared.unit}" if declared is not None and declared.unit and declared.kind is Kind.NUMBER else ""
    return f"{value}{unit}"


def _render(request: Request, template: str, links: Sequence[Link], **values: Any) -> Response:
    lang = preferred_language(request)
    other = "zh-CN" if lang == "en" else "en"
    text = (
        templates()
        .get_template(template)
        .render(lang=lang, other=other, root=root_of(request), t=TEXTS[lang], links=links, **values)
    )
    headers = {**_HEADERS, "Content-Language": lang}
    return answer(request, text.encode(), HTML, headers=headers, links=links, vary=_VARY)


def items_page(
    request: Request, collection: Collection, document: Mapping[str, Any], links: Sequence[Link]
) -> Response:
    """A page of features as a table."""
    lang = preferred_language(request)
    declared = [p for p in (*collection.properties, *FIXED) if p.kind is not Kind.JSON]
    rows = [
        (
            feature["id"],
            [shown_value(p, feature["properties"].get(p.name), lang) for p in declared],
        )
        for feature in document["features"][:MAX_ROWS]
    ]
    return _render(
        request,
        "items.html",
        links,
        title=title_of(collection, lang),
        columns=[title_of(p, lang) for p in declared],
        rows=rows,
        returned=document["numberReturned"],
        matched=document.get("numberMatched"),
        collection_id=collection.id,
        next=next((link.href for link in links if link.rel == "next"), None),
    )


def item_page(request: Request, collection: Collection, feature: Mapping[str, Any], links: Sequence[Link]) -> Response:
    """One feature, a property a row."""
    lang = preferred_language(request)
    known = {p.name: p for p in (*collection.properties, *FIXED, ATTRIBUTES)}
    rows = [
        (title_of(known[name], lang) if name in known else name, name, shown_value(known.get(name), value, lang))
        for name, value in feature["properties"].items()
    ]
    geometry = orjson.dumps(feature["geometry"]).decode()
    return _render(
        request,
        "item.html",
        links,
        title=f"{title_of(collection, lang)} · {feature['id']}",
        rows=rows,
        geometry=geometry[:20_000],
    )


def document_page(request: Request, title: str, description: str, links: Sequence[Link], rows: Any = ()) -> Response:
    """Any other document: a title, what it says, (name, value) rows, links."""
    return _render(request, "document.html", links, title=title, description=description, rows=rows)
