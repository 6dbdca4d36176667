"""Statements: sums of calls by who called what and when, from the roll-ups of days; series for charts from those of minutes too."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from cim.sql import Cast, Identifier, Sql

KEYS: Mapping[str, tuple[Sql, str]] = {
    "organisation": (Sql.of("d.organisation_id"), "text"),
    "service": (Sql.of("d.service_id"), "text"),
    "owner": (Sql.of("coalesce(s.organisation_id, '')"), "text"),
    "scenario": (Sql.of("d.scenario_id"), "text"),
    "day": (Sql.of("d.day"), "date"),
    "month": (Sql.of("date_trunc('month', d.day)::date"), "date"),
}
"""What a statement may be by: the expression, and its type."""
MEASURES = ("calls", "denied", "failed", "bytes", "rows")
SIDES = ("consumer", "owner", "city")
STEPS = ("minute", "hour", "day", "month")
_SUMS = Sql.of(
    "sum(d.calls)::bigint AS calls, sum(d.denied)::bigint AS denied, sum(d.failed)::bigint AS failed, "
    "sum(d.bytes)::bigint AS bytes, sum(d.rows)::bigint AS rows"
)


@dataclass(frozen=True, slots=True)
class Statement:
    """Whose statement, of which calls. `first` and `last` are days, both within; None stands for any."""

    side: str
    organisation_id: str | None
    first: date
    last: date
    service_id: str | None = None
    consumer_id: str | None = None
    scenario_id: str | None = None

    def binding(self) -> bytes:
        """What a cursor is bound to."""
        return repr(self).encode()


def _from(table: Sql) -> Sql:
    return Sql.of("{} AS d LEFT JOIN cim.service AS s ON s.id = d.service_id", table)


def _where(statement: Statement) -> Sql:
    conditions = [Sql.of("d.day BETWEEN {} AND {}", statement.first, statement.last)]
    if statement.organisation_id is not None and statement.side == "consumer":
        conditions.append(Sql.of("d.organisation_id = {}", statement.organisation_id))
    if statement.organisation_id is not None and statement.side == "owner":
        conditions.append(Sql.of("s.organisation_id = {}", statement.organisation_id))
    if statement.consumer_id is not None:
        conditions.append(Sql.of("d.organisation_id = {}", statement.consumer_id))
    if statement.service_id is not None:
        conditions.append(Sql.of("d.service_id = {}", statement.service_id))
    if statement.scenario_id is not None:
        conditions.append(Sql.of("d.scenario_id = {}", statement.scenario_id))
    return Sql.join(" AND ", conditions)


def page_sql(statement: Statement, by: Sequence[str], limit: int, after: Sequence[str] | None) -> Sql:
    """One row a group, in the order of the keys, from behind `after`: `<key>…`, the sums, titles and names where there are any."""
    keys = [KEYS[name][0] for name in by]
    where = _where(statement)
    if after is not None:
        last = [
            Sql.of("{}", Cast(_bound(value, KEYS[name][1]), KEYS[name][1]))
            for name, value in zip(by, after, strict=True)
        ]
        where = Sql.of("{} AND ({}) > ({})", where, Sql.join(", ", keys), Sql.join(", ", last))
    named = Sql.join(", ", [Sql.of("{} AS {}", KEYS[name][0], _LABEL[name]) for name in by])
    listed = Sql.join(", ", keys)
    groups = Sql.of(
        "SELECT {}, {} FROM {} WHERE {} GROUP BY {} ORDER BY {} LIMIT {}",
        named,
        _SUMS,
        _from(Sql.of("cim.call_day")),
        where,
        listed,
        listed,
        Cast(limit, "bigint"),
    )
    extra, joins = _names(by)
    order = Sql.join(", ", [Sql.of("g.{}", _LABEL[name]) for name in by])
    return Sql.of("WITH g AS MATERIALIZED ({}) SELECT g.*{} FROM g{} ORDER BY {}", groups, extra, joins, order)


_LABEL = {name: Sql.of("{}", Identifier(f"{name}_key")) for name in KEYS}


def _bound(value: str, kind: str) -> object:
    return date.fromisoformat(value) if kind == "date" else value


def _names(by: Sequence[str]) -> tuple[Sql, Sql]:
    extra, joins = Sql(), Sql()
    if "service" in by:
        extra = Sql.of("{}, n.title_zh AS service_title_zh, n.title_en AS service_title_en", extra)
        joins = Sql.of("{} LEFT JOIN cim.service AS n ON n.id = g.service_key", joins)
    for name in ("organisation", "owner"):
        if name in by:
            alias = Identifier(f"{name}_of")
            label = Identifier(f"{name}_name_zh"), Identifier(f"{name}_name_en")
            extra = Sql.of("{}, {}.name_zh AS {}, {}.name_en AS {}", extra, alias, label[0], alias, label[1])
            joins = Sql.of("{} LEFT JOIN cim.organisation AS {} ON {}.id = g.{}", joins, alias, alias, _LABEL[name])
    return extra, joins


def total_sql(statement: Statement) -> Sql:
    """The sums over everything, NULL where there is nothing, and the last day that is closed."""
    return Sql.of(
        "SELECT {}, (SELECT max(day) FROM cim.call_close) AS closed_through FROM {} WHERE {}",
        _SUMS,
        _from(Sql.of("cim.call_day")),
        _where(statement),
    )


def usage_sql(service_id: str, first: date, last: date) -> Sql:
    """Rows `day`, `calls`, `failed` of the days on which a service was called: by how many and by whom is not in them."""
    return Sql.of(
        "SELECT day, sum(calls)::bigint AS calls, sum(failed)::bigint AS failed FROM cim.call_day "
        "WHERE day BETWEEN {} AND {} AND service_id = {} GROUP BY day HAVING sum(calls) > 0 ORDER BY day",
        first,
        last,
        service_id,
    )


def series_sql(statement: Statement, step: str, by: str | None, measure: str, zone: str, *, most: int) -> Sql:
    """Sums a step and key: `at`, `key`, `value`. Keys beyond the `most` with the largest sums have NULL for a key."""
    table = Sql.of("cim.call_minute" if step in ("minute", "hour") else "cim.call_day")
    times = {
        "minute": Sql.of("d.minute"),
        "hour": Sql.of("date_trunc('hour', d.minute, {})", Cast(zone, "text")),
        "day": Sql.of("d.day"),
        "month": Sql.of("date_trunc('month', d.day)::date"),
    }
    key = Sql.of("''") if by is None else KEYS[by][0]
    value = Sql.of("d.{}", Identifier(measure))
    return Sql.of(
        "WITH v AS MATERIALIZED (SELECT {} AS at, {} AS key, sum({})::bigint AS value FROM {} WHERE {} GROUP BY 1, 2), "
        "kept AS (SELECT key FROM v GROUP BY key ORDER BY sum(value) DESC, key LIMIT {}) "
        "SELECT v.at, kept.key, sum(v.value)::bigint AS value FROM v LEFT JOIN kept ON kept.key = v.key "
        "GROUP BY 1, 2 ORDER BY 1, 2",
        times[step],
        key,
        value,
        _from(table),
        _where(statement),
        Cast(most, "bigint"),
    )


def names_sql(by: str, keys: Sequence[str]) -> Sql:
    """`key`, `zh`, `en`: titles of services or scenarios, names of organisations, where they are known."""
    zh, en = (Sql.of("n.name_zh"), Sql.of("n.name_en"))
    if by in ("service", "scenario"):
        zh, en = (Sql.of("n.title_zh"), Sql.of("n.title_en"))
    table = Identifier("organisation" if by == "owner" else by)
    return Sql.of(
        "SELECT n.id AS key, {} AS zh, {} AS en FROM cim.{} AS n WHERE n.id = ANY({})", zh, en, table, list(keys)
    )


def month_end(month: date) -> date:
    """The last day of a month."""
    return (month.replace(day=28) + timedelta(days=4)).replace(day=1) - timedelta(days=1)


def priced_sql(statement: Statement) -> Sql:
    """What organisations used of services with a price plan in a month, its closed days only; the latest plan that held then.

    What an organisation calls of its own, and calls without an organisation, cost nothing and are left out. The side `owner`
    is whom the plan pays.
    """
    conditions = [
        Sql.of("d.day BETWEEN {} AND {}", statement.first, statement.last),
        Sql.of("d.day <= (SELECT max(day) FROM cim.call_close)"),
        Sql.of("d.organisation_id <> 'anonymous' AND d.organisation_id <> p.plan->>'payee'"),
    ]
    if statement.organisation_id is not None and statement.side == "consumer":
        conditions.append(Sql.of("d.organisation_id = {}", statement.organisation_id))
    if statement.organisation_id is not None and statement.side == "owner":
        conditions.append(Sql.of("p.plan->>'payee' = {}", statement.organisation_id))
    return Sql.of(
        "WITH p AS MATERIALIZED (SELECT DISTINCT ON (service_id) service_id, valid_from, currency, plan FROM cim.price_plan "
        "WHERE valid_from <= {} ORDER BY service_id, valid_from DESC), "
        "g AS MATERIALIZED (SELECT d.organisation_id, d.service_id, {}, sum(d.free_bytes)::bigint AS free_bytes, "
        "sum(d.free_rows)::bigint AS free_rows FROM cim.call_day AS d JOIN p ON p.service_id = d.service_id "
        "WHERE {} GROUP BY 1, 2) "
        "SELECT g.*, p.valid_from, p.currency, p.plan, o.name_zh, o.name_en, s.title_zh, s.title_en FROM g "
        "JOIN p ON p.service_id = g.service_id LEFT JOIN cim.organisation AS o ON o.id = g.organisation_id "
        "LEFT JOIN cim.service AS s ON s.id = g.service_id ORDER BY g.organisation_id, g.service_id",
        statement.first,
        _SUMS,
        Sql.join(" AND ", conditions),
    )


def last_close_sql(last: date) -> Sql:
    """The last close up to a day: `number`, `day`, `digest`."""
    return Sql.of(
        "SELECT number, day, encode(digest, 'hex') AS digest FROM cim.call_close WHERE day <= {} ORDER BY day DESC LIMIT 1",
        last,
    )


def closes_sql(limit: int, before: date | None) -> Sql:
    """Closes, the latest first."""
    where = Sql.of("true") if before is None else Sql.of("day < {}", before)
    return Sql.of(
        "SELECT number, day, calls, denied, failed, bytes, rows, encode(rows_digest, 'hex') AS rows_digest, "
        "encode(sums_digest, 'hex') AS sums_digest, encode(previous, 'hex') AS previous, encode(digest, 'hex') AS digest, "
        "closed_at FROM cim.call_close WHERE {} ORDER BY day DESC LIMIT {}",
        where,
        Cast(limit, "bigint"),
    )
