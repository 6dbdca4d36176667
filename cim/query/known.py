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
    columns, instant = _columns(collection), Cast(known_at, "timestamptz")
    return Sql.of(
        "(SELECT {} FROM {}.{} WHERE recorded_at <= {} UNION ALL SELECT {} FROM {}.{} WHERE recorded_at <= {} AND superseded_at > {})",
        columns,
        *collection.table,
        instant,
        columns,
        *collection.history_table,
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
