"""What was recorded when: the present rows of a collection together with their superseded versions."""

from datetime import datetime

from cim.model import Collection
from cim.model.collection import LEADING
from cim.sql import Cast, Identifier, Sql


def stored(collection: Collection, known_at: datetime | None = None) -> Sql:
    """What stands behind FROM: the table, or the versions that were recorded at an instant and not yet superseded.

    A version counts from its `recorded_at` to its `superseded_at`, which is not included; both are the instants of the
    transactions that wrote it, so a change that takes long appears at the instant it began, once it is there.
    """
    if known_at is None:
        return Sql.of("{}.{}", *collection.table)
    instant = Cast(known_at, "timestamptz")
    # conditions stand outside of the union, whose parts are tables then that can be merged in the order of an index
    return Sql.of(
        "(SELECT {} FROM {} AS version WHERE recorded_at <= {} AND (superseded_at IS NULL OR superseded_at > {}))",
        _columns(collection),
        versions(collection),
        instant,
        instant,
    )


def versions(collection: Collection) -> Sql:
    """The same columns and `superseded_at` of every version there ever was, NULL for the present one."""
    columns = _columns(collection)
    return Sql.of(
        "(SELECT {}, NULL::timestamptz AS superseded_at FROM {}.{} UNION ALL SELECT {}, superseded_at FROM {}.{})",
        columns,
        *collection.table,
        columns,
        *collection.history_table,
    )


def _columns(collection: Collection) -> Sql:
    return Sql.join(", ", [Sql.of("{}", Identifier(n)) for n in (*LEADING, "recorded_at", *collection.names())])
