"""Walking a whole collection: our pages one after another, and PostgreSQL's COPY of the same text."""

import http.client
import os
import re
import subprocess
import time

from cim.db.programs import client_program
from cim.sql import Sql
from tools.bench.load import TIMEOUT_S

PAGE = 10_000

_NEXT = re.compile(r'<https?://[^/>]+(/[^>]*)>; rel="next"')


def our_walk(port: int, number: int) -> float:
    """Features a second over all pages, by one client that follows `next`. Raises ValueError when features are missing."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_S)
    path: str | None = f"/collections/buildings/items?limit={PAGE}"
    seen = 0
    started = time.monotonic()
    while path is not None:
        connection.request("GET", path)
        answer = connection.getresponse()
        body = answer.read()
        if answer.status != 200:
            raise ValueError(f"{path[:160]} answered {answer.status}")
        seen += body.count(b'{"type":"Feature",')
        following = _NEXT.search(answer.getheader("Link") or "")
        path = following[1] if following else None
    seconds = time.monotonic() - started
    connection.close()
    if seen != number:
        raise ValueError(f"the walk met {seen:,} features of {number:,}")
    return seen / seconds


def copy_walk(url: str, every: Sql, number: int) -> float:
    """Features a second of `COPY (…) TO STDOUT` into nothing."""
    text, values = every.compile()
    for place in range(len(values), 0, -1):  # COPY takes no parameters; these are numbers of our own
        text = text.replace(f"${place}", str(int(values[place - 1])))
    command = [str(client_program("psql")), url, "-qc", f"COPY ({text}) TO STDOUT"]
    started = time.monotonic()
    subprocess.run(command, env={**os.environ, "PGOPTIONS": "-c jit=off"}, stdout=subprocess.DEVNULL, check=True)
    return number / (time.monotonic() - started)
