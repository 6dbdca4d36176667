"""Places and rests of upstreams: so many calls at once, and none while one that fails is left alone."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from cim.errors import UpstreamClosed

FAILURES = 5
"""Failures in a row after which an upstream is left alone."""
REST_S = 5.0
MAX_REST_S = 60.0


class Gate:
    """One upstream as a worker sees it: closed for a while after `FAILURES`, then opened to one call that tries."""

    def __init__(self, places: int) -> None:
        self._free = places
        self._failures = 0
        self._rest_s = REST_S
        self._until = 0.0
        self._is_trying = False

    @contextmanager
    def place(self) -> Iterator[None]:
        """A place among the calls under way. Raises UpstreamClosed while the upstream rests, or has no place left."""
        left_s = self._until - time.monotonic()
        if self._failures >= FAILURES and (left_s > 0 or self._is_trying):
            raise UpstreamClosed(
                "the service has failed several times in a row and is left alone for a while",
                retry_after_s=max(1, round(left_s)),
            )
        if self._free <= 0:
            raise UpstreamClosed("as many calls of the service are under way as it may have at once", retry_after_s=2)
        is_trying = self._failures >= FAILURES
        self._free -= 1
        self._is_trying = self._is_trying or is_trying
        try:
            yield
        finally:
            self._free += 1
            if is_trying:
                self._is_trying = False

    def worked(self) -> None:
        """The upstream answered."""
        self._failures, self._rest_s = 0, REST_S

    def failed(self) -> None:
        """The upstream did not, or said that it cannot."""
        self._failures += 1
        now = time.monotonic()
        if self._failures < FAILURES or (self._until > now and not self._is_trying):
            return
        if self._is_trying:
            self._rest_s = min(self._rest_s * 2, MAX_REST_S)
        self._until = now + self._rest_s
