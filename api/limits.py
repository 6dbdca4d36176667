"""Where a caller stands with their limits, as header fields (draft-ietf-httpapi-ratelimit-headers-10)."""

import time
from collections.abc import Iterable
from functools import lru_cache

from cim.metering.call import Admitted, Standing


def limit_fields(standing: Iterable[Standing]) -> dict[str, str]:
    """`RateLimit-Policy` and `RateLimit`, one item a limit; none where there is no limit."""
    known = tuple(standing)
    if not known:
        return {}
    now = time.time()
    policies = _policies(tuple((one.policy, one.limit, one.window_s) for one in known))
    return {"RateLimit-Policy": policies, "RateLimit": ", ".join([one.left(now) for one in known])}


@lru_cache(maxsize=1024)
def _policies(known: tuple[tuple[str, int, int], ...]) -> str:
    return ", ".join(f'"{policy}";q={limit};w={window_s}' for policy, limit, window_s in known)


def call_fields(admitted: Admitted) -> list[tuple[bytes, bytes]]:
    """Fields of the answer of a call: its id in the ledger, and where the caller stands."""
    fields = [(b"x-call-id", admitted.call_id.encode())]
    if admitted.standing:
        fields += [(name.lower().encode(), value.encode()) for name, value in limit_fields(admitted.standing).items()]
    return fields
