"""`cim collections …`: what this node knows."""

import sys
from typing import Annotated

import orjson
import typer
from rich.console import Console
from rich.table import Table

from cim.errors import NotFound
from cim.settings import Settings

app = typer.Typer(no_args_is_help=True)
console = Console(highlight=False)

AsJson = Annotated[bool, typer.Option("--json", help="machine-readable output")]


@app.command("list")
def list_(as_json: AsJson = False) -> None:
    """List collections with their counts. Example: cim collections list"""
    from cim.db.connect import connect, database
    from cim.db.registry_write import all_collections

    with database(Settings()) as url, connect(url) as connection:
        counts = dict(connection.execute("SELECT collection_id, feature_count FROM cim.collection_stats").fetchall())
        found = all_collections(connection)
    if as_json:
        facts = [
            {"id": c.id, "kind": c.kind, "title_zh": c.title_zh, "title_en": c.title_en, "count": counts[c.id]}
            for c in found
        ]
        sys.stdout.buffer.write(orjson.dumps(facts) + b"\n")
        return
    table = Table("id", "kind", "title", "features", box=None)
    for c in found:
        table.add_row(c.id, c.kind, f"{c.title_zh} {c.title_en}", f"{counts[c.id]:,}")
    console.print(table)


@app.command()
def show(collection_id: Annotated[str, typer.Argument(help="id of the collection")], as_json: AsJson = False) -> None:
    """Show a collection's properties. Example: cim collections show buildings"""
    from cim.db.connect import connect, database
    from cim.db.registry_write import find_collection
    from cim.model.declaration import declaration_of

    with database(Settings()) as url, connect(url) as connection:
        found = find_collection(connection, collection_id)
    if found is None:
        raise NotFound("collection", collection_id)
    if as_json:
        sys.stdout.buffer.write(orjson.dumps(declaration_of(found)) + b"\n")
        return
    console.print(
        f"{found.id}: {found.title_zh} {found.title_en}, {found.geometry_type}, table {found.table_schema}.{found.table_name}"
    )
    table = Table("property", "kind", "unit", "title", "codes", box=None)
    for p in found.properties:
        table.add_row(p.name, p.kind.value, p.unit or "", f"{p.title_zh} {p.title_en}", ", ".join(p.codes or {}))
    console.print(table)


@app.command()
def delete(
    collection_id: Annotated[str, typer.Argument(help="id of a loaded dataset")],
    yes: Annotated[bool, typer.Option("--yes", help="do not ask")] = False,
) -> None:
    """Drop a loaded dataset with its rows and history. Example: cim collections delete trees --yes"""
    from cim.db.connect import connect, database
    from cim.db.registry_write import unregister

    if not yes:
        typer.confirm(f"drop '{collection_id}' with all its rows?", abort=True)
    with database(Settings()) as url, connect(url) as connection:
        unregister(connection, collection_id)
    console.print(f"'{collection_id}' is gone")
