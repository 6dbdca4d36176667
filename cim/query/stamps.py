"""What tells whether the rows of a collection are still the same."""

from collections.abc import Iterable

from cim.sql import Cast, Sql

_STAMP = Sql.of(
    "concat_ws(' ', s.version, c.created_at) AS stamp FROM cim.collection_stats AS s JOIN cim.collection AS c ON c.id = s.collection_id"
)
"""The version grows in the transaction of every change; the other part tells a collection from one of its name that is gone."""


def stamp(collection_id: str) -> Sql:
    """A statement of one value: the stamp of a collection."""
    return Sql.of("SELECT {} WHERE s.collection_id = {}", _STAMP, Cast(collection_id, "text"))


def stamps(collection_ids: Iterable[str]) -> Sql:
    """Rows of `collection_id` and `stamp`."""
    ids = Cast(sorted(collection_ids), "text[]")
    return Sql.of("SELECT s.collection_id, {} WHERE s.collection_id = ANY({})", _STAMP, ids)
