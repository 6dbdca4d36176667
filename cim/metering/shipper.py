"""The shipper: a thread of each worker that books closed segments, of its own worker and of those that died.

Also the work that one of all workers does: closing days, dropping what is older than it is kept.
"""

import logging
import threading
import time
from contextlib import closing
from dataclasses import dataclass

import psycopg

from cim.db import closes, ledger
from cim.metering.call import COLUMNS, Days, by_day
from cim.metering.spool import Damaged, Spool, closed_segments, lines_of
from cim.settings import Settings

log = logging.getLogger(__name__)

EVERY_S = 1.0
KEEP_HOUSE_EVERY_S = 60.0
CONNECT_TIMEOUT_S = 4
_HOUSE = 4403_0007


@dataclass(slots=True)
class Shipped:
    """What was done: segments booked, their lines, and how many of these were new."""

    segments: int = 0
    lines: int = 0
    new: int = 0
    damaged: int = 0


def connected(settings: Settings) -> psycopg.Connection[tuple[object, ...]]:
    """A connection that books. Raises psycopg.OperationalError."""
    connection = psycopg.connect(
        settings.database_url or "",
        autocommit=True,
        connect_timeout=CONNECT_TIMEOUT_S,
        application_name="opencim-meter",
        keepalives_idle=5,
        keepalives_interval=2,
        keepalives_count=3,
        tcp_user_timeout=10_000,
    )
    ledger.prepare(connection)
    return connection


def ship(spool: Spool, connection: psycopg.Connection[tuple[object, ...]], settings: Settings) -> Shipped:
    """Book every segment that nobody writes. Raises psycopg.Error where the database does not take it."""
    done = Shipped()
    with closing(closed_segments(spool.folder)) as segments:
        for segment in segments:
            try:
                lines = lines_of(segment.read())
                damage = None
            except Damaged as error:
                lines, damage = error.lines, error
            try:
                booked = ledger.book(connection, by_day(lines), COLUMNS, settings.meter_window_days)
            except (psycopg.DataError, ValueError) as error:
                booked, damage = ledger.Booked(0, 0, 0, 0), Damaged([], 0)
                log.error("segment cannot be booked name=%s error=%s", segment.path.name, error)
            if damage is None:
                segment.remove()
            else:
                done.damaged += 1
                log.error("segment set aside name=%s reason=%s", segment.path.name, damage)
                segment.set_aside()
            done.segments += 1
            done.lines += booked.lines
            done.new += booked.new
            if booked.late or booked.quarantined:
                log.warning("calls out of time late=%d quarantined=%d", booked.late, booked.quarantined)
    return done


class Shipper:
    """The thread. It never raises: what it cannot book stays spooled."""

    def __init__(self, spool: Spool, settings: Settings, days: Days) -> None:
        self._spool, self._settings, self._days = spool, settings, days
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="meter", daemon=True)
        self._connection: psycopg.Connection[tuple[object, ...]] | None = None
        self._kept_house = 0.0
        self._is_down = False

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self, timeout_s: float) -> None:
        """Book what there is once more, and end; what takes longer is left to the next worker."""
        self._stop.set()
        self._thread.join(timeout_s)

    def _run(self) -> None:
        while not self._stop.wait(EVERY_S):
            self._turn()
        self._turn()
        if self._connection is not None:
            self._connection.close()

    def _turn(self) -> None:
        try:
            self._spool.test()
            if self._connection is None or self._connection.closed:
                self._connection = connected(self._settings)
            self._spool.seal()
            ship(self._spool, self._connection, self._settings)
            if not self._stop.is_set() and time.monotonic() - self._kept_house > KEEP_HOUSE_EVERY_S:
                self._kept_house = time.monotonic()
                self._keep_house(self._connection)
            self._is_down = False
        except (psycopg.Error, OSError) as error:
            if not self._is_down:
                log.warning(
                    "calls stay spooled: %s", str(error).splitlines()[0] if str(error) else type(error).__name__
                )
            self._is_down = True
            if self._connection is not None:
                self._connection.close()
                self._connection = None
        finally:
            self._spool.reckon()

    def _keep_house(self, connection: psycopg.Connection[tuple[object, ...]]) -> None:
        """Close the days that are due, and drop what is older than it is kept, where no other worker does."""
        if not ledger.try_alone(connection, _HOUSE):
            return
        try:
            closes.close_due(connection, self._days, time.time() - self._settings.meter_close_after_s)
            ledger.drop_old(connection, self._settings.meter_keep_days)
        except psycopg.errors.LockNotAvailable:
            log.info("old calls are being read; they are dropped later")
        finally:
            if not connection.closed:
                ledger.leave(connection, _HOUSE)
