"""Words find what holds them, wherever they stand: the same as a reading of every text finds."""

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from cim.catalogue.search import is_one_run, search_terms
from cim.model import Scope
from cim.query.feature_query import FeatureQuery, Relation
from cim.query.records import BY_ID, all_of, any_of, has_theme, page_sql
from cim.sql import Sql
from tests.records.conftest import ORGANISATIONS, write_service

CITY = Scope(roles=frozenset({"city_admin"}))
TEXTS = {
    "plain": "Quality is checked; coordinates are in CGCS2000.",
    "joined": 'qualityis checked, O\'Brien\\path and "quoted" 100%',
    "chinese": "国家大地坐标系的历史影像，南山GIS平台",
    "near": "坐标系属于国家大地，历史的影像",
    "long": "x" * 30 + "tail" + "y" * 60 + "end",
    "wide": "ＧＩＳ平台㈱㎡",
    "none": "",
    "rare": "𠀀𠀁字",
    "controls": "ab\x02cd",
}
TERMS = (
    *(
        "quality",
        "QUALITY",
        "ality",
        "qual",
        "quality is checked",
        "y is c",
        "qualityis",
        "checked;",
        "cgcs2000.",
        "2000",
    ),
    *("O'Brien", "'", "\\path", "\\", '"quoted"', "100%", "0%", "&", "|", ":*", "!", "(", "<->"),
    *(
        "历史影像",
        "历史的影像",
        "史影",
        "影",
        "国家大地坐标系",
        "国家大地坐标系的历史影像",
        "坐标系",
        "南山gis",
        "山GIS平",
        "gis",
        "，",
        "影像，南",
    ),
    *("x" * 32, "x" * 33, "x" * 20 + "tail", "y" * 50, "y" * 60 + "end", "tail" + "y" * 40, "y" * 61),
    *(
        "(株)",
        "株",
        "m2",
        "ab",
        "cd",
        "bc",
        "𠀀𠀁",
        "𠀁字",
        "字",
        "nowhere",
        "plain",
        "规划",
        "局",
        "planning",
        "Authority",
    ),
)


@pytest.fixture(scope="module")
def connection(module_database_url: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(module_database_url, autocommit=True) as opened:
        for organisation in ORGANISATIONS:
            opened.execute("INSERT INTO cim.organisation (id, name_zh, name_en) VALUES (%s, %s, %s)", organisation)
        for name, text in TEXTS.items():
            write_service(opened, name, kind="wms", title_zh=name, title_en="", description_zh=text)
        write_service(opened, "planned", kind="wms", title_zh="", title_en="Imagery", themes=["规划", "imagery"])
        opened.execute("UPDATE cim.service SET organisation_id = NULL, themes = '[]' WHERE id = ANY(%s)", [list(TEXTS)])
        opened.execute(
            "INSERT INTO cim.organisation (id, name_zh, name_en) VALUES ('it''s', '规划''局', 'Planning \\ Office')"
        )
        opened.execute(
            "UPDATE cim.service SET organisation_id = 'it''s', themes = '[\"O''B\", \"a\\\\b\", \"\"]' WHERE id = 'none'"
        )
        yield opened


def found(connection: psycopg.Connection[Any], condition: Sql) -> set[str]:
    query = FeatureQuery(sort=BY_ID, limit=100, relations=(Relation(condition),))
    text, values = page_sql(query, CITY).compile_psycopg()
    return {row[0] for row in connection.execute(text.encode(), values).fetchall()}


def read(connection: psycopg.Connection[Any], term: str) -> set[str]:
    """What a reading of every text finds."""
    rows = connection.execute(
        "SELECT s.id FROM cim.service AS s LEFT JOIN cim.organisation AS o ON o.id = s.organisation_id "
        "WHERE strpos(searched, cim.folded(%(term)s)) > 0 OR strpos(cim.folded(o.name_zh), cim.folded(%(term)s)) > 0 "
        "OR strpos(cim.folded(o.name_en), cim.folded(%(term)s)) > 0",
        {"term": term},
    ).fetchall()
    return {row[0] for row in rows}


def test_a_term_is_found_where_it_stands(connection):
    for term in TERMS:
        expected = read(connection, term)
        assert found(connection, any_of((term,))) == expected, term
        assert found(connection, all_of((term,))) == expected, term


def test_the_terms_find_something_or_nothing_as_they_are_meant_to(connection):
    assert read(connection, "国家大地坐标系") == {"chinese"}
    assert read(connection, "y is c") == {"plain"}
    assert "none" in read(connection, "规划'局")


def test_one_of_several_terms_or_all_of_them(connection):
    terms = ("quality is checked", "历史影像", "tail")
    each = [read(connection, term) for term in terms]
    assert found(connection, any_of(terms)) == each[0] | each[1] | each[2]
    pair = ("quality", "checked")
    assert found(connection, all_of(pair)) == read(connection, "quality") & read(connection, "checked")
    assert found(connection, all_of(search_terms("历史影像 大地"))) >= {"chinese"}
    assert found(connection, all_of(("规划", "none"))) == {"none"}


@pytest.mark.parametrize(
    ("theme", "expected"), [("O'B", {"none"}), ("a\\b", {"none"}), ("a", set()), ("", set()), ("规划", None)]
)
def test_a_theme_is_found_as_it_is_written(connection, theme, expected):
    if expected is None:
        rows = connection.execute("SELECT id FROM cim.service WHERE themes @> '[\"规划\"]'").fetchall()
        expected = {row[0] for row in rows}
    assert found(connection, has_theme(theme)) == expected


@pytest.mark.parametrize(
    ("term", "expected"),
    [
        *(("gis", True), ("历史影像", True), ("x" * 32, True), ("checked;", True)),
        *(
            ("x" * 33, False),
            ("国家大地坐", False),
            ("南山gis", False),
            ("a b", False),
            ("㈱", False),
            ("a\x02b", False),
        ),
    ],
)
def test_what_the_index_answers_alone(term, expected):
    assert is_one_run(term) is expected


@pytest.mark.parametrize("character", ["x", "ж", "の", "字"])
def test_a_text_without_end_is_stored_and_found_by_how_it_begins_and_by_its_themes(connection, character):
    """More than a tsvector holds: what is beyond it is not looked up, and spoils nothing of what stands before."""
    varied = "".join(f"{character * (n % 7)}{n}" for n in range(30_000))
    write_service(
        connection, "endless", kind="wms", title_zh="长文", title_en="", description_zh=varied, themes=["terrain"]
    )
    try:
        for term in (varied[:12], varied[3_000:3_020], "terrain", "长文"):
            assert "endless" in found(connection, any_of((term,))), term
    finally:
        connection.execute("DELETE FROM cim.service WHERE id = 'endless'")
