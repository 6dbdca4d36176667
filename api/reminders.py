"""Reminders: applications that are due, grants that expire. One worker of all makes each round."""

import asyncio
from typing import Any

import structlog

from cim.db.pool import Database, Transaction
from cim.errors import CimError
from cim.interval import instant_text
from cim.query.notifications import expiring_sql, notify_sql, remind_sql, round_sql
from cim.settings import Settings

log = structlog.get_logger("reminders")


class Reminders:
    """Tries to make a round every `reminder_every_s`; the row of the round decides which worker does."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database, self._every_s = database, settings.reminder_every_s
        self._task: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Begin."""
        self._task = asyncio.create_task(self._go_on(), name="reminders")

    async def close(self) -> None:
        """Stop."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _go_on(self) -> None:
        while True:
            try:
                await self._round()
            except CimError as error:
                log.warning("reminders wait for the database", error=error.detail)
            await asyncio.sleep(self._every_s)

    async def _round(self) -> None:
        async with self._database.transaction() as transaction:
            if await transaction.fetch_row(round_sql("reminders", self._every_s * 0.9)) is None:
                return
            due = await transaction.fetch_rows(remind_sql())
            for row in due:
                await _tell_of_application(transaction, row)
            expiring = await transaction.fetch_rows(expiring_sql())
            for row in expiring:
                await _tell_of_grant(transaction, row)
        for row in due:
            event = "application overdue" if row["is_overdue"] else "application due"
            log.warning(event, application=row["id"], service=row["service_id"], due_at=instant_text(row["due_at"]))
        for row in expiring:
            log.info("grant expires", grant=row["id"], organisation=row["organisation_id"])


async def _tell_of_application(transaction: Transaction, row: Any) -> None:
    zh, en = ("已超过办理时限", "is overdue") if row["is_overdue"] else ("今日须办结", "is due today")
    await transaction.execute(
        notify_sql(
            row["owner_id"],
            "overdue" if row["is_overdue"] else "due",
            "application",
            str(row["id"]),
            f"{row['organisation_id']} 对服务 {row['service_id']} 的申请 {row['id']} {zh}",
            f"Application {row['id']} of {row['organisation_id']} for the service {row['service_id']} {en}",
            duty="publisher",
        )
    )


async def _tell_of_grant(transaction: Transaction, row: Any) -> None:
    end = instant_text(row["expires_at"])
    await transaction.execute(
        notify_sql(
            row["organisation_id"],
            "expires",
            "grant",
            str(row["id"]),
            f"服务 {row['service_id']} 的授权 {row['id']} 将于 {end} 到期",
            f"Grant {row['id']} for the service {row['service_id']} expires at {end}",
        )
    )
