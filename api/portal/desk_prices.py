"""The desk's prices: the plans of one's services, set for months to come by a form of tiers."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from api.context import settings_of
from api.portal.ask import Refused, ask
from api.portal.desk import at_desk, desk_page
from api.portal.forms import Form, onward, sent
from api.portal.frame import who_of
from cim.metering.prices import UNITS

TIERS = 5
"""Rows of tiers in the form of a unit, or more where a plan has more."""
OFFERED = 500


@at_desk
async def prices(request: Request) -> Response:
    """Plans of the services of one's organisation (of all, for the city), and the way to one service's."""
    chosen = request.query_params.get("service", "").strip()
    if chosen:
        return onward(request, "desk/prices/{}", chosen)
    scope = (await who_of(request)).scope
    rows = (await ask(request, "GET", "/prices")).document["prices"]
    own = {"mine": "true", "limit": OFFERED}
    services = (await ask(request, "GET", "/catalogue/items", query=own)).document["features"]
    return await desk_page(
        request,
        "desk/prices.html",
        "prices",
        rows=[row for row in rows if scope.is_city or row["payee"] == scope.organisation_id],
        units=UNITS,
        services=[(one["id"], one["properties"]) for one in services],
    )


@at_desk
async def price(request: Request, form: Form | None = None, refused: Refused | None = None) -> Response:
    """The plans of one service, by month, and the form for the next."""
    key = request.path_params["service_id"]
    rows = (await ask(request, "GET", "/prices/{}", key)).document["prices"]
    today = datetime.now(ZoneInfo(settings_of(request).time_zone))
    following = f"{today.year + today.month // 12}-{today.month % 12 + 1:02}"
    month = following if any(row["valid_from"] <= f"{today:%Y-%m}" for row in rows) else f"{today:%Y-%m}"
    values = _typed_texts(form) if form and "currency" in form else {"month": month, **_texts(rows[-1] if rows else {})}
    return await desk_page(
        request,
        "desk/price.html",
        "prices",
        service=key,
        rows=list(reversed(rows)),
        this_month=f"{today:%Y-%m}",
        units=UNITS,
        values=values,
        refused=refused,
    )


def _texts(plan: Mapping[str, Any]) -> dict[str, Any]:
    """A plan as the fields of the form hold it."""
    values: dict[str, Any] = {"currency": plan.get("currency", "CNY"), "monthly_fee": plan.get("monthly_fee", "")}
    for unit in UNITS:
        rate = plan.get(unit) or {"free": "", "tiers": []}
        tiers = [
            {"up_to": "" if one["up_to"] is None else one["up_to"], "price": one["price"]} for one in rate["tiers"]
        ]
        values[unit] = {"free": rate["free"] or "", "tiers": _padded(tiers)}
    return values


def _typed_texts(form: Form) -> dict[str, Any]:
    values: dict[str, Any] = {name: form.text(name) for name in ("month", "currency", "monthly_fee")}
    for unit in UNITS:
        tiers = [{"up_to": up_to, "price": price} for up_to, price in _tiers(form, unit)]
        values[unit] = {"free": form.text(f"{unit}.free"), "tiers": _padded(tiers)}
    return values


def _padded(tiers: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return tiers + [{"up_to": "", "price": ""}] * max(TIERS - len(tiers), 0)


def _tiers(form: Form, unit: str) -> list[tuple[str, str]]:
    """Rows of the form that say something: up to where, and the price."""
    rows = zip(form.get(f"{unit}.up_to", []), form.get(f"{unit}.price", []), strict=False)
    return [(up_to.strip(), price.strip()) for up_to, price in rows if up_to.strip() or price.strip()]


def _plan(form: Form) -> dict[str, Any]:
    """The plan that the form describes, as the API takes it; a unit without tiers has no price."""
    plan: dict[str, Any] = form.filled("currency", "monthly_fee")
    for unit in UNITS:
        tiers, free = _tiers(form, unit), form.text(f"{unit}.free")
        if tiers:
            rows = [{"up_to": _whole(up_to) if up_to else None, "price": price} for up_to, price in tiers]
            plan[unit] = {"tiers": rows, **({"free": _whole(free)} if free else {})}
    return plan


def _whole(text: str) -> int | str:
    return int(text) if text.isascii() and text.isdigit() else text


@at_desk
@sent(price)
async def put(request: Request, form: Form) -> Response:
    """Sets the plan of the form from its month on."""
    key = request.path_params["service_id"]
    await ask(request, "PUT", "/prices/{}/{}", key, form.text("month") or "-", body=_plan(form))
    return onward(request, "desk/prices/{}", key, said="price.set")


@at_desk
@sent(price)
async def delete(request: Request, form: Form) -> Response:
    """Takes a plan of a month to come back."""
    key = request.path_params["service_id"]
    await ask(request, "DELETE", "/prices/{}/{}", key, form.text("month") or "-")
    return onward(request, "desk/prices/{}", key, said="price.withdrawn")


ROUTES = (
    Route("/desk/prices", prices, methods=["GET"]),
    Route("/desk/prices/{service_id}", price, methods=["GET"]),
    Route("/desk/prices/{service_id}", put, methods=["POST"]),
    Route("/desk/prices/{service_id}/delete", delete, methods=["POST"]),
)
