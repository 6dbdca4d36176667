"""`cim status`: what is in the city and how the last loads went."""

import sys
from typing import Annotated, Any

import orjson
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cim.settings import Settings

console = Console(highlight=False)


def status(as_json: Annotated[bool, typer.Option("--json", help="machine-readable output")] = False) -> None:
    """Collections with counts, and the last ten load runs with their accounts. Example: cim status"""
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
    console.print(shown(url))
    table = Table("collection", "features", box=None)
    for row in counts:
        table.add_row(row["id"], f"{row['features']:,}")
    console.print(table)
    names = ("id", "collection_id", "source", "state", "read", "inserted", "updated", "unchanged", "rejected", "error")
    table = Table(*names, box=None)
    for row in runs:
        table.add_row(*(escape(str(row[name] if row[name] is not None else "")) for name in names))
    console.print(table)
