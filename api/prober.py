"""Health of services: each is asked a real question now and then; one that fails for long is suspended, and resumed when it is back.

Asked is what the gateway would call: the same address, policy and credential. A service whose address the policy does not let
pass any more is down, without a connection.
"""

import asyncio
import random
import time
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import httpcore2
import orjson
import structlog

from api.gateway.connect import open_pool
from api.gateway.services import Called, Services, Upstream
from cim.catalogue.health import MAX_SEEN, SHARES, Answer, Probe, Verdict, is_reserved, probes_of, verdict, wrong_with
from cim.catalogue.life import EVENTS
from cim.catalogue.review import take
from cim.db.pool import Database
from cim.db.services import done
from cim.errors import CimError
from cim.gateway.policy import parse_allowed
from cim.model import Scope, roles_of
from cim.query.health import (
    collection_sql,
    due_probes_sql,
    purge_days_sql,
    put_off_sql,
    record_health_sql,
    suspended_here_sql,
)
from cim.settings import Settings

log = structlog.get_logger("health")

AT_ONCE = 16
BATCH = 64
PROBE_S = 20.0
CONNECT_S = 5.0

NODE = Scope(roles=roles_of("admin"), caller="node")
"""Who suspends and resumes by the rule."""


class Prober:
    """Asks the services that are due."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database, self._settings = database, settings
        self._services = Services(database, settings)
        self._pool: httpcore2.AsyncConnectionPool | None = None
        self._skipped: dict[str, float] = {}
        self._forgot_on: date | None = None

    async def close(self) -> None:
        """Close connections."""
        if self._pool is not None:
            await self._pool.aclose()
            self._pool = None

    async def probe_due(self) -> int:
        """Probe those whose time has come, some at once; gives how many."""
        interval = self._settings.health_interval_s
        if interval <= 0:
            return 0
        await self._forget()
        rows = await self._database.fetch_rows(due_probes_sql(interval, BATCH + len(self._skipped)))
        now = time.monotonic()
        due = [row for row in rows if self._skipped.get(row["id"], 0.0) < now][:BATCH]
        places = asyncio.Semaphore(AT_ONCE)

        async def probed(row: Any) -> None:
            async with places:
                await self._probe(row, interval)

        await asyncio.gather(*(probed(row) for row in due))
        return len(due)

    async def _forget(self) -> None:
        """Once a day, days that are told no more."""
        today = datetime.now(UTC).date()
        if self._forgot_on != today:
            await self._database.execute(purge_days_sql())
            self._forgot_on = today

    async def _probe(self, row: Any, interval: float) -> None:
        service_id = row["id"]
        next_s = interval * SHARES[row["share_class"]] * random.uniform(0.9, 1.1)  # noqa: S311 - spreads, hides nothing
        try:
            called = await self._services.get(service_id)
            found = await self._verdict(called, row)
            if found is None:
                self._skipped[service_id] = time.monotonic() + interval
                await self._database.execute(put_off_sql(service_id, next_s))
                return
            counts = await self._database.fetch_one(record_health_sql(service_id, found, next_s))
            await self._apply_rule(row, found, counts)
        except CimError as error:  # gone meanwhile, changed at the same moment, or no database: the next look comes
            log.info("health not written", service=service_id, code=error.code)

    async def _verdict(self, called: Called, row: Any) -> Verdict | None:
        """What a service is like by all its endpoints; None for one whose first is not probed."""
        if called.trouble is not None:
            return Verdict("down", None, called.trouble.detail)
        urls = [str(one["url"]) for one in orjson.loads(row["endpoints"])]
        results = await self._results(called, urls[0], row, 1)
        if not results or results[0][0] is not None:
            return verdict(results) if results else None
        for number, (one, url) in enumerate(zip(called.others, urls[1:], strict=True), 2):
            found = await self._results(one, url, row, number)
            results += [(trouble and f"endpoint {number}: {trouble}", ms) for trouble, ms in found]
        return verdict(results)

    async def _results(self, called: Called, url: str, row: Any, number: int) -> list[tuple[str | None, int]]:
        """What was wrong with each answer of one endpoint and how long it took in ms; none for one that is not probed."""
        if called.trouble is not None:
            return [(called.trouble.detail, 0)]
        if called.upstream is None:
            return await self._own(row)
        if called.upstream.is_node or is_reserved(called.upstream.endpoint.origin.host):
            return []  # a node probes its own services, and would count ours as calls
        box = None if row["west"] is None else (row["west"], row["south"], row["east"], row["north"])
        facts = orjson.loads(row["facts"]) if row["facts"] and number == 1 else {}
        results: list[tuple[str | None, int]] = []
        for probe in probes_of(called.kind, url=url, facts=facts, box=box):
            started = time.monotonic()
            answer = await self._asked(called.upstream, probe)
            if probe.method == "HEAD" and answer.status in (405, 501):
                answer = await self._asked(called.upstream, replace(probe, method="GET"))
            results.append((wrong_with(probe, answer), round((time.monotonic() - started) * 1000)))
            if results[0][0] is not None:
                break
        return results

    async def _own(self, row: Any) -> list[tuple[str | None, int]]:
        """Data of this node: the service's collection is there and answers."""
        if row["collection_id"] is None:
            return []
        started = time.monotonic()
        found = await self._database.fetch_row(collection_sql(row["collection_id"]))
        trouble = None if found is not None else "the collection is not here any more"
        return [(trouble, round((time.monotonic() - started) * 1000))]

    async def _asked(self, upstream: Upstream, probe: Probe) -> Answer:
        """The answer to one question, its first bytes; redirects are not followed."""
        origin, credential = upstream.endpoint.origin, upstream.credential
        try:
            target = upstream.endpoint.target(probe.tail, probe.query, secret=credential.parameter)
        except CimError as error:
            return Answer(0, trouble=error.detail)
        fields = [(b"host", origin.authority.encode()), (b"user-agent", b"OpenCIM health"), (b"accept", b"*/*")]
        if credential.field is not None:
            fields.append(credential.field)
        if self._pool is None:
            self._pool = open_pool(parse_allowed(self._settings.allowed_upstreams))
        request = httpcore2.Request(
            probe.method,
            httpcore2.URL(scheme=origin.scheme, host=origin.host, port=origin.port, target=target),
            headers=fields,
            extensions={"timeout": {"connect": CONNECT_S, "read": PROBE_S, "write": CONNECT_S, "pool": PROBE_S}},
        )
        try:
            async with asyncio.timeout(PROBE_S):
                response = await self._pool.handle_async_request(request)
                try:
                    head = await _head_of(response)
                finally:
                    await response.aclose()
        except (TimeoutError, httpcore2.TimeoutException):
            return Answer(0, trouble="the service did not answer in time")
        except CimError as error:
            return Answer(0, trouble=error.detail)
        except (httpcore2.NetworkError, httpcore2.ProtocolError, OSError):
            return Answer(0, trouble="the service could not be reached")
        media = next(
            (value.decode("latin-1") for name, value in response.headers if name.lower() == b"content-type"), ""
        )
        return Answer(response.status, media.lower(), head)

    async def _apply_rule(self, row: Any, found: Verdict, counts: Any) -> None:
        """Suspend what has failed often enough for long enough; resume what was suspended so and answers again."""
        service_id, settings = row["id"], self._settings
        is_due = (
            0 < settings.health_failures <= counts["failures"]
            and (counts["failing_s"] or 0) >= settings.health_failing_s
        )
        if row["state"] == "published" and is_due:
            why = f"{counts['failures']} probes failed in a row, for {counts['failing_s']:.0f} s: {found.detail}"
            await done(self._database, take(NODE, service_id, EVENTS["suspend"], why=why[:500]))
            await self._database.execute(suspended_here_sql(service_id, is_suspended=True))
            log.warning("service suspended", service=service_id, failures=counts["failures"])
        elif (
            row["state"] == "suspended"
            and counts["is_suspended_here"]
            and counts["successes"] >= settings.health_successes
        ):
            why = f"{counts['successes']} probes succeeded in a row"
            await done(self._database, take(NODE, service_id, EVENTS["resume"], why=why))
            await self._database.execute(suspended_here_sql(service_id, is_suspended=False))
            log.info("service resumed", service=service_id)


async def _head_of(response: httpcore2.Response) -> bytes:
    """The first bytes of the body; the rest is not read."""
    head = bytearray()
    async for chunk in response.aiter_stream():
        head += chunk
        if len(head) >= MAX_SEEN:
            break
    return bytes(head)
