"""Which kind the texts of a column are, over all of them; codes with leading zeros and long digits stay text."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from cim.model import Kind
from loaders.base import SourceField
from loaders.fields import SAMPLES, samples_of

_PATTERNS: tuple[tuple[Kind, str], ...] = (
    (Kind.BOOLEAN, r"^(?i:true|false)$"),
    (Kind.INTEGER, r"^[+-]?(?:0|[1-9][0-9]{0,14})$"),
    (Kind.NUMBER, r"^[+-]?(?:0|[1-9][0-9]{0,14})?(?:\.[0-9]*)?(?:[eE][+-]?[0-9]{1,3})?$"),
    (Kind.DATE, r"^[0-9]{4}[-/][0-9]{1,2}[-/][0-9]{1,2}$"),
    (
        Kind.INSTANT,
        r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]+)?)?(?:Z|[+-][0-9]{2}:?[0-9]{2})$",
    ),
)
"""A time without an offset is no instant: it stays text until a time zone is stated."""

_MISSING = pa.array(["", "na", "n/a", "nan", "null", "none", "-", "--", "—", "无", "<null>"])


@dataclass(slots=True)
class _Column:
    kinds: list[Kind] = field(default_factory=lambda: [kind for kind, _ in _PATTERNS])
    has_values: bool = False
    samples: dict[str, None] = field(default_factory=dict)


@dataclass(slots=True)
class KindFinder:
    """Sees a table of text columns batch by batch, then tells its fields."""

    names: Sequence[str]
    columns: dict[str, _Column] = field(default_factory=dict)
    rows: int = 0

    def see(self, table: pa.Table) -> None:
        """Take note of one batch."""
        self.rows += len(table)
        for name in self.names:
            column = self.columns.setdefault(name, _Column())
            if len(column.samples) < SAMPLES:
                column.samples.update(
                    dict.fromkeys(samples_of(pc.unique(table.column(name).slice(0, 1000)).to_pylist()))
                )
            if column.kinds:
                self._narrow(column, table.column(name))

    def _narrow(self, column: _Column, texts: pa.ChunkedArray) -> None:
        different = pc.drop_null(pc.unique(pc.utf8_trim_whitespace(texts)))
        different = different.filter(pc.invert(pc.is_in(pc.utf8_lower(different), _MISSING)))
        if not len(different):
            return
        column.has_values = True
        column.kinds = [
            kind
            for kind, pattern in _PATTERNS
            if kind in column.kinds and pc.all(pc.match_substring_regex(different, pattern)).as_py()
        ]

    def fields(self) -> tuple[SourceField, ...]:
        """The fields with the narrowest kind that fits all their values."""
        return tuple(SourceField(name, self._kind(name), self._samples(name)) for name in self.names)

    def _samples(self, name: str) -> tuple[str, ...]:
        column = self.columns.get(name)
        return tuple(column.samples)[:SAMPLES] if column else ()

    def _kind(self, name: str) -> Kind:
        column = self.columns.get(name)
        return column.kinds[0] if column and column.has_values and column.kinds else Kind.TEXT
