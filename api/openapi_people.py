"""Organisations, people, keys, sessions, applications and grants in the OpenAPI description."""

from collections.abc import Iterable, Sequence
from typing import Any

from api.documents import HTML, JSON
from api.forms import FORM
from api.openapi_operation import KEYED, TEXT, operation
from api.openapi_parts import id_in_path, parameter, text_queries
from api.routes import applications, grants, notifications, organisations, own_keys, people, public_scenarios, scenarios
from cim.catalogue import scenario
from cim.catalogue.application import CONDITIONS
from cim.people.document import ORGANISATION_MEMBERS, PERSON_MEMBERS

_NUMBERS = {"quota_day", "rate_calls", "rate_seconds", "through"}
_LISTS = {"hidden", "collections", "services", "duties"}
_KEYED: list[dict[str, list[str]]] = [*KEYED, {"session": []}]

SESSION_SCHEME = {
    "session": {
        "type": "apiKey",
        "in": "cookie",
        "name": "cim_session",
        "description": "Begun by POST /login; changes carry the token of GET /sessions/current in X-CSRF-Token",
    }
}


def _schema(names: Iterable[str], needed: Sequence[str] = ()) -> dict[str, Any]:
    """An object of those members and no others."""
    properties: dict[str, Any] = {}
    for name in names:
        kind: dict[str, Any] = {"type": ["string", "null"]}
        if name in _LISTS:
            kind = {"type": ["array", "null"], "items": TEXT}
        elif name in _NUMBERS or name == "grant_id":
            kind = {"type": ["integer", "null"], "minimum": 1}
        elif name == "is_public":
            kind = {"type": "boolean"}
        elif name in ("precision_m", "overlap_s"):
            kind = {"type": ["number", "null"], "minimum": 0}
        elif name in ("wanted", "conditions"):
            kind = _schema(CONDITIONS)
        properties[name] = kind
    schema = {"type": "object", "properties": properties, "additionalProperties": False}
    return {**schema, "required": list(needed)} if needed else schema  # OpenAPI 3.0 takes no empty list


def _operation(
    operation_id: str,
    summary: str,
    *,
    parameters: Sequence[Any] = (),
    body: dict[str, Any] | None = None,
    status: str = "200",
    is_open: bool = False,
    media: str = JSON,
) -> dict[str, Any]:
    return operation(
        operation_id,
        "People and grants",
        summary,
        parameters=parameters,
        body=body,
        status=status,
        media=(media,),
        security=None if is_open else _KEYED,
    )


def _organisations() -> dict[str, Any]:
    one = [id_in_path("organisationId", "organisation")]
    return {
        "/organisations": {
            "get": _operation(
                "listOrganisations", "Organisations", parameters=text_queries(organisations.FILTERS), is_open=True
            ),
            "post": _operation(
                "makeOrganisation", "Make an organisation", body=_schema(ORGANISATION_MEMBERS, ["id"]), status="201"
            ),
        },
        "/organisations/{organisationId}": {
            "get": _operation("oneOrganisation", "One organisation", parameters=one, is_open=True),
            "patch": _operation(
                "editOrganisation", "Change an organisation", parameters=one, body=_schema(ORGANISATION_MEMBERS[1:])
            ),
            "delete": _operation(
                "deleteOrganisation", "Delete an organisation that nothing hangs on", parameters=one, status="204"
            ),
        },
    }


def _people() -> dict[str, Any]:
    one = [id_in_path("personId", "person")]
    edited = [*(n for n in PERSON_MEMBERS if n not in ("login", "subject")), "current_password"]
    return {
        "/people": {
            "get": _operation("listPeople", "People that the caller acts for", parameters=text_queries(people.FILTERS)),
            "post": _operation("makePerson", "Make a person", body=_schema(PERSON_MEMBERS, ["login"]), status="201"),
        },
        "/people/{personId}": {
            "get": _operation("onePerson", "One person", parameters=one),
            "patch": _operation("editPerson", "Change a person", parameters=one, body=_schema(edited)),
        },
        "/people/{personId}/invitation": {
            "post": _operation("invite", "A new invitation to set a password", parameters=one, status="201")
        },
    }


def _keys() -> dict[str, Any]:
    one = [id_in_path("prefix", "key (its prefix)")]
    return {
        "/keys": {
            "get": _operation(
                "ownKeys", "Keys of one's own, or of the organisation", parameters=text_queries(own_keys.FILTERS)
            ),
            "post": _operation("makeOwnKey", "Make a key, shown once", body=_schema(own_keys.MEMBERS), status="201"),
        },
        "/keys/{prefix}": {
            "get": _operation("oneKey", "One key", parameters=one),
            "delete": _operation("revokeOwnKey", "End a key", parameters=one, status="204"),
        },
        "/keys/{prefix}/rotate": {
            "post": _operation(
                "rotateKey",
                "A new key in place of one, which goes on for a while",
                parameters=one,
                body=_schema(("overlap_s", "expires_at")),
                status="201",
            )
        },
    }


