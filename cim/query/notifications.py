"""Statements over notifications, and the reminders that make some of them."""

from cim.model import Scope
from cim.query.listing import Listing
from cim.sql import Cast, Sql

NOTIFICATIONS = Listing(
    Sql.of(
        "SELECT n.id, n.organisation_id, n.person_id, n.duty, n.event, n.subject_kind, n.subject_id, n.text_zh, n.text_en, "
        "n.created_at, n.read_at FROM cim.notification AS n"
    ),
    Sql.of("n.id"),
    kind="bigint",
    is_latest_first=True,
)
SOON = "1 day"
EXPIRY_TOLD = "14 days"


def mine(scope: Scope) -> list[Sql]:
    """Those to the caller, and those of the organisation that are for everybody there or for a duty of the caller's."""
    duties = list(scope.roles)
    return [
        Sql.of(
            "n.organisation_id = {} AND (n.person_id IS NULL OR n.person_id = {}) AND (n.duty IS NULL OR n.duty = ANY({}) "
            "OR 'org_admin' = ANY({}))",
            scope.organisation_id,
            Cast(scope.person_id or "", "text"),
            Cast(duties, "text[]"),
            Cast(duties, "text[]"),
        )
    ]


def unread_sql(scope: Scope, most: int) -> Sql:
    """How many of the caller's are unread, counted up to `most`."""
    return Sql.of(
        "SELECT count(*) AS unread FROM (SELECT FROM cim.notification AS n WHERE {} AND n.read_at IS NULL LIMIT {}) AS n",
        Sql.join(" AND ", mine(scope)),
        Cast(most, "bigint"),
    )


def read_all_sql(scope: Scope, through: int) -> Sql:
    """All of the caller's up to an id were read."""
    return Sql.of(
        "UPDATE cim.notification AS n SET read_at = now() WHERE {} AND n.read_at IS NULL AND n.id <= {}",
        Sql.join(" AND ", mine(scope)),
        Cast(through, "bigint"),
    )


def notify_sql(
    organisation_id: str,
    event: str,
    kind: str,
    subject_id: str,
    text_zh: str,
    text_en: str,
    *,
    person_id: str | None = None,
    duty: str | None = None,
) -> Sql:
    """Tell an organisation, or somebody of it."""
    return Sql.of(
        "INSERT INTO cim.notification (organisation_id, person_id, duty, event, subject_kind, subject_id, text_zh, text_en) "
        "VALUES ({}, {}, {}, {}, {}, {}, {}, {})",
        organisation_id,
        Cast(person_id, "text"),
        Cast(duty, "text"),
        event,
        kind,
        subject_id,
        text_zh,
        text_en,
    )


def read_sql(notification_id: int) -> Sql:
    """It was read, now or before."""
    return Sql.of(
        "UPDATE cim.notification SET read_at = coalesce(read_at, now()) WHERE id = {}", Cast(notification_id, "bigint")
    )


def round_sql(name: str, every_s: float) -> Sql:
    """A row for the one worker of all that does this round; the row stays locked until its transaction ends."""
    return Sql.of(
        "INSERT INTO cim.round AS r (name, begun_at) VALUES ({}, now()) ON CONFLICT (name) DO UPDATE SET begun_at = now() "
        "WHERE r.begun_at <= now() - make_interval(secs => {}) RETURNING name",
        name,
        Cast(every_s, "float8"),
    )


def remind_sql() -> Sql:
    """Applications whose last working day has begun, and those that are overdue since; each is told of once in each way."""
    return Sql.of(
        "UPDATE cim.application AS a SET reminded_at = now() FROM cim.service AS s "
        "WHERE a.state = 'submitted' AND s.id = a.service_id AND s.organisation_id IS NOT NULL "
        "AND ((a.reminded_at IS NULL AND a.due_at <= now() + ({}::text)::interval) "
        "OR (a.due_at <= now() AND a.reminded_at < a.due_at)) "
        "RETURNING a.id, a.service_id, s.organisation_id AS owner_id, a.organisation_id, a.due_at, a.due_at <= now() AS is_overdue",
        SOON,
    )


def expiring_sql() -> Sql:
    """Grants that expire soon; each is told of once."""
    return Sql.of(
        "UPDATE cim.service_grant SET reminded_at = now() WHERE revoked_at IS NULL AND reminded_at IS NULL "
        "AND expires_at > now() AND expires_at <= now() + ({}::text)::interval RETURNING id, service_id, organisation_id, expires_at",
        EXPIRY_TOLD,
    )
