"""Features created, replaced, updated and deleted (OGC 20-002, Features Part 4), one or many at a time."""

import asyncio
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import orjson
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from api.context import collection_of, database_of, settings_of
from api.documents import GEOJSON, JSON, url_of
from api.editing import (
    FEATURES,
    MERGE_PATCH,
    Answer,
    Write,
    check_precondition,
    content_crs,
    once,
    once_or_undone,
    read_body,
)
from api.etags import versioned_etag
from api.params import query_parameters
from api.routes.items import OFFERS, crs_header, item_links, with_links
from api.security import require_editor, require_place
from cim.crs import CRS84
from cim.db import edit
from cim.db.idempotency import Key
from cim.db.pool import Runs
from cim.edit.derived import completed, json_row, patched
from cim.edit.draft import Draft, check_key, draft_of, patch_of
from cim.errors import CimError, Conflict, InvalidBody, InvalidParameter, NotFound, PreconditionFailed
from cim.model import Collection, Kind, Scope
from cim.query.features import ATTRIBUTES
from cim.sql import Sql

router = APIRouter()

MAX_BATCH = 1000
"""Features of one FeatureCollection that is sent."""
ON_ERROR = ("abort", "reject")
_PREFIX = edit.SOURCE + "."


@dataclass(frozen=True, slots=True)
class Stored:
    """A feature as it is now. `values`: properties and `attributes` as Python has them; `area_m2`: of its geometry."""

    version: str
    identity: tuple[str, str, str]
    area_code: str | None
    geom: str | None
    area_m2: float | None
    values: Mapping[str, Any]
    fixed: Mapping[str, Any]


async def create(request: Request) -> Response:
    """Add a feature (/req/create-replace-delete/post-op), or those of a FeatureCollection."""
    collection, scope = await collection_of(request)
    require_editor(scope, collection)
    values = query_parameters(request, ("on-error",))
    on_error = values.get("on-error", "abort")
    if on_error not in ON_ERROR:
        raise InvalidParameter("on-error", on_error, f"must be {' or '.join(ON_ERROR)}")
    raw, body = await read_body(request, FEATURES)
    if body.get("type") == "FeatureCollection":
        many = partial(_prepare_many, request, collection, scope, body, on_error)
        return await once_or_undone(request, scope, raw, many)

    async def prepare() -> Write:
        draft = draft_of(collection, body, crs=content_crs(request))
        return await _prepare_new(request, collection, scope, draft, draft.key or str(uuid.uuid4()))

    return await once(request, scope, raw, prepare, partial(_again, request, collection))


async def replace(request: Request) -> Response:
    """Write a feature anew (/req/create-replace-delete/put-op), or create the one with that id."""
    collection, scope = await collection_of(request)
    require_editor(scope, collection)
    query_parameters(request, ())
    feature_id = request.path_params["feature_id"]
    raw, body = await read_body(request, FEATURES)

    async def prepare() -> Write:
        stored = await _stored(database_of(request), collection, scope, feature_id)
        check_precondition(request, stored.version if stored else None)
        shown = stored.fixed if stored else None
        draft = draft_of(collection, {**body, "id": None}, crs=content_crs(request), shown=shown)
        if body.get("id") not in (None, feature_id):
            raise InvalidParameter("id", body["id"], f"must be '{feature_id}', that of the address, or left out")
        if stored is not None:
            return await _prepare_version(request, collection, scope, stored, draft, draft.values)
        if not feature_id.startswith(_PREFIX):
            raise NotFound(f"feature in {collection.id} (the id of a new one begins with '{_PREFIX}')", feature_id)
        return await _prepare_new(request, collection, scope, draft, check_key(feature_id.removeprefix(_PREFIX)))

    return await once(request, scope, raw, prepare, partial(_again, request, collection))


async def update(request: Request) -> Response:
    """Change parts of a feature by a JSON merge patch (/req/update/update-patch-op)."""
    collection, scope = await collection_of(request)
    require_editor(scope, collection)
    query_parameters(request, ())
    raw, body = await read_body(request, (MERGE_PATCH,))

    async def prepare() -> Write:
        stored = await _existing(request, collection, scope)
        documents = {p.name for p in collection.properties if p.kind is Kind.JSON} | {ATTRIBUTES.name}
        kept = {name: stored.values[name] for name in documents}
        draft = patch_of(collection, body, stored=kept, shown=stored.fixed, crs=content_crs(request))
        values = patched(collection, stored.values, draft.values, is_moved=draft.has_geometry)
        return await _prepare_version(request, collection, scope, stored, draft, values)

    return await once(request, scope, raw, prepare, partial(_again, request, collection))


