"""Two versions of a service member by member: what was added, taken away and changed, within long texts word by word."""

import difflib
import re
from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from api.portal.ask import ask
from api.portal.desk import at_desk, desk_page
from api.portal.listing import organisations_of

_WORD = re.compile(r"[一-鿿]|\w+|\s+|.", re.DOTALL)
_SENTENCE = re.compile(r"[^。！？；.!?;\n]*[。！？；.!?;\n]?", re.DOTALL)
_MOST_WORDS = 1_000
"""Of either text: longer ones are compared sentence by sentence."""

IN_ORDER = (
    *("id", "title_zh", "title_en", "description_zh", "description_en", "themes", "kind", "endpoints", "collection_id"),
    *("organisation_id", "contact", "share_class", "licence", "area_code", "bbox", "cim_level", "time_from", "time_to"),
    *("update_cycle", "quality"),
)

Pieces = list[tuple[bool, str]]
"""Parts of a text, each with whether it is marked."""


def marked(former: str, later: str) -> tuple[Pieces, Pieces]:
    """Both texts in pieces; those that only one of them has are marked."""
    one, other = _WORD.findall(former), _WORD.findall(later)
    if max(len(one), len(other)) > _MOST_WORDS:
        one, other = _SENTENCE.findall(former), _SENTENCE.findall(later)
    left: Pieces = []
    right: Pieces = []
    for kind, a, b, c, d in difflib.SequenceMatcher(None, one, other, autojunk=False).get_opcodes():
        if b > a:
            left.append((kind != "equal", "".join(one[a:b])))
        if d > c:
            right.append((kind != "equal", "".join(other[c:d])))
    return left, right


def ordered(members: Mapping[str, Any]) -> dict[str, Any]:
    """Members in the order in which the form has them."""
    known = [name for name in IN_ORDER if name in members]
    return {name: members[name] for name in (*known, *(name for name in members if name not in known))}


def changes_of(members: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Members that differ, as `differences` tells them: the kind of change, both values, and of two texts their pieces."""
    changes = []
    for name, one in ordered(members).items():
        former, later = one["from"], one["to"]
        kind = "added" if _is_empty(former) else "removed" if _is_empty(later) else "changed"
        change = {"name": name, "kind": kind, "from": former, "to": later, "pieces": None}
        if kind == "changed" and isinstance(former, str) and isinstance(later, str):
            change["pieces"] = marked(former, later)
        changes.append(change)
    return changes


def _is_empty(value: Any) -> bool:
    return value is None or value == "" or value == []


async def differences_of(request: Request, service_id: str, former: str, later: str) -> list[dict[str, Any]]:
    """What differs between two versions of a service, as the API tells it. Raises Refused."""
    found = await ask(request, "GET", "/catalogue/items/{}/versions/{}/compare/{}", service_id, former, later)
    return changes_of(found.document["members"])


async def compare(request: Request) -> Response:
    """Two versions: `?a=&b=`; without them the last two."""
    service_id = request.path_params["service_id"]
    found = await ask(request, "GET", "/catalogue/items/{}/versions", service_id, query={"limit": 100})
    versions = found.document["versions"]
    last = str(versions[0]["number"])
    later = request.query_params.get("b", "") or last
    former = request.query_params.get("a", "") or str(versions[1]["number"] if len(versions) > 1 else last)
    changes = await differences_of(request, service_id, former, later)
    whole = await ask(request, "GET", "/catalogue/items/{}/versions/{}", service_id, later)
    changed = {one["name"] for one in changes}
    same = {name: value for name, value in whole.document["document"].items() if name not in changed}
    return await desk_page(
        request,
        "desk/services/compare.html",
        "services",
        service_id=service_id,
        versions=versions,
        former=former,
        later=later,
        changes=changes,
        same=ordered(same),
        organisations=await organisations_of(request),
    )


ROUTES = (Route("/desk/services/{service_id}/compare", at_desk(compare), methods=["GET"]),)
