"""`cim status`: what is in the city and how the last loads went."""

import sys
from typing import Annotated, Any

import orjson
import typer
from rich.markup import escape

from cim.cli.output import console, table
from cim.settings import Settings


def status(as_json: Annotated[bool, typer.Option("--json", help="machine-readable output")] = False) -> None:
    """Collections with counts, and the last ten load runs with their accounts.

    Example: cim status
    """
    from psycopg.rows import dict_row

    from cim.db.connect import connect, database, shown

    with database(Settings()) as url, connect(url) as connection:
        cursor = connection.cursor(row_factory=dict_row)
        counts: list[dict[str, Any]] = cursor.execute(
            "SELECT collection_id AS id, feature_count AS features FROM cim.collection_stats ORDER BY 1"
        ).fetchall()
        runs: list[dict[str, Any]] = cursor.execute(
            "SELECT r.id, r.collection_id, r.source, r.state, r.started_at, coalesce(sum(b.read), 0)::bigint AS read, "
            "coalesce(sum(b.inserted), 0)::bigint AS inserted, coalesce(sum(b.updated), 0)::bigint AS updated, "
            "coalesce(sum(b.unchanged), 0)::bigint AS unchanged, coalesce(sum(b.rejected), 0)::bigint AS rejected, "
            "r.error ->> 'detail' AS error FROM cim.load_run AS r LEFT JOIN cim.load_batch AS b ON b.load_run_id = r.id "
            "GROUP BY r.id ORDER BY r.id DESC LIMIT 10"
        ).fetchall()
    if as_json:
        sys.stdout.buffer.write(orjson.dumps({"collections": counts, "loads": runs}, default=str) + b"\n")
        return
    out = console()
    out.print(shown(url), soft_wrap=True)
    collections = table("collection", "features")
    for row in counts:
        collections.add_row(row["id"], f"{row['features']:,}")
    out.print(collections)
    names = ("id", "collection_id", "source", "state", "read", "inserted", "updated", "unchanged", "rejected", "error")
    loads = table("run", "collection", *names[2:])
    for row in runs:
        loads.add_row(*(escape(str(row[name] if row[name] is not None else "")) for name in names))
    out.print(loads)
