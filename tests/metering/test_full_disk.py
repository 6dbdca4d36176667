"""A disk that takes no more: what is not counted is not answered, and takes nothing of a quota (F11)."""

import subprocess
import sys
import time
from pathlib import Path

import httpx2
import pytest

from tests.conftest import NO_TLS, ROOT, environment
from tests.metering.conftest import Door, rows

SCRIPT = """
import asyncio, resource, signal, sys
from cim.db.pool import Database
from cim.errors import MeterFull
from cim.metering.call import Call
from cim.metering.meter import Meter, Repeat
from cim.metering.quota import Limits
from cim.settings import Settings

async def run():
    settings, counted = Settings(), 0
    database = Database(settings)
    await database.open()
    meter = Meter(settings, database)
    await meter.open()
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1500, -1))
    limits, call = Limits("full", 10_000, 1_000, 86_400), Call("tiles", "planning", grant_id="full")
    repeat, is_full = Repeat.of(call, limits, sent_bytes=5), False
    while not is_full:
        if counted and sys.argv[1] == "again":
            passed = meter.again([(repeat, 0.0)] * 3)
            counted, is_full = counted + 3 - passed.count(None), None in passed
            continue
        for one in [await meter.admit(call, limits) for _ in range(3)]:
            try:
                await meter.record(one, status=200, sent_bytes=5)
                counted += 1
            except MeterFull:
                is_full = True
    resource.setrlimit(resource.RLIMIT_FSIZE, (-1, -1))
    print(counted)
    await meter.close()
    await database.close()

asyncio.run(run())
"""
"""Calls three at once, until one of them is not counted."""


@pytest.mark.parametrize("way", ["admitted", "again"])
def test_F11_a_call_that_the_disk_does_not_take_takes_nothing_of_a_quota(
    way: str, database_url: str, tmp_path: Path
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, way],
        env=environment(DATABASE_URL=database_url, CIM_DATA_DIR=str(tmp_path), PYTHONPATH=str(ROOT)),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.stdout.strip().isdigit(), done.stderr
    counted = int(done.stdout)
    assert counted >= 6
    assert rows(database_url, "SELECT count(*) FROM cim.call") == [(counted,)]
    assert rows(database_url, "SELECT policy, taken, held FROM cim.quota_use ORDER BY 1") == [
        ("day", counted, 0),
        ("rate", counted, 0),
    ]


def test_a_call_over_one_limit_takes_nothing_of_the_other(door: Door, url: str) -> None:
    asked = {"grant": "two", "rate": "1000/86400", "quota": "5"}
    with httpx2.Client(base_url=door.url, verify=NO_TLS) as client:
        assert [client.get("/door/two", params=asked).status_code for _ in range(8)] == [200] * 5 + [429] * 3
    deadline = time.monotonic() + 10
    while (found := rows(url, "SELECT policy, taken FROM cim.quota_use WHERE grant_id = 'two' ORDER BY 1")) != [
        ("day", 5),
        ("rate", 5),
    ]:
        assert time.monotonic() < deadline, found
        time.sleep(0.1)
