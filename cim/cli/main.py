"""`cim`: the command-line program. Each command imports what it needs when it runs."""

import sys
from typing import Annotated, NoReturn

import orjson
import typer
from pydantic import ValidationError
from rich.console import Console
from rich.markup import escape

from cim import __version__
from cim.cli import audit, catalogue, collections, db, doctor, load, meter, people, sample, serve, status
from cim.errors import CimError, SetupProblem
from cim.quoting import quoted
from cim.settings import Settings

app = typer.Typer(
    name="cim",
    help="OpenCIM: a city-information data service. Start with: cim run",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)
app.command("run")(serve.run)
app.command("serve")(serve.serve)
app.command("load")(load.load)
app.command("sample")(sample.sample)
app.command("status")(status.status)
app.command("doctor")(doctor.doctor)
app.add_typer(collections.app, name="collections", help="List, show and delete collections.")
app.add_typer(meter.app, name="meter", help="Calls of services: status, ship, release, close, verify.")
app.add_typer(catalogue.app, name="catalogue", help="Services: in bulk, their template, rejected rows.")
app.add_typer(audit.app, name="audit", help="Who did what: verify the chain, its last row.")
app.add_typer(people.app, name="people", help="Organisations, people and their keys: the first ones.")
app.add_typer(db.app, name="db", help="The database: upgrade, start, stop, keys, rejections, psql.")


def _version(is_asked: bool) -> None:
    if is_asked:
        typer.echo(f"cim {__version__}")
        raise typer.Exit


@app.callback()
def _top(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Exit codes: 0 done, 1 failed, 2 wrong usage, 3 some rows rejected."""


def run() -> None:
    """Entry point: errors of `cim.errors` become one line (and JSON with --json), never a traceback."""
    try:
        app()
    except CimError as error:
        _fail(error)
    except ValidationError as error:
        if error.title != Settings.__name__:
            raise
        _fail(_bad_setting(error))
    except KeyboardInterrupt:
        Console(stderr=True).print("stopped; the same command goes on where it was")
        sys.exit(130)


def _fail(error: CimError) -> NoReturn:
    Console(stderr=True).print(f"[red]{error.title}.[/red] {escape(error.detail)}", soft_wrap=True)
    if "--json" in sys.argv:
        sys.stdout.buffer.write(orjson.dumps({"error": error.told()}) + b"\n")
    sys.exit(1)


def _bad_setting(error: ValidationError) -> SetupProblem:
    facts = error.errors(include_url=False)[0]
    field = str(facts["loc"][0]) if facts["loc"] else ""
    name = field if field.isupper() else f"CIM_{field.upper()}"
    return SetupProblem(f"{name}={quoted(facts['input'])}: {facts['msg'][:1].lower()}{facts['msg'][1:]}")


if __name__ == "__main__":
    run()