async def delete(request: Request) -> Response:
    """Take a feature out of its collection (/req/create-replace-delete/delete-op); its versions stay in history."""
    collection, scope = await collection_of(request)
    require_editor(scope, collection)
    query_parameters(request, ())

    async def prepare() -> Write:
        stored = await _existing(request, collection, scope)
        require_place(scope, stored.area_code)

        async def write(runs: Runs, key: Key | None) -> Answer:
            row = await runs.fetch_row(edit.delete_sql(collection, stored.identity[0], stored.version, scope, key))
            return Answer(204, after=_after(collection, _written(row)))

        return write

    return await once(request, scope, b"", prepare, partial(_again, request, collection))


async def _existing(request: Request, collection: Collection, scope: Scope) -> Stored:
    """The feature that the path names, its precondition checked. Raises NotFound, PreconditionFailed, PreconditionRequired."""
    feature_id = request.path_params["feature_id"]
    stored = await _stored(database_of(request), collection, scope, feature_id)
    if stored is None and "if-match" not in request.headers:
        raise NotFound(f"feature in {collection.id}", feature_id)
    check_precondition(request, stored.version if stored else None)
    assert stored is not None
    return stored


async def _stored(database: Runs, collection: Collection, scope: Scope, feature_id: str) -> Stored | None:
    if "\x00" in feature_id:
        return None
    row = await database.fetch_row(edit.stored_sql(collection, feature_id, scope))
    if row is None:
        return None
    values: dict[str, Any] = {}
    for declared in (*collection.properties, ATTRIBUTES):
        value = row[declared.name]
        values[declared.name] = orjson.loads(value) if declared.kind is Kind.JSON and value is not None else value
    fixed = {name: row[name] for name in ("area_code", "valid_from", "valid_to")}
    identity = (feature_id, row["source"], row["source_id"])
    values |= fixed
    return Stored(row["version"], identity, row["area_code"], row["geom"], row["stored_m2"], values, fixed)


async def _places(database: Runs, collection: Collection, drafts: Sequence[Draft]) -> list[Any]:
    """Of each draft's geometry: `geom`, `reason`, `area_m2`, `area_code`."""
    return list(await database.fetch_rows(edit.places_sql(collection, [draft.geometry for draft in drafts])))


def _check_place(scope: Scope, place: Any) -> None:
    if place["reason"] is not None:
        raise InvalidBody(f"geometry is not valid: {place['reason']}"[:300], parameter="geometry")
    require_place(scope, place["area_code"])


def _row(identity: tuple[str, str, str], values: Mapping[str, Any], attributes: Any, place: Mapping[str, Any]) -> Any:
    """What is stored, as `jsonb_populate_recordset` takes it."""
    names = ("id", "source", "source_id")
    return json_row(
        {
            **values,
            **dict(zip(names, identity, strict=True)),
            "attributes": attributes,
            "geom": place["geom"],
            "area_code": place["area_code"],
        }
    )


async def _prepare_new(request: Request, collection: Collection, scope: Scope, draft: Draft, key: str) -> Write:
    place = (await _places(database_of(request), collection, [draft]))[0]
    _check_place(scope, place)
    values = completed(collection, [draft.values], [place["area_m2"]])[0]
    feature_id = _PREFIX + key
    row = _row((feature_id, edit.SOURCE, key), values, draft.values.get(ATTRIBUTES.name), place)

    async def write(runs: Runs, key: Key | None) -> Answer:
        text = orjson.dumps([row]).decode()
        written = await runs.fetch_row(edit.insert_sql(collection, text, scope, is_one=True, key=key))
        if written is None:
            raise Conflict(f"there is a feature '{feature_id}' in {collection.id} already; nothing was changed")
        return _answer(request, collection, feature_id, written, 201)

    return write


async def _prepare_version(
    request: Request,
    collection: Collection,
    scope: Scope,
    stored: Stored,
    draft: Draft,
    values: Mapping[str, object],
) -> Write:
    """A new version of a stored feature, with these values."""
    place: Mapping[str, Any]
    if draft.has_geometry:
        place = (await _places(database_of(request), collection, [draft]))[0]
        _check_place(scope, place)
    else:
        place = {"geom": stored.geom, "area_code": stored.area_code, "area_m2": stored.area_m2}
    require_place(scope, stored.area_code)
    whole = completed(collection, [{**stored.fixed, **values}], [place["area_m2"]])[0]
    row = _row(stored.identity, whole, values.get(ATTRIBUTES.name), place)

    async def write(runs: Runs, key: Key | None) -> Answer:
        feature_id, text = stored.identity[0], orjson.dumps([row]).decode()
        written = await runs.fetch_row(edit.update_sql(collection, feature_id, stored.version, text, scope, key))
        return _answer(request, collection, feature_id, _written(written), 200)

    return write


def _written(row: Any) -> Any:
    """The row of a change. Raises PreconditionFailed when another change came in between."""
    if row is None:
        raise PreconditionFailed("the feature has changed meanwhile; nothing was changed, read it again")
    return row


