"""A disk that takes no more: what is not counted is not answered, and takes nothing of a quota (F11)."""

ADMITTED = """
import asyncio, resource, signal, sys
from cim.db.pool import Database
from cim.errors import MeterFull, QuotaExceeded
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
    resource.setrlimit(resource.RLIMIT_FSIZE, (1500, 1500))
    limits, call = Limits("full", 10_000, 1_000, 86_400), Call("tiles", "planning", grant_id="full")
    repeat = Repeat.of(call, limits, sent_bytes=5)
    try:
        while True:
            if sys.argv[1] == "admitted" or counted == 0:
                admitted = [await meter.admit(call, limits) for _ in range(3)]
                for one in admitted:
                    await meter.record(one, status=200, sent_bytes=5)
                    counted += 1
            else:
                passed = meter.again([(repeat, 0.0)] * 3)
                counted += sum(one is not None for one in passed)
                if None in passed:
                    break
    except MeterFull:
        for one in admitted:
            try:
                await meter.record(one, status=200, sent_bytes=5)
            except MeterFull:
                pass
    resource.setrlimit(resource.RLIMIT_FSIZE, (-1, -1))
    print(counted)
    await meter.close()
    await database.close()

asyncio.run(run())
"""
"""Calls three at once, until one of them is not counted."""
