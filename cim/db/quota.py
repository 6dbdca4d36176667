"""Quotas: what of a limit is taken, in one row a grant and limit; taken and given back by one statement each."""

from cim.sql import Cast, Sql


def take_sql(
    grant_id: str,
    policy: str,
    window_start: int,
    limit: int,
    want: int,
    *,
    most: int,
    divisor: int,
    settled: int,
    hold_s: float,
) -> Sql:
    """Takes `want` calls of a limit, more where much is left, fewer where less is left: never more than the limit in a window.

    A lease is 1/`divisor` of what is left, at most `most`, at least what is wanted; so it shrinks to what is wanted near
    the limit. What goes beyond `want` is held for `hold_s`; `settled` was held before and is used up. Gives `granted`,
    `taken`, `window_start` and `is_held`: whether leases of others may still be given back.
    """
    base = Sql.of("(CASE WHEN q.window_start < excluded.window_start THEN 0 ELSE q.taken END)")
    held = Sql.of(
        "(CASE WHEN q.window_start < excluded.window_start THEN 0 ELSE greatest(q.held - {}, 0) END)", _big(settled)
    )
    first, more = _lease(Sql.of("0"), limit, want, most, divisor), _lease(base, limit, want, most, divisor)
    until = Sql.of("now() + make_interval(secs => {})", Cast(hold_s, "float8"))
    return Sql.of(
        "INSERT INTO cim.quota_use AS q (grant_id, policy, window_start, taken, held, held_until, granted) "
        "VALUES ({}, {}, {}, {}, greatest({} - {}, 0), {}, {}) "
        "ON CONFLICT (grant_id, policy) DO UPDATE SET window_start = greatest(q.window_start, excluded.window_start), "
        "taken = {} + {}, held = {} + greatest({} - {}, 0), granted = {}, "
        "held_until = CASE WHEN {} > {} THEN {} ELSE q.held_until END "
        "RETURNING granted, taken, window_start, held > 0 AND held_until > now() AS is_held",
        grant_id,
        policy,
        _big(window_start),
        first,
        first,
        _big(want),
        until,
        first,
        base,
        more,
        held,
        more,
        _big(want),
        more,
        more,
        _big(want),
        until,
    )


def _lease(taken: Sql, limit: int, want: int, most: int, divisor: int) -> Sql:
    left = Sql.of("greatest({} - {}, 0)", _big(limit), taken)
    return Sql.of("least({}, greatest({}, least({}, {} / {})))", left, _big(want), _big(most), left, _big(divisor))


def _big(value: int) -> Cast:
    return Cast(value, "bigint")


def give_back_sql(grant_id: str, policy: str, window_start: int, unused: int, held: int) -> Sql:
    """Gives back what a lease did not use, in the window that it is of."""
    return Sql.of(
        "UPDATE cim.quota_use SET taken = greatest(taken - {}, 0), held = greatest(held - {}, 0) "
        "WHERE grant_id = {} AND policy = {} AND window_start = {}",
        _big(unused),
        _big(held),
        grant_id,
        policy,
        _big(window_start),
    )
