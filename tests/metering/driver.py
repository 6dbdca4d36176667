"""`python -m tests.metering.driver SHARED WORKER CALLS PAUSE`: a process that meters calls, as a gateway's worker does.

Each of its `TASKS` has two numbers in the file SHARED, which outlives it: the call that it began last, and the one that
it answered last. Started again it goes on behind the call that it had begun. A call's id says its task and number.
"""

import asyncio
import mmap
import struct
import sys
from pathlib import Path

from cim.db.pool import Database
from cim.metering.call import Call
from cim.metering.meter import Meter
from cim.settings import Settings

TASKS = 8
ORGANISATIONS = 53
SERVICES = 4500
NUMBER = struct.Struct("<Q")


def call_of(task: int, number: int) -> Call:
    """The call of a task: who calls what depends on its number only."""
    mixed = (task * 1_000_003 + number * 7_919) * 2_654_435_761 % 2**32
    return Call(
        f"service-{mixed % SERVICES}",
        f"organisation-{mixed // SERVICES % ORGANISATIONS}",
        key_prefix="cim_12ab",
        scenario_id=f"scenario-{mixed % 300}" if mixed % 3 else "",
        call_id=f"00000000-0000-7000-8000-{task:04x}{number:08x}",
    )


async def run(shared: mmap.mmap, worker: int, calls: int, pause_s: float) -> None:
    """Every task's calls, then a clean end."""
    settings = Settings()
    database = Database(settings)
    await database.open()
    meter = Meter(settings, database)
    await meter.open()

    async def task(number: int) -> None:
        place = number * 2 * NUMBER.size
        (begun,) = NUMBER.unpack_from(shared, place)
        while begun < calls:
            begun += 1
            NUMBER.pack_into(shared, place, begun)
            admitted = await meter.admit(call_of(number, begun))
            if begun % 16 == 0:
                await asyncio.sleep(pause_s)
            await meter.record(admitted, status=200, sent_bytes=begun % 1000, rows=begun % 7)
            NUMBER.pack_into(shared, place + NUMBER.size, begun)

    await asyncio.gather(*(task(worker * TASKS + n) for n in range(TASKS)))
    await meter.close()
    await database.close()


def main() -> None:
    """Run as one worker."""
    path, worker, calls, pause = sys.argv[1:]
    with Path(path).open("r+b") as file, mmap.mmap(file.fileno(), 0) as shared:
        asyncio.run(run(shared, int(worker), int(calls), float(pause)))


if __name__ == "__main__":
    main()
