"""`cim doctor`: what is wrong here, and the line that mends it."""

import sys
from dataclasses import asdict
from typing import Annotated

import orjson
import typer
from rich.console import Console
from rich.markup import escape

from cim.settings import Settings


def doctor(as_json: Annotated[bool, typer.Option("--json", help="machine-readable output")] = False) -> None:
    """Look at binaries, versions, locale, folders, database, port and page. Exit 1 when something needs mending.

    Example: cim doctor
    """
    from cim.doctor import examine

    findings = examine(Settings())
    if as_json:
        sys.stdout.buffer.write(orjson.dumps([asdict(f) for f in findings]) + b"\n")
    else:
        console = Console(highlight=False)
        for f in findings:
            mark = "[green]ok  [/green]" if f.is_well else "[red]fix [/red]"
            console.print(f"{mark} {f.name}: {escape(f.detail)}", soft_wrap=True)
            if not f.is_well and f.mend:
                console.print(f"       → {escape(f.mend)}", soft_wrap=True)
    if not all(f.is_well for f in findings):
        raise typer.Exit(1)