def _sessions() -> dict[str, Any]:
    page: dict[str, Any] = {"is_open": True, "media": HTML}
    onward = [parameter("next", "Where to go afterwards: a path of this node", TEXT)]
    login = _operation(
        "login", "Begin a session", body=_schema(("login", "password", "next"), ["login", "password"]), is_open=True
    )
    accepted = _operation(
        "acceptInvitation", "Set a password", body=_schema(("token", "password"), ["token", "password"]), is_open=True
    )
    for one in (login, accepted):
        one["requestBody"]["content"][FORM] = one["requestBody"]["content"][JSON]
    paging = text_queries(("limit", "cursor"))
    back = text_queries(("code", "state", "error", "error_description", "iss", "session_state", "scope"))
    return {
        "/login": {"get": _operation("loginPage", "The page to log in", parameters=onward, **page), "post": login},
        "/logout": {"post": _operation("logout", "End the session", status="204", is_open=True)},
        "/invitation": {
            "get": _operation("invitationPage", "The page to set a password", **page),
            "post": accepted,
        },
        "/sessions": {"get": _operation("sessions", "One's own sessions", parameters=paging)},
        "/sessions/current": {"get": _operation("whoAsks", "Who asks, and what they may", is_open=True)},
        "/sessions/{sessionId}": {
            "delete": _operation(
                "endSession",
                "End one of one's own sessions",
                parameters=[id_in_path("sessionId", "session")],
                status="204",
            )
        },
        "/oidc/login": {
            "get": _operation("oidcLogin", "To the issuer to log in", parameters=onward, status="303", is_open=True)
        },
        "/oidc/callback": {
            "get": _operation("oidcCallback", "Back from the issuer", parameters=back, status="303", is_open=True)
        },
    }


def _applications() -> dict[str, Any]:
    one = [id_in_path("applicationId", "application")]
    return {
        "/applications": {
            "get": _operation(
                "applications", "Applications of both sides", parameters=text_queries(applications.FILTERS)
            ),
            "post": _operation(
                "apply", "Apply for a service", body=_schema(applications.MEMBERS, ["purpose"]), status="201"
            ),
        },
        "/applications/{applicationId}": {"get": _operation("application", "One application", parameters=one)},
        "/applications/{applicationId}/grant": {
            "post": _operation("grantApplication", "Grant", parameters=one, body=_schema(("note", "conditions")))
        },
        "/applications/{applicationId}/refuse": {
            "post": _operation("refuseApplication", "Refuse", parameters=one, body=_schema(("reason",), ["reason"]))
        },
        "/applications/{applicationId}/withdraw": {
            "post": _operation("withdrawApplication", "Take an application back", parameters=one)
        },
    }


def _grants() -> dict[str, Any]:
    grant, told = [id_in_path("grantId", "grant")], [id_in_path("notificationId", "notification")]
    one = [id_in_path("scenarioId", "scenario")]
    return {
        "/grants": {"get": _operation("grants", "Grants of both sides", parameters=text_queries(grants.FILTERS))},
        "/grants/{grantId}": {
            "get": _operation("grant", "One grant", parameters=grant),
            "patch": _operation("editGrant", "Other conditions", parameters=grant, body=_schema(CONDITIONS)),
        },
        "/grants/{grantId}/revoke": {
            "post": _operation("revokeGrant", "Revoke", parameters=grant, body=_schema(("reason",), ["reason"]))
        },
        "/scenarios": {
            "get": _operation("scenarios", "Application scenarios", parameters=text_queries(scenarios.FILTERS)),
            "post": _operation("makeScenario", "Register a scenario", body=_schema(scenario.MEMBERS), status="201"),
        },
        "/scenarios/{scenarioId}": {
            "get": _operation("scenario", "One scenario", parameters=one),
            "patch": _operation(
                "editScenario", "Change a scenario", parameters=one, body=_schema(scenario.MEMBERS[1:])
            ),
        },
        "/catalogue/scenarios": {
            "get": _operation(
                "publicScenarios",
                "Application scenarios that their organisations made public",
                parameters=text_queries(public_scenarios.FILTERS),
                is_open=True,
            )
        },
        "/catalogue/scenarios/{scenarioId}": {
            "get": _operation("publicScenario", "One public scenario", parameters=one, is_open=True)
        },
        "/notifications": {
            "get": _operation("notifications", "Notifications", parameters=text_queries(notifications.FILTERS))
        },
        "/notifications/unread": {"get": _operation("unreadNotifications", "How many are unread")},
        "/notifications/read": {
            "post": _operation(
                "readNotifications",
                "All up to one were read",
                body=_schema(["through"], ["through"]),
                status="204",
            )
        },
        "/notifications/{notificationId}/read": {
            "post": _operation("readNotification", "It was read", parameters=told, status="204")
        },
    }


def people_paths() -> dict[str, Any]:
    """The paths of who there is, and of who may call what."""
    return {**_organisations(), **_people(), **_keys(), **_sessions(), **_applications(), **_grants()}
