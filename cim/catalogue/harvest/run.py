"""One run of a harvest: what the source has becomes drafts, what it changed is edited, what it lost is withdrawn.

A source is read whole before anything is written; then each service is written in a transaction of its own, so that a
run that was killed goes on where it was. A service whose source did not change is left alone, whatever was edited here;
of one that changed only the members that differ from what the source said before are taken over.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import orjson
import psycopg

from cim.catalogue.harvest import HARVESTERS, entries_of, harvester_for
from cim.catalogue.harvest.document import Document
from cim.catalogue.harvest.fetch import Fetcher, asked
from cim.catalogue.harvest.found import Found, Unusable, service_id
from cim.catalogue.life import EVENTS
from cim.catalogue.review import Steps, put, standing_of, take
from cim.catalogue.service import MEMBERS, checked
from cim.db.intake import Run
from cim.db.services import all_rows, done_here, first_row
from cim.errors import CimError, InvalidParameter, LoadBusy, SourceRefused, UpstreamRefused
from cim.gateway.policy import NONE, Allowed, checked_url
from cim.model import Scope, roles_of
from cim.query.harvests import gone_sql, harvested_sql, link_sql, lock_harvest_sql, unlock_harvest_sql
from cim.query.intake import stopped_sql
from cim.query.service_life import standing_sql

Connection = psycopg.Connection[Any]

_OWS = ("wms", "wfs", "wmts", "rest")


@dataclass(frozen=True, slots=True)
class Harvest:
    """What is harvested, for whom. `kind`: of `HARVESTERS`, or auto."""

    id: str
    url: str
    organisation_id: str
    kind: str = "auto"
    share_class: str = "conditional"
    area_code: str | None = None


def harvest_of(row: Mapping[str, Any]) -> Harvest:
    """From a row of `harvest_sql`."""
    return Harvest(row["id"], row["url"], row["organisation_id"], row["kind"], row["share_class"], row["area_code"])


@dataclass(slots=True)
class Account:
    """What a run comes to."""

    counts: dict[str, int] = field(
        default_factory=lambda: dict.fromkeys(("read", "inserted", "updated", "unchanged", "rejected", "withdrawn"), 0)
    )
    rejections: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def reject(self, remote_id: str, error: CimError | str) -> None:
        """An entry that was not taken, and why."""
        code, reason = ("not-a-service", error) if isinstance(error, str) else (error.code, error.detail)
        name = "" if isinstance(error, str) else error.parameter or ""
        self.counts["rejected"] += 1
        self.rejections.append(
            {
                "row": self.counts["read"],
                "id": remote_id[:200],
                "field": name,
                "value": "",
                "code": code,
                "reason": reason,
                "missing": [],
            }
        )


def read_source(
    harvest: Harvest, allowed: Allowed, document: Document | None = None
) -> tuple[str, str, list[Found | Unusable]]:
    """The kind of the source, the address it was read at, and all that is found there. Raises what fetching raises."""
    if document is not None:
        reader = harvester_for(document, harvest.kind)
        return reader.kind, document.url, entries_of(reader, document, None)
    fetcher = Fetcher(allowed)
    try:
        first = _first(fetcher, harvest)
        reader = harvester_for(first, harvest.kind)
        return reader.kind, first.url, entries_of(reader, first, fetcher)
    finally:
        fetcher.close()


def _first(fetcher: Fetcher, harvest: Harvest) -> Document:
    """The source's document; a known kind is asked for its capabilities where the address asks for nothing."""
    query = next((one.query for one in HARVESTERS if one.kind == harvest.kind), "")
    return fetcher(asked(harvest.url, query))


def run_harvest(
    connection: Connection,
    harvest: Harvest,
    run: Run,
    *,
    allowed: Allowed = NONE,
    document: Document | None = None,
    is_dry: bool = False,
) -> None:
    """Read the source and write what became of it; the account goes into `run`. Raises LoadBusy, SourceRefused."""
    with held(connection, harvest.id, run):
        kind, url, entries = read_source(harvest, allowed, document)
        known = {row["remote_id"]: row for row in all_rows(connection, harvested_sql(harvest.id))}
        if known and not any(isinstance(one, Found) for one in entries):
            raise SourceRefused("the source lists nothing now; nothing was withdrawn")
        account = Account()
        writer = Writer(connection, harvest, f"harvest {harvest.id}", allowed, url, kind)
        with connection.transaction(force_rollback=True) if is_dry else nullcontext():
            seen: set[str] = set()
            for one in entries:
                run.tell(account.counts, len(entries))
                account.counts["read"] += 1
                if isinstance(one, Unusable) or one.remote_id in seen:
                    account.reject(
                        one.remote_id, one.reason if isinstance(one, Unusable) else "comes twice in the source"
                    )
                    continue
                seen.add(one.remote_id)
                try:
                    account.counts[writer.write(one, known.get(one.remote_id))] += 1
                except CimError as error:
                    account.reject(one.remote_id, error)
            account.counts["withdrawn"] = writer.bury([row for name, row in known.items() if name not in seen])
        run.counts, run.rejections, run.notes = account.counts, account.rejections, [f"{kind}: {url}", *writer.notes]


