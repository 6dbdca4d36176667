"""Where a caller stands with their limits, as header fields (draft-ietf-httpapi-ratelimit-headers-10)."""

import time
from collections.abc import Iterable

from cim.metering.call import Standing


def limit_fields(standing: Iterable[Standing]) -> dict[str, str]:
    """`RateLimit-Policy` and `RateLimit`, one item a limit; none where there is no limit."""
    known = list(standing)
    if not known:
        return {}
    now = time.time()
    policies = [f'"{one.policy}";q={one.limit};w={one.window_s}' for one in known]
    left = [f'"{one.policy}";r={max(one.remaining, 0)};t={max(int(one.reset_at - now) + 1, 0)}' for one in known]
    return {"RateLimit-Policy": ", ".join(policies), "RateLimit": ", ".join(left)}
