"""The raw database: pgbench running the SQL that makes the finished bytes, as server-side prepared statements.

`pgbench -M prepared` binds numbers only, and one script a place would plan each place anew; so the script PREPAREs the
statement once a connection and EXECUTEs it with the values of a random place of the list. Plans are generic, as ours are.
"""

import os
import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from psycopg import sql as literal

from cim.db.programs import client_program
from cim.sql import Sql

KEPT = "kept"
"""The statement over texts that were kept before: told beside the table, for the raw database has none."""

_RATE = re.compile(r"^tps = ([\d.]+)", re.M)
_FAILED = re.compile(r"number of failed transactions: ([1-9]\d*)")


@dataclass(frozen=True, slots=True)
class Statement:
    """One way to make the bytes: `name`, and the statement of each place."""

    name: str
    places: tuple[Sql, ...]


def script(statement: Statement) -> str:
    """The pgbench script: a balanced tree of \\if down to the EXECUTE of the place drawn."""
    names: dict[str, str] = {}
    calls = []
    for place in statement.places:
        text, values = place.compile()
        name = names.setdefault(text, f"q{len(names)}")
        given = ", ".join(literal.Literal(value).as_string() for value in values)
        calls.append(f"EXECUTE {name}({given});" if values else f"EXECUTE {name};")
    prepared = [f"PREPARE {name} AS {text};" for text, name in names.items()]
    head = [f"\\set place random(0, {len(calls) - 1})", "\\if :is_new", *prepared, "\\set is_new 0", "\\endif"]
    return "\n".join([*head, *_tree(calls, 0, len(calls)), ""])


def _tree(calls: Sequence[str], first: int, end: int) -> list[str]:
    if end - first == 1:
        return [calls[first]]
    middle = (first + end) // 2
    left, right = _tree(calls, first, middle), _tree(calls, middle, end)
    return [f"\\if :place < {middle}", *left, "\\else", *right, "\\endif"]


def raw_rate(url: str, path: Path, *, connections: int, seconds: float) -> float:
    """Answers a second of the script in `path`. Raises RuntimeError with what pgbench said."""
    command = [str(client_program("pgbench")), "-n", "-M", "simple", "-D", "is_new=1", "--random-seed=4403"]
    command += ["-c", str(connections), "-j", "1", "-T", str(max(1, round(seconds))), "-f", str(path), url]
    options = "-c plan_cache_mode=force_generic_plan -c jit=off"
    done = subprocess.run(
        command, env={**os.environ, "PGOPTIONS": options}, capture_output=True, text=True, check=False
    )
    rate = _RATE.search(done.stdout)
    if done.returncode or rate is None or _FAILED.search(done.stdout):
        raise RuntimeError(f"pgbench: {(done.stderr or done.stdout).strip()[-600:]}")
    return float(rate[1])
