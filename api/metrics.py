"""Prometheus metrics of one worker, or of all workers when they share `PROMETHEUS_MULTIPROC_DIR`."""

import os

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

CONTENT_TYPE = CONTENT_TYPE_LATEST

_BUCKETS_S = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20)


class Metrics:
    """Requests by method, route template and status; never by path, so that labels stay few."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        labels = ("method", "route", "status")
        self._requests = Counter("cim_http_requests", "Answered requests", labels, registry=self._registry)
        self._seconds = Histogram(
            "cim_http_request_seconds",
            "Time from the head of a request to the end of its answer",
            ("route",),
            buckets=_BUCKETS_S,
            registry=self._registry,
        )
        self._active = Gauge(
            "cim_http_requests_active",
            "Requests being answered",
            registry=self._registry,
            multiprocess_mode="livesum",
        )
        self._spooled = Gauge(
            "cim_meter_spooled_bytes",
            "Bytes of calls that wait to be booked",
            registry=self._registry,
            multiprocess_mode="mostrecent",
        )
        self._now = 0
        self._children: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}

    def begin(self) -> None:
        """A request has come."""
        self._now += 1

    def end(self, method: str, route: str, status: int, seconds: float) -> None:
        """It was answered."""
        self._now -= 1
        key = (method, route, status)
        known = self._children.get(key)
        if known is None:
            known = (self._requests.labels(method, route, str(status)), self._seconds.labels(route))
            self._children[key] = known
        known[0].inc()
        known[1].observe(seconds)

    def render(self, spooled_bytes: int = 0) -> bytes:
        """The text that Prometheus scrapes. `spooled_bytes`: of the node's spool, which all workers share."""
        self._spooled.set(spooled_bytes)
        self._active.set(self._now)
        if os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
            registry = CollectorRegistry()
            MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
            return generate_latest(registry)
        return generate_latest(self._registry)
