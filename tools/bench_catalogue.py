"""`tools/bench_catalogue.py`: a catalogue of 100,000 services, answers of HTTP beside the statements alone.

Prints for each question the median and 95th percentile in milliseconds over HTTP, asked after the catalogue has changed
(nothing that was kept is used) and asked again, and the median of its statements on a connection of their own, one after
the other. `PYTHONPATH=. python tools/bench_catalogue.py --services 100000 --rounds 40`.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import httpx2
import psycopg
from rich.console import Console
from rich.table import Table

from cim.collections.records import RECORDS
from cim.db.embedded import Cluster
from cim.db.migrate import upgrade
from cim.db.ownership import owned
from cim.model import EVERYTHING, Scope
from cim.query.audit import Entry, append_sql
from cim.query.feature_query import FeatureQuery, Relation
from cim.query.order import parse_sort
from cim.query.records import BY_ID, BY_RELEVANCE, FACETS, all_of, any_of, facets_sql, has_theme, page_sql
from cim.sql import Sql
from tests.conftest import serving
from tools.bench.services import fill

ALL = tuple(name for name in FACETS if name != "state")


def _asked(**fields: object) -> FeatureQuery:
    return FeatureQuery(**{"sort": BY_ID, "limit": 10, **fields})  # type: ignore[arg-type]


def questions() -> dict[str, tuple[str, tuple[Sql, ...]]]:
    """Name → query string, and the statements that it runs."""
    anyone = Scope()
    every = _asked()
    words = _asked(relations=(Relation(any_of(("历史影像",))),), sort=BY_RELEVANCE)
    english = _asked(relations=(Relation(any_of(("coordinates",))),), sort=BY_RELEVANCE)
    theme = _asked(relations=(Relation(has_theme("规划")),))
    area = _asked(area="440305")
    phrase = _asked(relations=(Relation(any_of(("quality is checked",))),), sort=BY_RELEVANCE)
    both = _asked(relations=(*english.relations, *theme.relations), sort=BY_RELEVANCE)
    titled = _asked(relations=english.relations, sort=parse_sort(RECORDS, EVERYTHING, ["title"]))
    several = _asked(relations=(Relation(all_of(("quality", "coordinates", "authority"))),), sort=BY_RELEVANCE)
    return {
        "a page": ("", (page_sql(every, anyone),)),
        "a page, every facet": ("facets=all", (page_sql(every, anyone), facets_sql(ALL, every, anyone))),
        "Chinese words, every facet": (
            "q=历史影像&facets=all",
            (page_sql(words, anyone, ("历史影像",)), facets_sql(ALL, words, anyone)),
        ),
        "a word in every text, every facet": (
            "q=coordinates&facets=all",
            (page_sql(english, anyone, ("coordinates",)), facets_sql(ALL, english, anyone)),
        ),
        "the same by title": (
            "q=coordinates&sortby=title&facets=all",
            (page_sql(titled, anyone), facets_sql(ALL, titled, anyone)),
        ),
        "the same and a theme": (
            "q=coordinates&theme=规划&facets=all",
            (page_sql(both, anyone, ("coordinates",)), facets_sql(ALL, both, anyone)),
        ),
        "three such words, every facet": (
            "words=quality coordinates authority&facets=all",
            (page_sql(several, anyone, ("quality", "coordinates", "authority")), facets_sql(ALL, several, anyone)),
        ),
        "words together in every text, every facet": (
            "q=quality is checked&facets=all",
            (page_sql(phrase, anyone, ("quality is checked",)), facets_sql(ALL, phrase, anyone)),
        ),
        "a theme, every facet": ("theme=规划&facets=all", (page_sql(theme, anyone), facets_sql(ALL, theme, anyone))),
        "a district, every facet": ("area=440305&facets=all", (page_sql(area, anyone), facets_sql(ALL, area, anyone))),
    }


def _timed(run: Callable[[], object], rounds: int, before: Callable[[], object] = bool) -> list[float]:
    run()
    times = []
    for _ in range(rounds):
        before()
        begin = time.perf_counter()
        run()
        times.append((time.perf_counter() - begin) * 1000)
    return sorted(times)


def main() -> None:
    """Fill, ask, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--services", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=40)
    given = parser.parse_args()
    table = Table("question", "p50/p95 after a change", "p50/p95 asked again", "statements p50 ms")
    with tempfile.TemporaryDirectory(prefix="cim-bench-") as folder:
        Path(folder).chmod(0o755)
        with owned(Cluster(Path(folder) / "pg", ("fsync=off", "synchronous_commit=off"))) as url:
            upgrade(url)
            fill(url, given.services)
            with serving(url) as server, psycopg.connect(url, autocommit=True) as connection:
                client = httpx2.Client(base_url=server.url, timeout=60)
                for name, (query, statements) in questions().items():

                    def ask(query: str = query) -> object:
                        return client.get(f"/catalogue/items?{query}").raise_for_status()

                    changed = _timed(
                        ask, given.rounds, lambda: _run(connection, append_sql([Entry("bench", "e", "none", "1")]))
                    )
                    again = _timed(ask, given.rounds)
                    raw = _timed(lambda all_of=statements: [_run(connection, one) for one in all_of], given.rounds)  # type: ignore[misc]
                    table.add_row(name, _two(changed), _two(again), f"{statistics.median(raw):.1f}")
    Console(width=140).print(table)


def _two(times: list[float]) -> str:
    return f"{statistics.median(times):.1f} / {times[int(0.95 * (len(times) - 1))]:.1f}"


def _run(connection: psycopg.Connection[object], sql: Sql) -> object:
    text, values = sql.compile_psycopg()
    return connection.execute(text.encode(), values).fetchall()


if __name__ == "__main__":
    main()
