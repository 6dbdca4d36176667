"""The desk's form of a registration: every member that a service may have, what the shelf still asks for, two who edit at once."""

import re
from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from api.portal.ask import Refused, ask
from api.portal.desk import at_desk, desk_page
from api.portal.desk_compare import changes_of
from api.portal.desk_services import may_ask
from api.portal.forms import Form, onward, sent
from api.portal.frame import who_of
from api.portal.listing import organisations_of
from cim.catalogue.licence import SPDX
from cim.catalogue.life import differences
from cim.catalogue.service import FOR_THE_SHELF, KINDS, MEMBERS, SHARE_CLASSES, UPDATE_CYCLES
from cim.model import Scope

TEXTS = tuple(name for name in MEMBERS if name not in ("themes", "endpoints", "cim_level", "bbox"))
EDGES = ("west", "south", "east", "north")
SPARE_ROWS = 2
"""Empty rows for endpoints below those that are filled in."""
MAX_ROWS = 20
_NO_ENDPOINT = {"url": "", "kind": "", "title": ""}
_BETWEEN = re.compile(r"[;；,，、\n]+")
_NUMBER = re.compile(r"[+-]?\d{1,3}(\.\d{1,15})?", re.ASCII)


def document_of_form(form: Form) -> dict[str, Any]:
    """A registration as the form says it: empty fields are absent, what is no number stays as it was typed."""
    document: dict[str, Any] = form.filled(*TEXTS)
    themes = [one.strip() for one in _BETWEEN.split(form.text("themes")) if one.strip()]
    rows = zip(*(form.get(f"endpoint_{name}", []) for name in ("url", "kind", "title")), strict=False)
    endpoints = [
        {name: value.strip() for name, value in zip(("url", "kind", "title"), row, strict=True) if value.strip()}
        for row in rows
        if row[0].strip()
    ]
    edges = [form.text(f"bbox_{edge}") for edge in EDGES]
    level = form.text("cim_level")
    document |= {"themes": themes} if themes else {}
    document |= {"endpoints": endpoints} if endpoints else {}
    document |= {"cim_level": int(level) if level.isdecimal() and len(level) < 4 else level} if level else {}
    document |= {"bbox": [_number(edge) for edge in edges]} if any(edges) else {}
    return document


def _number(text: str) -> float | str:
    return float(text) if _NUMBER.fullmatch(text) else text


async def _form_page(
    request: Request,
    document: Mapping[str, Any],
    *,
    service_id: str = "",
    tag: str = "",
    working: Mapping[str, Any] | None = None,
    missing: list[str] | None = None,
    refused: Refused | None = None,
    conflict: list[dict[str, Any]] | None = None,
) -> Response:
    """The form, filled with `document`. `missing`: what the shelf still asks for, None before anything was checked;
    `conflict`: what somebody else wrote meanwhile, beside what was typed."""
    scope = (await who_of(request)).scope
    collections, areas, themes = (
        await may_ask(request, "/collections"),
        await may_ask(
            request,
            "/collections/areas/items",
            query={"filter": "level IN ('city', 'district', 'street')", "properties": "code,name,name_en,level", "limit": 500},
        ),
        await may_ask(request, "/catalogue/themes"),
    )  # fmt: skip
    endpoints = list(document.get("endpoints") or ())
    return await desk_page(
        request,
        "desk/services/form.html",
        "services",
        document={**dict.fromkeys(MEMBERS), **document},
        service_id=service_id,
        tag=tag,
        working=working,
        missing=missing,
        needed=FOR_THE_SHELF,
        refused=refused,
        conflict=conflict,
        endpoints=[{**_NO_ENDPOINT, **one} for one in (*endpoints, *[{}] * min(SPARE_ROWS, MAX_ROWS - len(endpoints)))],
        edges=list(zip(EDGES, document.get("bbox") or [""] * 4, strict=False)),
        organisations=await _organisations(request, scope),
        own_organisation=scope.organisation_id,
        collections=[] if collections is None else [one for one in collections["collections"] if one["id"] != "catalogue"],
        areas=[] if areas is None else [one["properties"] for one in areas["features"]],
        themes=[] if themes is None else [one["id"] for one in themes["concepts"][:12]],
        licences=SPDX,
        kinds=tuple(KINDS),
        shares=SHARE_CLASSES,
        cycles=UPDATE_CYCLES,
    )  # fmt: skip


