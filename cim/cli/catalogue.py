"""`cim catalogue …`: services in bulk, their template and their table, harvests."""

import getpass
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import orjson
import typer
from rich.console import Console
from rich.markup import escape

from cim.cli.output import table
from cim.errors import CimError, InvalidParameter
from cim.settings import Settings

PARTLY_REJECTED = 3
"""Exit code when some rows were rejected and the rest are stored."""

SHOWN_REJECTIONS = 10

if TYPE_CHECKING:
    from cim.catalogue.load import Intake

app = typer.Typer(no_args_is_help=True)
console = Console(stderr=True)
AsJson = Annotated[bool, typer.Option("--json", help="machine-readable output")]
Job = Annotated[int | None, typer.Option(hidden=True, help="number of a run that the API has queued")]


@app.command("load")
def load(
    sources: Annotated[list[Path], typer.Argument(help="CSV, XLSX, YAML or JSON files of services")],
    organisation: Annotated[
        str | None, typer.Option(help="the only organisation that rows may belong to; they are drafts then")
    ] = None,
    drafts: Annotated[bool, typer.Option("--drafts", help="nothing goes on the shelf without a review")] = False,
    encoding: Annotated[str, typer.Option(help="text encoding of a CSV, e.g. gb18030")] = "utf-8-sig",
    dry_run: Annotated[bool, typer.Option(help="do everything but keep nothing")] = False,
    loaded_by: Annotated[str | None, typer.Option("--by", help="who loads; default the account")] = None,
    called: Annotated[str | None, typer.Option(help="what the audit calls them; default as --by")] = None,
    job: Job = None,
    as_json: AsJson = False,
) -> None:
    """Register services in bulk; the same file again changes nothing. Example: cim catalogue load services.xlsx"""
    load_files(
        "services",
        sources,
        by=loaded_by or getpass.getuser(),
        called=called,
        organisation=organisation,
        may_publish=not drafts and organisation is None,
        encoding=encoding,
        is_dry=dry_run,
        job=job,
        as_json=as_json,
    )


def load_files(
    kind: str,
    sources: list[Path],
    *,
    by: str,
    called: str | None = None,
    organisation: str | None = None,
    may_publish: bool = True,
    encoding: str = "utf-8-sig",
    is_dry: bool = False,
    job: int | None = None,
    as_json: bool = False,
) -> None:
    """Load files of services, or of organisations; ends the command with the exit code of their accounts."""
    from cim.catalogue.load import Intake
    from cim.db.connect import connect, database
    from cim.gateway.policy import parse_allowed

    settings, reports, failed = Settings(), [], False
    with database(settings) as url, connect(url) as connection, connect(url) as beside:
        for path in sources:
            try:
                if kind == "organisations":
                    reports.append(_load_organisations(connection, path))
                else:
                    allowed = parse_allowed(settings.allowed_upstreams)
                    intake = Intake(by, organisation, may_publish, is_dry, allowed, called=called)
                    reports.append(_load_services(connection, path, encoding, intake, job=job, beside=beside))
            except CimError as error:
                failed = True
                console.print(f"[red]{escape(path.name)}: {error.title}.[/red] {escape(error.detail)}", soft_wrap=True)
                reports.append({"source": path.name, "error": {"code": error.code, "detail": error.detail}})
    total = {
        name: sum(report.get(name, 0) for report in reports)
        for name in ("read", "inserted", "updated", "unchanged", "rejected")
    }
    if as_json:
        sys.stdout.buffer.write(orjson.dumps({**total, "dry_run": is_dry, "sources": reports}) + b"\n")
        sys.stdout.flush()
    if failed:
        raise typer.Exit(1)
    if total["rejected"]:
        raise typer.Exit(PARTLY_REJECTED)


