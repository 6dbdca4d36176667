"""What the catalogue is asked is answered by its indexes."""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import psycopg
import pytest

from cim.bbox import parse_bbox
from cim.collections.records import RECORDS
from cim.model import EVERYTHING, Scope
from cim.query.feature_query import FeatureQuery, Relation, SortKey
from cim.query.order import parse_sort
from cim.query.records import BY_ID, BY_RELEVANCE, FACETS, all_of, any_of, counts_of, facets_sql, has_theme, page_sql
from cim.sql import Sql
from tools.bench.services import fill

ANYONE = Scope()
NAMES = tuple(name for name in FACETS if name != "state")
WORDS = ("一号水厂",)


@pytest.fixture(scope="module")
def connection(module_database_url: str) -> Iterator[psycopg.Connection[Any]]:
    """4,000 services."""
    fill(module_database_url, 4_000)
    with psycopg.connect(module_database_url, autocommit=True) as opened:
        opened.execute("UPDATE cim.service SET title_zh = '一号水厂' WHERE id = 'bench-0000777'")
        opened.execute("UPDATE cim.service SET themes = '[\"rare\"]' WHERE id = 'bench-0000778'")
        opened.execute("VACUUM ANALYZE cim.service")
        yield opened


def plan(connection: psycopg.Connection[Any], sql: Sql) -> str:
    text, values = sql.compile_psycopg()
    return "\n".join(row[0] for row in connection.execute(f"EXPLAIN {text}".encode(), values).fetchall())


def asked(**fields: Any) -> FeatureQuery:
    return FeatureQuery(**{"sort": BY_ID, "limit": 10, **fields})


def test_words_are_looked_up(connection):
    query = asked(relations=(Relation(any_of(WORDS)),), sort=BY_RELEVANCE)
    for sql in (page_sql(query, ANYONE, WORDS), facets_sql(NAMES, query, ANYONE)):
        shown = plan(connection, sql)
        assert "service_words_idx" in shown
        assert "Seq Scan on service " not in shown
        filters = [line for line in shown.splitlines() if line.strip().startswith("Filter:")]
        assert not any("beginnings" in line for line in filters)  # made anew for every row


def test_no_row_is_asked_for_words_beside_another_index_or_in_another_order(connection):
    """What stands at each place of a row takes 0.2 ms to make: 100,000 rows took 20 s where a plan did it."""
    latest = parse_sort(RECORDS, EVERYTHING, ["-updated"])
    words, theme = Relation(any_of(WORDS)), Relation(has_theme("规划"))
    asked_for = (
        asked(relations=(words,), sort=latest),
        asked(relations=(words,)),
        asked(relations=(words, theme), sort=BY_RELEVANCE),
        asked(relations=(words,), area="440305001"),
        asked(relations=(words,), bbox=parse_bbox("113.9,22.5,113.95,22.55")),
        asked(
            relations=(Relation(any_of(("水厂", "规划局"))), Relation(all_of(("一号", "水厂", "a", "planning bureau"))))
        ),
    )
    for query in asked_for:
        for sql in (page_sql(query, ANYONE, WORDS), facets_sql(NAMES, query, ANYONE)):
            shown = plan(connection, sql)
            assert "service_words_idx" in shown, shown
            assert "jsonb_path_ops" not in shown
            lines = shown.splitlines()
            filters = [line for before, line in pairwise(lines) if "IS NULL)" not in before and "Filter:" in line]
            assert not any("beginnings" in line for line in filters), shown


def test_rows_of_a_page_are_gathered_before_their_positions_are_written(connection):
    shown = plan(
        connection,
        Sql.of("{}", page_sql(asked(relations=(Relation(any_of(WORDS)),), sort=BY_RELEVANCE), ANYONE, WORDS)),
    )
    assert "Subquery Scan on gathered" in shown


def test_themes_and_boxes_are_looked_up(connection):
    assert "service_words_idx" in plan(
        connection, facets_sql(NAMES, asked(relations=(Relation(has_theme("rare")),)), ANYONE)
    )
    box = parse_bbox("113.9,22.5,113.9001,22.5001")
    assert "service_geom_idx" in plan(connection, facets_sql(NAMES, asked(bbox=box), ANYONE))


def test_every_facet_is_counted_in_one_pass_over_an_index(connection):
    """As of a table that was vacuumed: another's open transaction may have kept this one from it."""
    with connection.transaction(force_rollback=True):
        connection.execute("UPDATE pg_class SET relallvisible = relpages WHERE oid = 'cim.service'::regclass")
        for way in ("seqscan", "bitmapscan"):  # 4,000 rows are soon read, by whatever way
            connection.execute(f"SET LOCAL enable_{way} = off".encode())
        shown = plan(connection, facets_sql(NAMES, asked(), ANYONE))
    assert shown.count("Index Only Scan using service_facet_idx") == 1, shown
    assert "service_themes_key_idx" in shown


def test_a_deep_page_begins_where_the_last_one_ended(connection):
    shown = plan(connection, page_sql(asked(after_values=("bench-0003990",)), ANYONE))
    assert "Index Cond: (id >" in shown or "AND (id >" in shown
    latest = parse_sort(RECORDS, EVERYTHING, ["-updated"])
    assert isinstance(latest[0], SortKey)
    assert "service_updated_at_idx" in plan(connection, page_sql(asked(sort=latest), ANYONE))


def test_the_counts_are_those_of_the_rows(connection):
    text, values = facets_sql(NAMES, asked(), ANYONE).compile_psycopg()
    counts, total = counts_of(NAMES, connection.execute(text.encode(), values).fetchall())
    for name, column in (("kind", "kind"), ("organisation", "organisation_id"), ("shareClass", "share_class")):
        rows = connection.execute(
            f"SELECT {column}, count(*) FROM cim.service WHERE state = 'published' GROUP BY 1".encode()
        ).fetchall()
        assert dict(counts[name]) == dict(rows)
        assert sum(dict(rows).values()) == total
    themes = connection.execute(
        "SELECT theme, count(*) FROM cim.service, jsonb_array_elements_text(themes) AS theme WHERE state = 'published' GROUP BY 1"
    ).fetchall()
    assert dict(counts["theme"]) == dict(themes)
