"""Which representation a caller gets: `f` first, then `Accept` with its weights, then the first one offered."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from starlette.requests import Request

from cim.errors import InvalidParameter, NotAcceptable


@dataclass(frozen=True, slots=True)
class Representation:
    """One that a resource offers: its value of `f`, its media type, and types and values under which it is asked for too."""

    f: str
    media_type: str
    also: tuple[str, ...] = ()
    also_f: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Wish:
    """One member of `Accept`."""

    kind: str
    subtype: str
    parameters: dict[str, str]
    weight: float


def parse_accept(header: str) -> list[Wish]:
    """The members of an `Accept` header (RFC 9110, 12.5.1); malformed ones are left out."""
    wishes = []
    for member in header[:2000].split(","):
        first, *rest = (part.strip() for part in member.split(";"))
        kind, slash, subtype = first.lower().partition("/")
        if not slash or not kind or not subtype:
            continue
        parameters: dict[str, str] = {}
        weight = 1.0
        for parameter in rest:
            name, _, value = parameter.partition("=")
            if name.strip().lower() == "q":
                try:
                    weight = min(max(float(value), 0.0), 1.0)
                except ValueError:
                    weight = 0.0
                break
            parameters[name.strip().lower()] = value.strip().strip('"')
        wishes.append(Wish(kind, subtype, parameters, weight))
    return wishes


def _fit(wish: Wish, media_type: str) -> int:
    """How closely a wish names a media type: 0 not, 1 `*/*`, 2 `type/*`, 3 the type, 4 with its parameters."""
    plain, _, tail = media_type.lower().partition(";")
    kind, _, subtype = plain.strip().partition("/")
    if wish.kind == "*" and wish.subtype == "*":
        return 1
    if wish.kind != kind:
        return 0
    if wish.subtype == "*":
        return 2
    if wish.subtype != subtype:
        return 0
    own = dict(part.strip().partition("=")[::2] for part in tail.split(";") if part.strip())
    wanted = {name: value for name, value in wish.parameters.items() if name != "charset"}
    if not wanted:
        return 3
    return 4 if all(own.get(name) == value for name, value in wanted.items()) else 0


def _weight(wishes: Sequence[Wish], media_type: str) -> tuple[float, int]:
    """The weight the most specific wish gives a media type, and how specific that wish is."""
    fits = [(_fit(wish, media_type), wish.weight) for wish in wishes]
    best = max((fit for fit, _ in fits), default=0)
    if best == 0:
        return 0.0, 0
    return max(weight for fit, weight in fits if fit == best), best


UNREAD = "\x00"
"""In place of `f`: the query string was not parsed yet."""


def choose(request: Request, offers: Sequence[Representation], *, f: str | None = UNREAD) -> Representation:
    """The representation to send: `f` where given, else the heaviest of `Accept`, the earlier offer on a tie.

    HTML is sent only where `Accept` prefers it to JSON. Raises InvalidParameter for an unknown `f`, NotAcceptable.
    """
    wanted = f
    if f == UNREAD:
        wanted = request.query_params.get("f") if request.scope["query_string"] else None
    if wanted is not None:
        for offer in offers:
            if wanted in (offer.f, offer.media_type, *offer.also_f):
                return offer
        raise InvalidParameter("f", wanted, f"must be one of {', '.join(offer.f for offer in offers)}")
    accepted = b", ".join([value for name, value in request.scope["headers"] if name == b"accept"])
    return _accepted(accepted, tuple(offers))


@lru_cache(maxsize=1024)
def _accepted(header: bytes, offers: tuple[Representation, ...]) -> Representation:
    """The offer that an `Accept` header asks for. Raises NotAcceptable."""
    wishes = parse_accept(header.decode("latin-1"))
    if not wishes:
        return offers[0]
    weighed = [
        (max(_weight(wishes, media_type) for media_type in (offer.media_type, *offer.also)), -place, offer)
        for place, offer in enumerate(offers)
    ]
    (weight, _), _, best = max(weighed, key=lambda one: (one[0][0], one[1]))
    if weight <= 0:
        kinds = ", ".join(offer.media_type for offer in offers)
        raise NotAcceptable(f"none of the media types you accept is offered here; offered: {kinds}")
    return best