def _load_organisations(connection: Any, path: Path) -> dict[str, Any]:
    from cim.catalogue.load import load_organisations, read_rows

    count = load_organisations(connection, read_rows(path, "organisations"))
    console.print(f"[green]{escape(path.name)}[/green]: {count} organisations written")
    return {"source": path.name, "read": count, "updated": count}


def _load_services(
    connection: Any, path: Path, encoding: str, intake: "Intake", *, job: int | None, beside: Any
) -> dict[str, Any]:
    from cim.catalogue.load import load_services, read_rows
    from cim.db.intake import run_of

    started, is_dry, owner = time.monotonic(), intake.is_dry, intake.organisation_id
    with run_of(
        connection, "load", source=path.name, by=intake.by, organisation_id=owner, is_dry=is_dry, job=job, beside=beside
    ) as run:
        account = load_services(connection, read_rows(path, "services", encoding=encoding), intake, run.tell)
        run.counts, run.rejections = account.to_dict(), [one.to_dict() for one in account.rejections]
    seconds = time.monotonic() - started
    console.print(
        f"[green]{escape(path.name)}[/green]: {account.read} read = {account.inserted} {'would be ' if is_dry else ''}inserted + "
        f"{account.updated} updated + {account.unchanged} unchanged + {account.rejected} rejected (run {run.id}, {seconds:.1f} s)"
    )
    if account.rejections:
        shown = table("row", "id", "field", "value", "reason")
        for one in account.rejections[:SHOWN_REJECTIONS]:
            shown.add_row(str(one.row), *(escape(text) for text in (one.id, one.field, one.value, one.reason)))
        console.print(shown)
        console.print(f"  all of them: cim catalogue rejections {run.id}")
    return {"source": path.name, "run": run.id, **account.to_dict(), "seconds": round(seconds, 3)}


@app.command()
def rejections(run: Annotated[int, typer.Argument(help="number of the run")], as_json: AsJson = False) -> None:
    """Rows of a load or harvest that were not taken, as CSV. Example: cim catalogue rejections 17 > mend.csv"""
    from cim.db.connect import connect, database
    from cim.db.intake import rejections_csv
    from cim.db.services import first_row
    from cim.query.intake import rejections_sql

    with database(Settings()) as url, connect(url) as connection:
        row = first_row(connection, rejections_sql(run))
    if row is None:
        raise InvalidParameter("run", run, "the number of a run, as a load tells it")
    listed = row["rejections"]
    sys.stdout.buffer.write(listed.encode() + b"\n" if as_json else rejections_csv(orjson.loads(listed)))


@app.command()
def template(
    out: Annotated[Path | None, typer.Argument(help="file to write; standard output where none is named")] = None,
    xlsx: Annotated[bool, typer.Option("--xlsx", help="a spreadsheet with lists to choose from")] = False,
    filled: Annotated[
        bool, typer.Option("--filled", help="with the services of this node instead of an example")
    ] = False,
    organisation: Annotated[str | None, typer.Option(help="with --filled: of this organisation only")] = None,
) -> None:
    """The table to fill in, or the services of this node in it. Example: cim catalogue template --xlsx services.xlsx"""
    from cim.catalogue.template import EXAMPLE, csv_template, xlsx_template

    services = _services(organisation) if filled else [EXAMPLE]
    is_sheet = xlsx or (out is not None and out.suffix.lower() == ".xlsx")
    body = xlsx_template(services) if is_sheet else csv_template(services)
    if out is None:
        sys.stdout.buffer.write(body)
        sys.stdout.flush()
    else:
        out.write_bytes(body)


def _services(organisation: str | None) -> list[dict[str, Any]]:
    from cim.db.connect import connect, database
    from cim.query.intake import own_services_sql

    text, values = own_services_sql(organisation).compile_psycopg()
    with database(Settings()) as url, connect(url) as connection:
        return [orjson.loads(row[0]) for row in connection.execute(text.encode(), values)]


