"""Lists of rows with a key: a page behind a position, whatever the rows are."""

from collections.abc import Sequence
from dataclasses import dataclass

from cim.sql import Cast, Sql


@dataclass(frozen=True, slots=True)
class Listing:
    """`select` is everything before WHERE; `key` the column that rows are in the order of, and `kind` its SQL type."""

    select: Sql
    key: Sql
    kind: str = "text"
    is_latest_first: bool = False

    def page(self, conditions: Sequence[Sql], after: str | None, limit: int) -> Sql:
        """Rows of a page, one more than the limit."""
        parts = list(conditions)
        if after is not None:
            position = Cast(int(after) if self.kind == "bigint" else after, self.kind)
            parts.append(Sql.of("{} < {}" if self.is_latest_first else "{} > {}", self.key, position))
        where = Sql.of("WHERE {}", Sql.join(" AND ", parts)) if parts else Sql()
        order = Sql.of("{} DESC" if self.is_latest_first else "{}", self.key)
        return Sql.of("{} {} ORDER BY {} LIMIT {}", self.select, where, order, Cast(limit + 1, "bigint"))


def any_of(conditions: Sequence[Sql]) -> Sql:
    """True where one of the conditions is; none of them is never true."""
    return Sql.of("({})", Sql.join(" OR ", conditions)) if conditions else Sql.of("false")


def within(column: Sql, area_code: str) -> Sql:
    """True for rows whose code is the area's or of an area inside of it."""
    return Sql.of("({} >= {} AND {} < {})", column, area_code, column, area_code + ":")
