"""`cim db …`: the database of this node."""

import signal
import subprocess
import sys
from typing import Annotated

import orjson
import typer
from rich.markup import escape

from cim.cli.output import console, table
from cim.errors import InvalidParameter, SetupProblem
from cim.settings import Settings

app = typer.Typer(no_args_is_help=True)
key_app = typer.Typer(no_args_is_help=True)
app.add_typer(key_app, name="key", help="Keys of callers: create, list, revoke.")

AsJson = Annotated[bool, typer.Option("--json", help="machine-readable output")]


def _print_json(value: object) -> None:
    sys.stdout.buffer.write(orjson.dumps(value, default=str) + b"\n")


@app.command()
def upgrade() -> None:
    """Bring the schema up to date. Safe to repeat. Example: cim db upgrade"""
    from cim.db.connect import connect, database, shown
    from cim.db.guard import set_api_password
    from cim.db.login import lets_in
    from cim.db.migrate import upgrade as bring_up

    settings = Settings()
    with database(settings) as url:
        bring_up(url)
        if settings.api_password:
            try:
                with connect(url) as connection:
                    set_api_password(connection, settings.api_password)
            except SetupProblem:  # where a superuser has given it the password already there is nothing to do
                if not lets_in(url, settings.api_password):
                    raise
        console().print(f"{shown(url)} is up to date")


@app.command()
def start() -> None:
    """Start the embedded database and leave it running until `cim db stop`. Example: cim db start"""
    from cim.db.connect import database
    from cim.db.embedded import Cluster
    from cim.db.ownership import keep

    settings = Settings().model_copy(update={"database_url": None})
    cluster = Cluster(settings.data_dir)
    with database(settings):
        keep(cluster)
    console().print(f"running: psql '{cluster.url()}'", soft_wrap=True)


@app.command()
def stop() -> None:
    """Stop the embedded database where nobody uses it. Example: cim db stop"""
    from cim.db.embedded import Cluster
    from cim.db.ownership import stop as stop_unused

    stop_unused(Cluster(Settings().data_dir))
    console().print("stopped")


@app.command()
def psql() -> None:
    """Open psql on this node's database. Example: cim db psql"""
    from cim.db.connect import database
    from cim.db.programs import client_program

    program = client_program("psql")
    with database(Settings()) as url:
        former = signal.signal(signal.SIGINT, lambda number, frame: None)  # Ctrl-C is psql's, to cancel a query
        try:
            done = subprocess.run([program, url], check=False)
        finally:
            signal.signal(signal.SIGINT, former)
    raise typer.Exit(done.returncode)


@app.command()
def rejections(
    run: Annotated[int, typer.Argument(help="number of the load run")],
    format_: Annotated[str, typer.Option("--format", help="csv, geojson or json")] = "csv",
) -> None:
    """Rejected rows of a load with number, reason and original. Example: cim db rejections 17 --format geojson > mend.geojson"""
    from cim.db.connect import connect, database
    from cim.db.rejections import FORMS, written

    if format_ not in FORMS:
        raise InvalidParameter("format", format_, f"one of {', '.join(FORMS)}")
    with database(Settings()) as url, connect(url) as connection:
        for piece in written(connection, run, FORMS[format_]):
            sys.stdout.buffer.write(piece)


@key_app.command("create")
def create(
    role: Annotated[str, typer.Option(help="reader, editor or admin")] = "reader",
    label: Annotated[str, typer.Option(help="whose key it is")] = "",
    collections: Annotated[str | None, typer.Option(help="the only collections it sees, comma separated")] = None,
    area: Annotated[str | None, typer.Option(help="division code: the only area it sees")] = None,
    hide: Annotated[str | None, typer.Option(help="properties it does not see: name or collection.name, …")] = None,
    precision_m: Annotated[float | None, typer.Option(help="cells by which it is told places, in metres")] = None,
    as_json: AsJson = False,
) -> None:
    """Make a key; it is shown once. Example: cim db key create --role editor --area 440305 --label 'Nanshan district'"""
    from cim.db.connect import connect, database
    from cim.db.keys import create_key
    from cim.db.registry_write import all_collections
    from cim.db.rights import checked_rights

    asked = {
        "role": role,
        "collections": None if collections is None else collections.split(","),
        "area_code": area,
        "hidden": None if hide is None else hide.split(","),
        "precision_m": precision_m,
    }
    with database(Settings()) as url, connect(url) as connection:
        rights = checked_rights(asked, all_collections(connection))
        key = create_key(connection, rights, label=label)
    if as_json:
        _print_json({"key": key, "label": label, **rights.to_dict()})
    else:
        console().print(key)


@key_app.command("list")
def list_(as_json: AsJson = False) -> None:
    """List keys by prefix. Example: cim db key list"""
    from cim.db.connect import connect, database
    from cim.db.keys import list_keys

    with database(Settings()) as url, connect(url) as connection:
        keys = list_keys(connection)
    if as_json:
        _print_json(keys)
        return
    rows = table("prefix", "role", "label", "limits", "created", "expires", "revoked")
    for key in keys:
        limits = [
            f"{n}: {key[n]}" for n in ("collections", "area_code", "hidden", "precision_m") if key[n] not in (None, [])
        ]
        dates = (
            key[n] and key[n].isoformat(sep=" ", timespec="seconds") for n in ("created_at", "expires_at", "revoked_at")
        )
        rows.add_row(
            *(
                escape(str(value or ""))
                for value in (key["prefix"], key["role"], key["label"], "; ".join(limits), *dates)
            )
        )
    console().print(rows)


@key_app.command("revoke")
def revoke(prefix: Annotated[str, typer.Argument(help="prefix as in `cim db key list`")]) -> None:
    """End a key. Example: cim db key revoke cim_Ab3dE6gH"""
    from cim.db.connect import connect, database
    from cim.db.keys import revoke_key

    with database(Settings()) as url, connect(url) as connection:
        revoke_key(connection, prefix)
    console().print(f"{prefix} is revoked")