@app.command()
def harvest(
    source: Annotated[str, typer.Argument(help="an address, or the id of a harvest that is known")],
    organisation: Annotated[str | None, typer.Option(help="whose services they become; of a new harvest")] = None,
    harvest_id: Annotated[
        str | None, typer.Option("--id", help="id of a new harvest; default from the address")
    ] = None,
    kind: Annotated[str, typer.Option(help="kind of the source; auto knows it by its documents")] = "auto",
    document: Annotated[Path | None, typer.Option(help="a document of the source, instead of asking it")] = None,
    every: Annotated[int | None, typer.Option(help="seconds between runs; of a new harvest")] = None,
    dry_run: Annotated[bool, typer.Option(help="do everything but keep nothing")] = False,
    by: Annotated[str | None, typer.Option("--by", help="who asks for it; default the account")] = None,
    job: Job = None,
    as_json: AsJson = False,
) -> None:
    """Register what a source offers as drafts; again: what changed.

    Example: cim catalogue harvest https://maps.example/wms --organisation planning
    """
    from cim.catalogue.harvest.declare import declared
    from cim.catalogue.harvest.document import Document
    from cim.catalogue.harvest.run import harvest_of
    from cim.catalogue.tiers import run_any
    from cim.db.connect import connect, database

    settings = Settings()
    with database(settings) as url, connect(url) as connection, connect(url) as beside:
        row = declared(
            connection, settings, source, harvest_id=harvest_id, kind=kind, organisation=organisation, every=every,
            by=by or getpass.getuser(), is_kept=not dry_run,
        )  # fmt: skip
        given = None if document is None else Document(row["url"], document.read_bytes())
        report = run_any(
            connection,
            settings,
            harvest_of(row),
            by=by or getpass.getuser(),
            document=given,
            is_dry=dry_run,
            job=job,
            beside=beside,
        )
    counts = report["account"]
    console.print(
        f"[green]{escape(row['id'])}[/green]: {counts['read']} read = {counts['inserted']} {'would be ' if dry_run else ''}inserted + "
        f"{counts['updated']} updated + {counts['unchanged']} unchanged + {counts['rejected']} rejected; "
        f"{counts['withdrawn']} withdrawn (run {report['run']}, {report['seconds']:.1f} s)"
    )
    for note in report["notes"]:
        console.print(f"  {escape(note)}", soft_wrap=True)
    if as_json:
        sys.stdout.buffer.write(orjson.dumps(report) + b"\n")
        sys.stdout.flush()
    if counts["rejected"]:
        console.print(f"  rejected, and why: cim catalogue rejections {report['run']}")
        raise typer.Exit(PARTLY_REJECTED)


@app.command()
def reconcile(
    node: Annotated[str, typer.Argument(help="id of a node")],
    day: Annotated[str, typer.Option(help="day of the platform, YYYY-MM-DD")],
    as_json: AsJson = False,
) -> None:
    """Calls of a day to a node's services, as both ledgers have them. Example: cim catalogue reconcile nanshan --day 2026-11-24"""
    from cim.catalogue import reconcile as ledgers
    from cim.db.connect import connect, database
    from cim.db.services import first_row
    from cim.errors import NotFound
    from cim.gateway.policy import parse_allowed
    from cim.gateway.sealing import sealer_of
    from cim.interval import parse_date
    from cim.query.nodes import nodes_sql

    settings, when = Settings(), parse_date(day)
    if when is None:
        raise InvalidParameter("day", day, "a day, YYYY-MM-DD")
    with database(settings) as url, connect(url) as connection:
        row = first_row(connection, nodes_sql(node))
        if row is None:
            raise NotFound("node", node)
        allowed, sealer = parse_allowed(settings.allowed_upstreams), sealer_of(settings)
        told = ledgers.reconcile(connection, row, when, here=settings.node_id, allowed=allowed, sealer=sealer)
    sys.stdout.buffer.write(orjson.dumps(told) + b"\n")
    sys.stdout.flush()