@contextmanager
def held(connection: Connection, harvest_id: str, run: Run) -> Iterator[None]:
    """Nobody else runs the harvest while the block does; runs that were killed are closed. Raises LoadBusy."""
    row = first_row(connection, lock_harvest_sql(harvest_id))
    if row is None or not row["is_free"]:
        raise LoadBusy(f"'{harvest_id}' is being harvested by another process")
    first_row(connection, stopped_sql(harvest_id, run.id))
    try:
        yield
    finally:
        first_row(connection, unlock_harvest_sql(harvest_id))


class Writer:
    """Writes what was found as services of one harvest."""

    def __init__(
        self, connection: Connection, harvest: Harvest, by: str, allowed: Allowed, url: str, kind: str
    ) -> None:
        self._connection, self._harvest, self._allowed = connection, harvest, allowed
        self._url, self._kind = url, kind
        self._scope = Scope(roles=roles_of("admin"), caller=by)
        self._now = datetime.now(UTC).isoformat(timespec="seconds")
        self.notes: list[str] = []

    def write(self, one: Found, known: Mapping[str, Any] | None) -> str:
        """Register or edit the service; gives the word of the account. Raises CimError for one that cannot be taken."""
        former = orjson.loads(known["provenance"] or "{}") if known else {}
        is_back = "gone_at" in former
        if former.get("digest") == one.digest and not is_back:
            return "unchanged"
        values = self._members(one)
        with self._connection.transaction():
            if known is None:
                identity = service_id(self._harvest.id, one.remote_id)
                done_here(self._connection, self.steps({**values, "id": identity}))
            else:
                identity = known["id"]
                merged = self._merged(identity, values, former.get("document") or {})
                done_here(self._connection, self.steps(merged))
                if is_back:
                    self._revive(identity, known["state"])
            self._link(identity, one, values)
        return "inserted" if known is None else "updated"

    def steps(self, values: Mapping[str, Any]) -> Steps[str]:
        """How a service is written: as a draft, beside the public version where there is one."""
        return put(self._scope, values)

    def bury(self, rows: Sequence[Mapping[str, Any]]) -> int:
        """Withdraw what the source has no more, and mark it; gives how many were not marked before."""
        count = 0
        for row in rows:
            if "gone_at" in orjson.loads(row["provenance"] or "{}"):
                continue
            why = f"gone from its source {self._url[:200]} since {self._now}"
            with self._connection.transaction():
                if row["state"] in EVENTS["withdraw"].sources:
                    done_here(self._connection, take(self._scope, row["id"], EVENTS["withdraw"], why=why, rank=1))
                first_row(self._connection, gone_sql(row["id"], self._now, why))
            count += 1
        return count

    def _revive(self, identity: str, state: str) -> None:
        first_row(self._connection, gone_sql(identity, None, None))
        if state == "withdrawn":
            done_here(self._connection, take(self._scope, identity, EVENTS["republish"], why="its source has it again"))

    def _members(self, one: Found) -> dict[str, Any]:
        """What was found as members of a registration. Raises CimError."""
        values = {name: value for name, value in one.values.items() if name in MEMBERS}
        values["endpoints"] = self._callable(values["endpoints"])
        values |= {"organisation_id": self._harvest.organisation_id}
        values.setdefault("share_class", self._harvest.share_class)
        if self._harvest.area_code:
            values.setdefault("area_code", self._harvest.area_code)
        return checked(values, is_partial=True, allowed_upstreams=self._allowed)

    def _callable(self, endpoints: Sequence[Mapping[str, str]]) -> list[dict[str, str]]:
        """Endpoints that may be called; an OGC service whose own address may not is called where it was found."""
        kept, refused = [], None
        for one in endpoints:
            try:
                checked_url(one["url"], allowed=self._allowed, parameter="endpoints")
            except UpstreamRefused as error:
                refused = error
                if one["kind"] not in _OWS or self._url.startswith("file:"):
                    continue
                note = f"addresses such as {one['url'][:150]} may not be called: that of the source is taken instead"
                if note not in self.notes:
                    self.notes.append(note)
                kept.append({**one, "url": self._url.partition("?")[0]})
            else:
                kept.append(dict(one))
        if not kept:
            raise refused or InvalidParameter("endpoints", "", "no address is left")
        return kept

    def _merged(self, identity: str, values: Mapping[str, Any], former: Mapping[str, Any]) -> dict[str, Any]:
        """The content here, with what the source has changed since it was last read."""
        row = first_row(self._connection, standing_sql(identity))
        assert row is not None
        here = dict(standing_of(row).document)
        changed = {name: values.get(name) for name in {*values, *former} if values.get(name) != former.get(name)}
        return {**here, **changed, "id": identity}

    def _link(self, identity: str, one: Found, values: Mapping[str, Any]) -> None:
        provenance = {
            "harvest": self._harvest.id,
            "source": self._harvest.url,
            "kind": self._kind,
            "fetched_at": self._now,
            "digest": one.digest,
            "facts": dict(one.facts),
            "document": dict(values),
        }
        first_row(self._connection, link_sql(identity, self._harvest.id, one.remote_id, provenance))
