"""Who offers services."""

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from api.context import database_of, scope_of
from api.documents import json_answer
from api.params import check_members, json_object, query_parameters
from api.security import require_admin
from api.services import VARY
from cim.catalogue.service import checked
from cim.errors import InvalidBody
from cim.query.services import organisations_sql, put_organisation_sql

router = APIRouter(tags=["catalogue"])


async def organisations(request: Request) -> Response:
    """Who offers services."""
    query_parameters(request, ())
    rows = await database_of(request).fetch_rows(organisations_sql())
    return json_answer(request, {"organisations": [dict(row) for row in rows]}, vary=VARY)


async def put_organisation(request: Request) -> Response:
    """Write an organisation from `{"name_zh", "name_en", "contact"}` (admins)."""
    require_admin(await scope_of(request))
    query_parameters(request, ())
    organisation_id = checked({"organisation_id": request.path_params["organisation_id"]}, is_partial=True)[
        "organisation_id"
    ]
    body = await json_object(request)
    check_members(body, ("name_zh", "name_en", "contact"))
    texts = [body.get(name) or "" for name in ("name_zh", "name_en", "contact")]
    if not all(isinstance(t, str) and len(t) <= 300 and "\x00" not in t for t in texts) or not (texts[0] or texts[1]):
        raise InvalidBody("name_zh or name_en is needed; texts have at most 300 characters")
    await database_of(request).execute(put_organisation_sql(organisation_id, texts[0], texts[1], texts[2] or None))
    return Response(status_code=204)


router.add_route("/catalogue/organisations", organisations, methods=["GET"])
router.add_route("/catalogue/organisations/{organisation_id}", put_organisation, methods=["PUT"])
