"""The head of the audit, noted once a day of the platform: in the log, and in a file of the data folder."""

from datetime import date, datetime
from zoneinfo import ZoneInfo

import structlog

from cim.db.audit_heads import NotedHead, note, noted_heads
from cim.db.pool import Database
from cim.query.audit import NAMED_HEAD_SQL
from cim.settings import Settings

log = structlog.get_logger("audit")


class Heads:
    """Notes the head when a day has begun, for the worker that leads."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database, self._folder = database, settings.data_dir
        self._zone = ZoneInfo(settings.time_zone)
        self._noted_on: date | None = None

    async def note_due(self) -> None:
        """Note the head where today's is not. Raises Unavailable; where the disk refuses, the log has it alone."""
        now = datetime.now(self._zone)
        if self._noted_on == now.date():
            return
        row = await self._database.fetch_one(NAMED_HEAD_SQL)
        if row["number"] == 0:
            return
        head = NotedHead(now.date().isoformat(), row["database"], row["number"], row["digest"], now.isoformat())
        self._noted_on = now.date()
        if any(one.day == head.day for one in noted_heads(self._folder, head.database)):
            return
        log.info("audit head", number=head.number, digest=head.digest, day=head.day, database=head.database)
        try:
            note(self._folder, head)
        except OSError as error:
            log.error("audit head is not kept", folder=str(self._folder), error=str(error))