async def _organisations(request: Request, scope: Scope) -> dict[str, str]:
    """Those that the caller may register services of: the city all, others their own, a district's admin those there."""
    known = await organisations_of(request)
    if scope.is_city:
        return known
    own = {scope.organisation_id}
    if "district_admin" in scope.roles and scope.area_code:
        found = await ask(request, "GET", "/organisations", query={"area": scope.area_code, "limit": 1000})
        own |= {one["id"] for one in found.document["organisations"]}
    return {key: name for key, name in known.items() if key in own}


async def _missing(request: Request, document: Mapping[str, Any]) -> list[str]:
    checked = await ask(request, "POST", "/catalogue/check", body=dict(document))
    missing: list[str] = checked.document["missing"]
    return missing


@at_desk
async def new(request: Request, form: Form | None = None, refused: Refused | None = None) -> Response:
    """The form of a new registration."""
    document = {"share_class": "conditional"} if form is None else await _registration(request, form)
    return await _form_page(request, document, refused=refused)


async def _registration(request: Request, form: Form) -> dict[str, Any]:
    """What the form says, of the caller's organisation where it names none."""
    organisation = (await who_of(request)).scope.organisation_id
    return {**({} if organisation is None else {"organisation_id": organisation}), **document_of_form(form)}


@at_desk
@sent(new)
async def register(request: Request, form: Form) -> Response:
    """Registers a draft, or only checks it; goes on to its form while the shelf still asks for something."""
    document = await _registration(request, form)
    missing = await _missing(request, document)
    if form.text("do") == "check":
        return await _form_page(request, document, missing=missing)
    await ask(request, "POST", "/catalogue/items", body=document)
    return _after(request, document["id"], missing, "registered")


def _after(request: Request, service_id: str, missing: list[str], said: str) -> Response:
    return onward(request, "desk/services/{}/edit" if missing else "desk/services/{}", service_id, said=said)


@at_desk
async def edit(request: Request, form: Form | None = None, refused: Refused | None = None) -> Response:
    """The form with the version that an edit is of; where somebody was faster what they wrote beside what was typed."""
    service_id = request.path_params["service_id"]
    stored, working, tag = await _read(request, service_id)
    if form is None:
        return await _form_page(
            request, stored, service_id=service_id, tag=tag, working=working, missing=working["missing"]
        )
    document = {**document_of_form(form), "id": service_id}
    is_late = refused is not None and refused.status == 412
    conflict = changes_of(differences(stored, {"share_class": "conditional", **document})) if is_late else None
    return await _form_page(
        request,
        document,
        service_id=service_id,
        tag=tag if is_late else form.text("tag"),
        working=working,
        refused=refused,
        conflict=conflict,
    )


async def _read(request: Request, service_id: str) -> tuple[dict[str, Any], dict[str, Any], str]:
    """Document of the version that an edit is of, how it stands, and the tag that an edit names. Raises Refused for others."""
    found = await ask(request, "GET", "/catalogue/items/{}", service_id)
    working = found.document.get("working")
    if working is None:
        await ask(request, "GET", "/catalogue/items/{}/versions", service_id)
        raise Refused(403, {"type": "/problems/forbidden"})
    return working["document"], working, found.headers["etag"]


@at_desk
@sent(edit)
async def save(request: Request, form: Form) -> Response:
    """Writes the draft anew where nobody was faster; else both are shown, and what was typed is kept."""
    service_id, tag = request.path_params["service_id"], form.text("tag")
    document = {**document_of_form(form), "id": service_id}
    missing = await _missing(request, document)
    if form.text("do") == "check":
        _, working, _ = await _read(request, service_id)
        return await _form_page(request, document, service_id=service_id, tag=tag, working=working, missing=missing)
    body = {name: value for name, value in document.items() if name != "id"}
    await ask(request, "PUT", "/catalogue/items/{}", service_id, body=body, headers={"if-match": tag})
    return _after(request, service_id, missing, "saved")


ROUTES = (
    Route("/desk/new/services", new, methods=["GET"]),
    Route("/desk/new/services", register, methods=["POST"]),
    Route("/desk/services/{service_id}/edit", edit, methods=["GET"]),
    Route("/desk/services/{service_id}/edit", save, methods=["POST"]),
)