def _after(collection: Collection, row: Any) -> tuple[Sql, ...]:
    """What brings the statistics back to what there is, where they may be too wide now."""
    return (edit.lock_stats_sql(collection.id), edit.narrow_sql(collection)) if row["is_too_wide"] else ()


def _answer(request: Request, collection: Collection, feature_id: str, row: Any, status: int) -> Answer:
    """The feature as a GET gives it now."""
    base = settings_of(request).public_url
    body = with_links(row["body"], item_links(base, collection, feature_id, OFFERS[0]))
    headers = {"Content-Type": GEOJSON, "ETag": versioned_etag(row["version"], body), **crs_header(CRS84)}
    if status == 201:
        headers["Location"] = url_of(base, "collections", collection.id, "items", feature_id)
    return Answer(status, body, headers, _after(collection, row))


def _again(request: Request, collection: Collection, kept: Mapping[str, Any]) -> Answer:
    """The answer to a request that was done before, of what its statement kept."""
    if kept["status"] == 204:
        return Answer(204)
    row = {"version": kept["version"], "body": kept["feature"].encode(), "is_too_wide": False}
    return _answer(request, collection, orjson.loads(kept["feature"])["id"], row, kept["status"])


async def _prepare_many(
    request: Request, collection: Collection, scope: Scope, body: Mapping[str, Any], on_error: str
) -> Write:
    """The features of a FeatureCollection: all or none, or (`reject`) each that is good, with a report."""
    features = body.get("features")
    if not isinstance(features, list) or not 0 < len(features) <= MAX_BATCH:
        raise InvalidBody(f"features: must be a list of 1 to {MAX_BATCH:,} features", parameter="features")
    rejected: dict[int, CimError] = {}

    def refuse(index: int, error: CimError) -> None:
        if on_error == "abort":
            raise _within(error, index)
        rejected[index] = error

    crs = content_crs(request)
    drafts: dict[int, Draft] = {}
    checked = await asyncio.to_thread(lambda: [_drafted(collection, feature, crs) for feature in features])
    for index, draft in enumerate(checked):
        if isinstance(draft, CimError):
            refuse(index, draft)
        else:
            drafts[index] = draft
    places = dict(zip(drafts, await _places(database_of(request), collection, list(drafts.values())), strict=True))
    keys = {index: draft.key or str(uuid.uuid4()) for index, draft in drafts.items()}
    first = {key: index for index, key in reversed(keys.items())}
    for index, key in keys.items():
        try:
            _check_place(scope, places[index])
            if first[key] != index:
                raise Conflict(f"features[{first[key]}] has the id '{_PREFIX}{key}' too")
        except CimError as error:
            refuse(index, error)
    good = [index for index in drafts if index not in rejected]
    values = completed(collection, [drafts[i].values for i in good], [places[i]["area_m2"] for i in good])
    rows = {
        index: _row(
            (_PREFIX + keys[index], edit.SOURCE, keys[index]),
            own,
            drafts[index].values.get(ATTRIBUTES.name),
            places[index],
        )
        for index, own in zip(good, values, strict=True)
    }

    async def write(runs: Runs, _: Key | None) -> Answer:
        text = orjson.dumps(list(rows.values())).decode()
        statement = edit.insert_sql(collection, text, scope, is_one=False)
        made = {row["id"] for row in await runs.fetch_rows(statement)} if rows else set()
        for index, row in rows.items():
            if row["id"] not in made:
                refuse(index, Conflict(f"there is a feature '{row['id']}' in {collection.id} already"))
        return _report(len(features), [row["id"] for row in rows.values() if row["id"] in made], rejected)

    return write


def _drafted(collection: Collection, feature: Any, crs: Any) -> Draft | CimError:
    try:
        return draft_of(collection, feature, crs=crs)
    except CimError as error:
        return error


def _within(error: CimError, index: int) -> CimError:
    """The same error, said of one feature of a list."""
    error.detail = f"features[{index}]: {error.detail}; nothing was stored"
    error.parameter = f"features[{index}]" + (f".{error.parameter}" if error.parameter else "")
    error.facts["index"] = index
    return error


def _report(read: int, ids: list[str], rejected: Mapping[int, CimError]) -> Answer:
    """What became of each feature: read = inserted + rejected."""
    rejections = [
        {"index": index, "code": error.code, "detail": error.detail[:500], "parameter": error.parameter}
        for index, error in sorted(rejected.items())
    ]
    document = {"read": read, "inserted": len(ids), "rejected": len(rejections), "ids": ids, "rejections": rejections}
    return Answer(201 if ids else 200, orjson.dumps(document), {"Content-Type": JSON})


_ITEMS = "/collections/{collection_id}/items"

router.add_route(_ITEMS, create, methods=["POST"])
router.add_route(_ITEMS + "/{feature_id}", replace, methods=["PUT"])
router.add_route(_ITEMS + "/{feature_id}", update, methods=["PATCH"])
router.add_route(_ITEMS + "/{feature_id}", delete, methods=["DELETE"])
