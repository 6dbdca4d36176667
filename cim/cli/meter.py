"""`cim meter …`: what waits to be booked, the ledger's closes, and whether they hold."""

import sys
import time
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import orjson
import typer

from cim.cli.output import console, table
from cim.errors import InvalidParameter
from cim.settings import Settings

app = typer.Typer(no_args_is_help=True)

AsJson = Annotated[bool, typer.Option("--json", help="machine-readable output")]


def _shown(document: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        sys.stdout.buffer.write(orjson.dumps(document, default=str) + b"\n")
        return
    for name, value in document.items():
        console().print(f"{name}: {value}")


@app.command()
def status(as_json: AsJson = False) -> None:
    """What is spooled on this node, what is in the ledger, the last close. Example: cim meter status"""
    from cim.db.closes import last_close
    from cim.db.connect import connect, database
    from cim.db.ledger import totals

    settings = Settings()
    folder = settings.data_dir / "spool"
    with database(settings) as url, connect(url) as connection:
        last = last_close(connection)
        document = {
            "spooled_bytes": _bytes_of(folder, "*.calls"),
            "segments": len(list(folder.glob("*.calls"))),
            "damaged_segments": len(list(folder.glob("*.damaged"))),
            **totals(connection),
            "last_close": None if last is None else last.day,
            "last_number": None if last is None else last.number,
            "last_digest": None if last is None else last.digest.hex(),
        }
    _shown(document, as_json=as_json)


def _bytes_of(folder: Path, pattern: str) -> int:
    return sum(path.stat().st_size for path in folder.glob(pattern))


@app.command()
def ship(as_json: AsJson = False) -> None:
    """Book what is spooled on this node and not of a running worker. Example: cim meter ship"""
    from cim.db.connect import database
    from cim.metering.shipper import connected
    from cim.metering.shipper import ship as book
    from cim.metering.spool import Spool

    settings = Settings()
    spool = Spool(settings.data_dir / "spool", settings.meter_spool_bytes)
    spool.open()
    with database(settings) as url:
        reachable = settings.model_copy(update={"database_url": url})
        with connected(reachable) as connection:
            done = book(spool, connection, reachable)
    _shown({"segments": done.segments, "lines": done.lines, "new": done.new, "damaged": done.damaged}, as_json=as_json)


@app.command()
def release(as_json: AsJson = False) -> None:
    """Book the calls in quarantine on the first open day, once they were looked at. Example: cim meter release"""
    from cim.db.connect import database
    from cim.db.ledger import release as book
    from cim.metering.shipper import connected

    settings = Settings()
    with database(settings) as url, connected(settings.model_copy(update={"database_url": url})) as connection:
        _shown({"booked": book(connection)}, as_json=as_json)


@app.command()
def close(as_json: AsJson = False) -> None:
    """Close every day that has ended and is not closed yet. Example: cim meter close"""
    from cim.db.closes import close_due
    from cim.db.connect import connect, database
    from cim.metering.call import Days

    settings = Settings()
    with database(settings) as url, connect(url, application="opencim-meter") as connection:
        closed = close_due(connection, Days(ZoneInfo(settings.time_zone)), time.time())
    listed = [
        {
            "number": one.number,
            "day": one.day.isoformat(),
            "calls": one.calls,
            "denied": one.denied,
            "digest": one.digest.hex(),
        }
        for one in closed
    ]
    if as_json:
        _shown({"closed": listed}, as_json=True)
        return
    rows = table("number", "day", "calls", "denied", "digest")
    for one in listed:
        rows.add_row(*map(str, one.values()))
    console().print(rows if listed else "no day is due")


@app.command()
def verify(
    anchor: Annotated[str | None, typer.Option(help="NUMBER:DIGEST of a close, as it was noted elsewhere")] = None,
    as_json: AsJson = False,
) -> None:
    """Check that every close holds; names the first broken day, and ends with 1. Example: cim meter verify --anchor 31:9f86d0…"""
    from cim.db.closes import all_closes
    from cim.db.closes import verify as checked
    from cim.db.connect import connect, database

    noted = None if anchor is None else _anchor(anchor)
    with database(Settings()) as url, connect(url, application="opencim-meter") as connection:
        broken = checked(connection, anchor=noted)
        count = sum(1 for _ in all_closes(connection))
    if broken is None:
        _shown({"holds": True, "closes": count}, as_json=as_json)
        return
    _shown({"holds": False, "day": broken.day.isoformat(), "why": broken.why}, as_json=as_json)
    raise typer.Exit(1)


def _anchor(text: str) -> tuple[int, bytes]:
    number, _, digest = text.partition(":")
    try:
        return int(number), bytes.fromhex(digest)
    except ValueError:
        raise InvalidParameter("anchor", text, "NUMBER:DIGEST, the digest in hexadecimal") from None
