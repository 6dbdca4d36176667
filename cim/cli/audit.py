"""`cim audit …`: whether the audit is as it was written, and the row it ends with."""

import sys
from typing import Annotated, Any

import orjson
import typer

from cim.cli.output import console
from cim.errors import InvalidParameter
from cim.settings import Settings

app = typer.Typer(no_args_is_help=True)

AsJson = Annotated[bool, typer.Option("--json", help="machine-readable output")]


def _shown(document: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        sys.stdout.buffer.write(orjson.dumps(document) + b"\n")
        return
    for name, value in document.items():
        console().print(f"{name}: {value}")


@app.command()
def head(as_json: AsJson = False) -> None:
    """The number and digest of the last row: note them elsewhere, for `verify --anchor`. Example: cim audit head"""
    from cim.db.connect import connect, database
    from cim.db.guard import is_guarded
    from cim.db.services import first_row
    from cim.query.audit import HEAD_SQL

    with database(Settings()) as url, connect(url) as connection:
        row = first_row(connection, HEAD_SQL)
        assert row is not None
        _shown({"number": row["number"], "digest": row["digest"], "guarded": is_guarded(connection)}, as_json=as_json)


@app.command()
def verify(
    anchor: Annotated[str | None, typer.Option(help="NUMBER:DIGEST of a row, as it was noted elsewhere")] = None,
    as_json: AsJson = False,
) -> None:
    """Check every row, and the heads noted day by day in the data folder; names the first row that is not as it was written.

    Ends with 1 then. Example: cim audit verify --anchor 31:9f86d0…
    """
    from cim.db.audit import verify as checked
    from cim.db.audit_heads import noted_heads
    from cim.db.connect import connect, database

    given, settings = None if anchor is None else _anchor(anchor), Settings()
    with database(settings) as url, connect(url) as connection:
        noted = noted_heads(settings.data_dir, connection.info.dbname)
        broken = checked(connection, anchor=given, noted=noted)
    if broken is None:
        _shown({"holds": True}, as_json=as_json)
        return
    _shown({"holds": False, "row": broken.number, "why": broken.why}, as_json=as_json)
    raise typer.Exit(1)


def _anchor(text: str) -> tuple[int, str]:
    number, _, digest = text.partition(":")
    try:
        return int(number), bytes.fromhex(digest).hex()
    except ValueError:
        raise InvalidParameter("anchor", text, "NUMBER:DIGEST, the digest in hexadecimal") from None
