"""Runs of harvests of either kind, recorded: of a source elsewhere, or of a node of the other tier."""

import time
from typing import Any

from cim.catalogue.harvest.document import Document
from cim.catalogue.harvest.run import Connection, Harvest, run_harvest
from cim.catalogue.nodes import run_node
from cim.db.intake import run_of
from cim.db.services import first_row
from cim.errors import CimError
from cim.gateway.policy import parse_allowed
from cim.gateway.sealing import sealer_of
from cim.query.harvests import scheduled_sql
from cim.settings import Settings


def run_any(
    connection: Connection,
    settings: Settings,
    harvest: Harvest,
    *,
    by: str,
    document: Document | None = None,
    is_dry: bool = False,
    job: int | None = None,
    beside: Connection | None = None,
) -> dict[str, Any]:
    """One run, recorded with its account, the next one scheduled; `job`, `beside` as `run_of` has them.

    Raises what the run failed with, after it was recorded.
    """
    started = time.monotonic()
    allowed = parse_allowed(settings.allowed_upstreams)
    try:
        with run_of(
            connection, "node" if harvest.kind == "node" else "harvest", source=harvest.url, by=by, organisation_id=harvest.organisation_id,
            harvest_id=harvest.id, is_dry=is_dry, job=job, beside=beside,
        ) as run:  # fmt: skip
            if harvest.kind == "node":
                run_node(connection, harvest, run, allowed=allowed, sealer=sealer_of(settings), is_dry=is_dry)
            else:
                run_harvest(connection, harvest, run, allowed=allowed, document=document, is_dry=is_dry)
    except CimError:
        if not is_dry:
            first_row(connection, scheduled_sql(harvest.id, is_failed=True))
        raise
    if not is_dry:
        first_row(connection, scheduled_sql(harvest.id, is_failed=False))
    return {
        "run": run.id,
        "harvest": harvest.id,
        "dry_run": is_dry,
        "account": dict(run.counts),
        "notes": list(run.notes),
        "seconds": round(time.monotonic() - started, 3),
    }
