"""Price plans of data products, and what a month of use costs by one. Money is decimal, never a float.

A plan: `monthly_fee`, and for each of `per_call`, `per_mb`, `per_row` an amount that is free and tiers, each with the amount
up to which it goes (the last one has none) and the price of one unit within it. Units count from behind what is free.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_UP, Decimal, localcontext
from typing import Any

from cim.errors import InvalidParameter, UnknownParameter

UNITS = ("per_call", "per_mb", "per_row")
MEMBERS = ("currency", "monthly_fee", *UNITS)
MAX_TIERS = 20
CENT = Decimal("0.01")
MB = Decimal(1_000_000)
_MONEY = re.compile(r"\d{1,12}(?:\.\d{1,8})?", re.ASCII)
_CURRENCY = re.compile(r"[A-Z]{3}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Tier:
    """`price` of a unit, up to so many units (None: all that follow)."""

    up_to: int | None
    price: Decimal


@dataclass(frozen=True, slots=True)
class Rate:
    """Units that are free each month, then tiers."""

    free: int
    tiers: tuple[Tier, ...]

    def amount(self, quantity: Decimal) -> Decimal:
        """What so many units cost, unrounded."""
        left, below, total = max(quantity - self.free, Decimal(0)), Decimal(0), Decimal(0)
        for tier in self.tiers:
            within = left if tier.up_to is None else min(left, tier.up_to - below)
            total += within * tier.price
            left -= within
            below += within
        return total

    def to_dict(self) -> dict[str, Any]:
        """As it is written in JSON."""
        return {"free": self.free, "tiers": [{"up_to": one.up_to, "price": f"{one.price:f}"} for one in self.tiers]}


@dataclass(frozen=True, slots=True)
class Plan:
    """What a service costs from the first day of a month on, and whom it is paid to."""

    service_id: str
    valid_from: date
    currency: str
    payee: str
    monthly_fee: Decimal
    rates: Mapping[str, Rate]

    def to_dict(self) -> dict[str, Any]:
        """As it is stored and shown; amounts are texts."""
        rates = {name: rate.to_dict() for name, rate in self.rates.items()}
        return {"payee": self.payee, "monthly_fee": f"{self.monthly_fee:f}", **rates}


@dataclass(frozen=True, slots=True)
class Charge:
    """One amount of a line, rounded to the cent (half up)."""

    kind: str
    quantity: Decimal
    free: int
    amount: Decimal


def charges_of(plan: Plan, *, calls: int, sent_bytes: int, rows: int) -> tuple[Charge, ...]:
    """What a month of one organisation costs: of calls that neither failed nor were denied, which cost nothing whatever was sent."""
    used = {"per_call": Decimal(calls), "per_mb": Decimal(sent_bytes) / MB, "per_row": Decimal(rows)}
    with localcontext(prec=40):
        charges = (
            [Charge("monthly_fee", Decimal(1), 0, rounded(plan.monthly_fee))] if plan.monthly_fee and calls else []
        )
        for name, rate in plan.rates.items():
            charges.append(Charge(name, used[name], rate.free, rounded(rate.amount(used[name]))))
    return tuple(charges)


def rounded(amount: Decimal) -> Decimal:
    """To the cent, half up."""
    return amount.quantize(CENT, ROUND_HALF_UP)


def plan_of(service_id: str, valid_from: date, currency: str, stored: Mapping[str, Any]) -> Plan:
    """A plan as it was stored."""
    rates = {name: _stored_rate(stored[name]) for name in UNITS if name in stored}
    return Plan(service_id, valid_from, currency, stored["payee"], Decimal(stored["monthly_fee"]), rates)


def _stored_rate(value: Mapping[str, Any]) -> Rate:
    return Rate(value["free"], tuple(Tier(one["up_to"], Decimal(one["price"])) for one in value["tiers"]))


def checked_plan(service_id: str, valid_from: date, payee: str, body: Mapping[str, Any]) -> Plan:
    """A plan as a client writes it. Raises InvalidParameter, UnknownParameter."""
    for name in body:
        if name not in MEMBERS:
            raise UnknownParameter(name, MEMBERS)
    currency = body.get("currency", "CNY")
    if not isinstance(currency, str) or not _CURRENCY.fullmatch(currency):
        raise InvalidParameter("currency", currency, "three capital letters (ISO 4217), such as CNY", rule="currency")
    rates = {name: _rate(name, body[name]) for name in UNITS if body.get(name) is not None}
    fee = _money("monthly_fee", body.get("monthly_fee", "0"))
    if not rates and not fee:
        raise InvalidParameter(
            "monthly_fee", fee, f"a plan needs a monthly fee, or one of {', '.join(UNITS)}", rule="no-price"
        )
    return Plan(service_id, valid_from, currency, payee, fee, rates)


def _rate(name: str, value: Any) -> Rate:
    if not isinstance(value, dict) or not set(value) <= {"free", "tiers"} or not isinstance(value.get("tiers"), list):
        raise InvalidParameter(
            name, value, 'must be {"free": units, "tiers": [{"up_to": units or null, "price": "0.01"}]}'
        )
    free = value.get("free", 0)
    if not _is_count(free):
        raise InvalidParameter(f"{name}.free", free, "a whole number from 0", rule="whole")
    tiers = [_tier(name, one) for one in value["tiers"]]
    _check_order(name, value["tiers"], tiers)
    return Rate(free, tuple(tiers))


def _tier(name: str, value: Any) -> Tier:
    if not isinstance(value, dict) or not set(value) <= {"up_to", "price"} or "price" not in value:
        raise InvalidParameter(f"{name}.tiers", value, 'each must be {"up_to": units or null, "price": "0.01"}')
    up_to = value.get("up_to")
    if up_to is not None and (not _is_count(up_to) or up_to == 0):
        raise InvalidParameter(f"{name}.tiers.up_to", up_to, "a whole number from 1, or null in the last tier")
    return Tier(up_to, _money(f"{name}.tiers.price", value["price"]))


def _check_order(name: str, written: Any, tiers: Sequence[Tier]) -> None:
    ends = [tier.up_to for tier in tiers[:-1]]
    known = [end for end in ends if end is not None]
    is_rising = len(known) == len(ends) and known == sorted(set(known))
    if not 1 <= len(tiers) <= MAX_TIERS or tiers[-1].up_to is not None or not is_rising:
        raise InvalidParameter(
            f"{name}.tiers",
            written,
            f"1 to {MAX_TIERS} tiers with rising up_to, the last one without an end (null)",
            rule="tiers",
        )


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 10**15


def _money(name: str, value: Any) -> Decimal:
    if not isinstance(value, str) or not _MONEY.fullmatch(value):
        raise InvalidParameter(
            name, value, 'an amount as a text with at most 8 decimals, such as "0.015"', rule="amount"
        )
    return Decimal(value)
