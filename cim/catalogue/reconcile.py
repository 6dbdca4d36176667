"""Calls of a day to a district's services, as both ledgers have them.

First sums and digests of each service are compared, then of the buckets of those that differ, then the calls of the buckets that
differ: what is sent depends on what differs, not on how many calls there were.
"""

from collections.abc import Callable, Mapping
from datetime import date
from typing import Any
from urllib.parse import quote

from cim.catalogue.harvest.fetch import Fetcher
from cim.catalogue.harvest.run import Connection
from cim.catalogue.nodes import node_purpose
from cim.db.services import all_rows, first_row
from cim.errors import SourceRefused
from cim.gateway.policy import Allowed
from cim.gateway.sealing import Sealer
from cim.query.nodes import Step, node_key_sql, sent_sql

MAX_TOLD = 100
"""Ids of calls that differ, told of each service and side."""

Row = tuple[int, str]
"""Calls, and their digest."""
Asked = Callable[[Step], dict[str, Row]]


def reconcile(
    connection: Connection, node: Mapping[str, Any], day: date, *, here: str, allowed: Allowed, sealer: Sealer
) -> dict[str, Any]:
    """This node's calls of a day to services of `node` beside the node's own ledger: per service, and what differs by ids.

    Calls that are on their way into a ledger are told as missing until they are booked. Raises what fetching raises.
    """
    row = first_row(connection, node_key_sql(node["id"]))
    assert row is not None
    key = sealer.opened(bytes(row["sealed_key"]), node_purpose(node["id"])).decode()
    fetcher = Fetcher(allowed, headers={"X-API-Key": key})

    def ours(step: Step) -> dict[str, Row]:
        rows = all_rows(connection, sent_sql(day, node["id"], step))
        return {one["name"]: (one["calls"], one["digest"]) for one in rows}

    def theirs(step: Step) -> dict[str, Row]:
        asked = f"?day={day.isoformat()}&node={quote(here)}"
        asked += f"&service={quote(step.service, safe='')}" if step.service is not None else ""
        asked += f"&bucket={step.bucket}" if step.bucket is not None else ""
        return _rows(fetcher(f"{node['url']}/catalogue/relayed{asked}").json, node["url"])

    try:
        services = [
            _compared(name, ours, theirs, *both) for name, both in _beside(ours(Step()), theirs(Step())).items()
        ]
    finally:
        fetcher.close()
    agrees = all(not one["onlyHere"] and not one["onlyThere"] for one in services)
    return {"node": node["id"], "day": day.isoformat(), "agrees": agrees, "services": services}


def _rows(answer: Any, url: str) -> dict[str, Row]:
    rows = answer.get("rows") if isinstance(answer, dict) else None
    if not isinstance(rows, list):
        raise SourceRefused(f"{url} tells nothing of its calls")
    try:
        return {str(one["name"]): (int(one["calls"]), str(one["digest"])) for one in rows}
    except (KeyError, TypeError, ValueError) as error:
        raise SourceRefused(f"{url} tells of its calls in a form that is not known") from error


def _beside(here: Mapping[str, Row], there: Mapping[str, Row]) -> dict[str, tuple[Row, Row]]:
    nothing = (0, "")
    return {name: (here.get(name, nothing), there.get(name, nothing)) for name in sorted({*here, *there})}


def _compared(service: str, ours: Asked, theirs: Asked, here: Row, there: Row) -> dict[str, Any]:
    only_here: list[str] = []
    only_there: list[str] = []
    if here != there:
        buckets = _beside(ours(Step(service)), theirs(Step(service)))
        for bucket in (name for name, (one, other) in buckets.items() if one != other):
            mine, other = ours(Step(service, bucket)), theirs(Step(service, bucket))
            only_here += [call for call, (is_of_day, _) in mine.items() if is_of_day and call not in other]
            only_there += [call for call, (is_of_day, _) in other.items() if is_of_day and call not in mine]
            if max(len(only_here), len(only_there)) >= MAX_TOLD:
                break
    return {
        "service": service,
        "here": here[0],
        "there": there[0],
        "onlyHere": only_here[:MAX_TOLD],
        "onlyThere": only_there[:MAX_TOLD],
    }
