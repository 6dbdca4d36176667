"""How commands write tables: nothing is cut off, and a pipe gets each row on one line."""

import os
import sys

from rich.console import Console
from rich.table import Column, Table

PIPE_WIDTH = 500
"""Columns of a line where the output goes to a file or another program."""


def console() -> Console:
    """Standard output, as wide as the terminal; wide enough for whole rows where it is none."""
    is_wide = not sys.stdout.isatty() and "COLUMNS" not in os.environ
    return Console(highlight=False, width=PIPE_WIDTH if is_wide else None)


def table(*names: str) -> Table:
    """An empty table without lines; a word too long for its column goes on in the next line."""
    return Table(*(Column(name, overflow="fold") for name in names), box=None)
