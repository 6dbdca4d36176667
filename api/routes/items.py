"""Features of a collection: a page, one, and a search by a JSON body."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import orjson
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from api.conditions import PAGING, SHOWING, Asking, asking, asking_body, conditions_from, page_names
from api.context import collection_of, context_of, registry_of, settings_of
from api.counting import count_matched
from api.documents import GEOJSON, HTML, JSON, Link, answer, query_text, url_of
from api.etags import etag_of, versioned_etag
from api.exports import OFFER_OF, bom_of
from api.html import item_page, items_page
from api.negotiate import Representation, choose
from api.pages import binding_of, count_mode, page_query, shown_query
from api.params import query_parameters
from cim.crs import Crs
from cim.db.pool import Database
from cim.errors import InvalidBody, InvalidParameter, NotFound
from cim.interval import now_text
from cim.model import Collection, Scope
from cim.query.counts import number_matched
from cim.query.cursor import encode_cursor
from cim.query.feature_query import FeatureQuery, Reference
from cim.query.item import AS_IT_IS
from cim.query.output import GEOJSON as GEOJSON_OUTPUT
from cim.query.output import OUTPUTS, Frame, Output
from cim.query.predicate import validity
from cim.query.reference import COUNTED, MAX_REFERRED
from cim.query.shown import as_shown

router = APIRouter()

ITEM_OFFERS = (Representation("json", GEOJSON, also=(JSON,)), Representation("html", HTML))
TEXTS = tuple(OFFER_OF[output.f] for output in OUTPUTS if output.has_pages)
OFFERS = (TEXTS[0], ITEM_OFFERS[1], *TEXTS[1:])
_OTHERS = {
    kind.f: [(other.f, other.media_type, f"This page as {other.f}") for other in OFFERS if other is not kind]
    for kind in OFFERS
}
_OUTPUT_OF = {output.f: output for output in OUTPUTS if output.has_pages}
_VARY = "Accept, Cookie, Authorization, X-API-Key"


def crs_header(crs: Crs) -> dict[str, str]:
    """`Content-Crs` (OGC 18-058r1, /req/crs/ogc-crs-header)."""
    return {"Content-Crs": f"<{crs.uri}>"}


@dataclass(frozen=True, slots=True)
class Page:
    """What the database gave for a query: features in the text of `output`, and where the next page begins."""

    collection: Collection
    query: FeatureQuery
    scope: Scope
    features: bytes
    returned: int
    next_cursor: str | None
    has_more: bool
    counted: Mapping[str, int] | None = None
    output: Output = GEOJSON_OUTPUT

    def written(self, links: list[Link], key: bytes, *, has_bom: bool = False) -> tuple[tuple[bytes, ...], str]:
        """Head, features and tail, and an ETag under `key` that the time of the answer leaves alone.

        The FeatureCollection's members are those of OGC 17-069r4, 7.15.8.
        """
        assert self.output.text is not None
        facts: dict[str, Any] = {"numberReturned": self.returned}
        facts.update({name: max(number, self.returned) for name, number in self._numbers().items()})
        facts["links"] = orjson.Fragment(orjson.dumps([link.to_dict() for link in links]))
        members = {"timeStamp": now_text(), **facts}
        head = self.output.text.head(Frame(*as_shown(self.collection, self.scope, self.query), members, has_bom))
        etag = etag_of(orjson.dumps([self.output.f, has_bom, facts]), self.features, key=key)
        return (head, self.features, self.output.text.tail), etag

    def _numbers(self) -> Mapping[str, int]:
        """How many match, where that is known without asking, or was asked for."""
        if self.counted is not None:
            return self.counted
        matched = number_matched(self.collection, self.query, self.scope)
        if matched is None and self.query.is_first_page and not self.has_more:
            matched = self.returned
        return {} if matched is None else {"numberMatched": matched}


async def read_page(request: Request, asked: Asking, output: Output = GEOJSON_OUTPUT) -> Page:
    """Run the query of a page."""
    collection, scope, query, count = asked.collection, asked.scope, page_query(asked), count_mode(asked)
    context = context_of(request)
    await check_geometries(request, query)
    row = await context.together.page(collection, query, scope, output)
    cursor = None
    if row["has_more"] and query.nearest is None:
        cursor = encode_cursor(context.registry.cursor_key, binding_of(collection, query), row["last"])
    counted = None
    if count is not None and number_matched(collection, query, scope) is None:
        whole = replace(query, after=None, after_values=())
        counted = await count_matched(context.database, collection, whole, scope, count)
    return Page(collection, query, scope, row["body"] or b"", row["returned"], cursor, row["has_more"], counted, output)


async def check_geometries(request: Request, query: FeatureQuery) -> None:
    """Raise InvalidBody or InvalidParameter for a geometry that crosses itself: what it contains is undefined."""
    database = context_of(request).database
    if query.geometry is not None:
        row = await database.fetch_one(validity(query.geometry))
        if not row["is_valid"]:
            raise InvalidBody(f"geometry is not valid: {row['reason']}"[:300], parameter="geometry")
    if query.filter_areas is not None:
        row = await database.fetch_one(validity(query.filter_areas))
        if not row["is_valid"]:
            raise InvalidParameter("filter", "geometry", f"it is not valid: {row['reason']}"[:300])
    for reference in query.references:
        await _check_reference(database, reference)


async def _check_reference(database: Database, reference: Reference) -> None:
    """Raise InvalidParameter for a reference to nothing, to too much, or to a place that crosses itself."""
    name, shown = reference.parameter, reference.shown
    if reference.areas is not None:
        row = await database.fetch_one(validity(reference.areas))
        if not row["is_valid"]:
            raise InvalidParameter(name, shown, f"its geometry is not valid: {row['reason']}"[:300])
    if reference.counted is None:
        return
    row = await database.fetch_one(reference.counted)
    if row["found"] > MAX_REFERRED:
        number = f"{row['found']:,}" if row["found"] <= COUNTED else f"more than {COUNTED:,}"
        raise InvalidParameter(name, shown, f"these are {number} features, at most {MAX_REFERRED:,} can be referred to")
    if reference.is_one and row["found"] == 0:
        raise InvalidParameter(name, shown, "there is no such feature")
    if reference.is_one and row["placed"] == 0:
        raise InvalidParameter(name, shown, "this feature has no geometry")


async def items(request: Request) -> Response:
    """Features that match the query (OGC 17-069r4, /req/core/fc-op)."""
    collection, scope = await collection_of(request)
    values = query_parameters(request, page_names(collection, scope))
    kind = choose(request, OFFERS, f=values.get("f"))
    output = _OUTPUT_OF.get(kind.f, GEOJSON_OUTPUT)
    has_bom = bom_of(values, output)
    page = await read_page(request, asking(request, collection, scope, values), output)
    links = page_links(settings_of(request).public_url, values, page, kind)
    body, etag = page.written(links, registry_of(request).cursor_key, has_bom=has_bom)
    if kind.f == "html":
        return items_page(request, collection, orjson.loads(b"".join(body)), links)
    headers = crs_header(page.query.crs)
    return answer(request, body, output.media_type, headers=headers, links=links, vary=_VARY, etag=etag)


def page_links(base: str, values: dict[str, str], page: Page, kind: Representation) -> list[Link]:
    """self, alternate, next, collection (/req/core/fc-links)."""
    home = url_of(base, "collections", page.collection.id)
    given = {name: query_text(name, value) for name, value in values.items()}
    kept = "".join([f"{text}&" for name, text in given.items() if name not in ("f", "bom")])
    asked = "&".join(given.values())
    links = [Link(f"{home}/items?{asked}" if asked else f"{home}/items", "self", kind.media_type, "This page")]
    links += [
        Link(f"{home}/items?{kept}f={f}", "alternate", media_type, title) for f, media_type, title in _OTHERS[kind.f]
    ]
    if page.next_cursor is not None:
        following = "&".join({**given, "cursor": query_text("cursor", page.next_cursor)}.values())
        links.append(Link(f"{home}/items?{following}", "next", kind.media_type, "The next page"))
    links.append(Link(home, "collection", JSON, page.collection.title_en))
    return links


async def search(request: Request) -> Response:
    """The same as `items`, its conditions in a JSON body, among them a polygon."""
    collection, scope = await collection_of(request)
    values = query_parameters(request, ("bom",))
    kind = choose(request, TEXTS, f=values.get("f"))
    output = _OUTPUT_OF[kind.f]
    has_bom = bom_of(values, output)
    asked = await asking_body(request, collection, scope, PAGING)
    page = await read_page(request, asked, output)
    address = url_of(settings_of(request).public_url, "collections", collection.id, "search", **values)
    links = [
        Link(address, "self", kind.media_type, "This page", "POST"),
        Link(url_of(settings_of(request).public_url, "collections", collection.id), "collection", JSON),
    ]
    if page.next_cursor is not None:
        links.append(
            Link(
                address, "next", kind.media_type, "The next page", "POST", {**asked.values, "cursor": page.next_cursor}
            )
        )
    body, etag = page.written(links, registry_of(request).cursor_key, has_bom=has_bom)
    return answer(request, body, output.media_type, headers=crs_header(page.query.crs), links=links, etag=etag)


async def item(request: Request) -> Response:
    """One feature (OGC 17-069r4, /req/core/f-op)."""
    collection, scope = await collection_of(request)
    values = query_parameters(request, (*SHOWING, "areas", "known-at"))
    kind = choose(request, ITEM_OFFERS, f=values.get("f"))
    asked = asking(request, collection, scope, values)
    query = AS_IT_IS
    if values:
        query = replace(shown_query(asked), known_at=conditions_from(asked).known_at)
    feature_id = request.path_params["feature_id"]
    row = None
    if "\x00" not in feature_id:
        row = await context_of(request).together.item(collection, feature_id, scope, query)
    if row is None:
        raise NotFound(f"feature in {collection.id}", feature_id)
    links = item_links(settings_of(request).public_url, collection, feature_id, kind)
    if kind.f == "html":
        return item_page(request, collection, orjson.loads(row["body"]), links)
    body = with_links(row["body"], links)
    return answer(
        request,
        body,
        GEOJSON,
        headers=crs_header(query.crs),
        links=links,
        vary=_VARY,
        etag=versioned_etag(row["version"], body),
    )


def with_links(feature: bytes, links: list[Link]) -> bytes:
    """A feature as the database writes it, with links."""
    return b"".join((feature[:-1], b',"links":', orjson.dumps([link.to_dict() for link in links]), b"}"))


def item_links(base: str, collection: Collection, feature_id: str, kind: Representation) -> list[Link]:
    """self, alternate, collection (/req/core/f-links)."""
    home = url_of(base, "collections", collection.id)
    address = url_of(f"{home}/items", feature_id)
    other = next(offer for offer in ITEM_OFFERS if offer.f != kind.f)
    return [
        Link(address, "self", kind.media_type, "This feature"),
        Link(f"{address}?f={other.f}", "alternate", other.media_type, f"This feature as {other.f}"),
        Link(home, "collection", JSON, collection.title_en),
    ]


router.add_route("/collections/{collection_id}/items", items, methods=["GET"])
router.add_route("/collections/{collection_id}/items/{feature_id}", item, methods=["GET"])
router.add_route("/collections/{collection_id}/search", search, methods=["POST"])
