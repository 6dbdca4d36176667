"""`cim collections …`: what this node knows."""

import sys
from typing import Annotated

import orjson
import typer
from rich.markup import escape

from cim.cli.output import console, table
from cim.errors import NotFound
from cim.settings import Settings

app = typer.Typer(no_args_is_help=True)
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
    rows = table("id", "kind", "title", "features")
    for c in found:
        rows.add_row(c.id, c.kind, escape(f"{c.title_zh} {c.title_en}"), f"{counts[c.id]:,}")
    console().print(rows)


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
    out = console()
    out.print(
        escape(
            f"{found.id}: {found.title_zh} {found.title_en}, {found.geometry_type}, table {found.table_schema}.{found.table_name}"
        ),
        soft_wrap=True,
    )
    rows = table("property", "kind", "unit", "title", "codes")
    for p in found.properties:
        title = p.title_zh if p.title_zh == p.title_en else f"{p.title_zh} {p.title_en}"
        rows.add_row(escape(p.name), p.kind.value, p.unit or "", escape(title), ", ".join(p.codes or {}))
    out.print(rows)


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
    console().print(f"'{collection_id}' is gone")
