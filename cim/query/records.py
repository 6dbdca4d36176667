"""Statements over the records of the catalogue: a page in order, one record, how many there are of each kind.

Conditions, order and paging are those of every collection (`cim.query.predicate`, `cim.query.order`) over the view
`cim.record`; who sees which service is ANDed outside of what a client sent. What is shown of a record is read for the
rows of the page only.
"""

from collections.abc import Sequence
from typing import Any

import orjson

from cim.collections.records import RECORDS
from cim.model import EVERYTHING, Kind, Property, Scope
from cim.query.feature_query import FeatureQuery, SortKey
from cim.query.order import ID, POSITION, ordered_rows
from cim.query.predicate import where
from cim.query.services import OWNED, shown_to, visible_services
from cim.sql import Cast, Identifier, Sql

MAX_RECORDS = 1_000
"""Records of a page: each is written in Python."""

RELEVANCE = Property("relevance", Kind.INTEGER, "相关度", "Relevance", minimum=0)
"""How well a record fits the words that were looked for: by where in its titles they stand."""

BY_ID = (SortKey(ID),)
BY_RELEVANCE = (SortKey(RELEVANCE, is_descending=True), SortKey(ID))


def visible(scope: Scope) -> Sql:
    """The condition on rows of `cim.record`, alias `feature`, that the caller may see."""
    return visible_services(scope, Identifier("feature"))


def matching(query: FeatureQuery, scope: Scope) -> Sql:
    """The condition, to be written after WHERE. What is on the shelf is public: what a key hides of the city is not asked."""
    return Sql.of("({}) AND ({})", where(RECORDS, query, EVERYTHING), visible(scope))


def _source(terms: Sequence[str]) -> Sql:
    """The rows, with their relevance to `terms`."""
    return Sql.of("(SELECT *, {} AS relevance FROM cim.record)", _relevance(terms))


def _relevance(terms: Sequence[str]) -> Sql:
    """For each term 3 where it is a title, 2 where one begins with it, 1 where it stands in one, added up.

    The titles are the second and third of the searched texts.
    """
    if not terms:
        return Sql.of("0")
    titles = Sql.of(
        "E'\\x1f' || split_part(searched, E'\\x1f', 2) || E'\\x1f' || split_part(searched, E'\\x1f', 3) || E'\\x1f'"
    )
    scores = [
        Sql.of(
            "CASE WHEN strpos(titles, {}) = 0 THEN 0 WHEN strpos(titles, {}) > 0 THEN 3 WHEN strpos(titles, {}) > 0 THEN 2 ELSE 1 END",
            _folded(term),
            _folded(f"\x1f{term}\x1f"),
            _folded(f"\x1f{term}"),
        )
        for term in terms
    ]
    return Sql.of("(SELECT {} FROM (SELECT {} AS titles) AS told)", Sql.join(" + ", scores), titles)


def page_sql(query: FeatureQuery, scope: Scope, terms: Sequence[str] = ()) -> Sql:
    """Rows of a page in order, one more than the limit: `shown_to` and `position`, behind which the next page begins.

    `query.sort` is not empty; `terms` are what RELEVANCE is of.
    """
    ordered = ordered_rows(RECORDS, query, EVERYTHING, Sql.of("NULL"), _source(terms), matching(query, scope))
    return Sql.of(
        "WITH page AS MATERIALIZED (SELECT id, {} AS position, row_number() OVER () AS place FROM {} AS ordered) "
        "SELECT {}, page.position FROM page JOIN cim.service AS s ON s.id = page.id {} ORDER BY page.place",
        POSITION,
        ordered,
        shown_to(scope),
        OWNED,
    )


def changes_sql(limit: int, gone: Sequence[str]) -> Sql:
    """Rows of the services that changed last, the latest first: those on the shelf, and those that were and are in a state of `gone`."""
    return Sql.of(
        "SELECT {} FROM cim.service AS s {} WHERE s.state = 'published' OR (s.state = ANY({}) AND s.published_at IS NOT NULL) "
        "ORDER BY s.updated_at DESC, s.id DESC LIMIT {}",
        shown_to(Scope()),
        OWNED,
        Cast(list(gone), "text[]"),
        Cast(limit, "bigint"),
    )


def _folded(text: str) -> Sql:
    return Sql.of("(SELECT cim.folded({}))", Cast(text, "text"))


def _pairs(term: str) -> Sql:
    """Pairs of characters within the words of a term, made once a statement; none of a single character."""
    return Sql.of(
        "(SELECT COALESCE(array_agg(pair), ARRAY[]::bigint[]) FROM unnest(string_to_array(cim.folded({}), ' ')) AS word, "
        "unnest(cim.bigrams(ARRAY[word])) AS pair)",
        Cast(term, "text"),
    )


def any_of(terms: Sequence[str]) -> Sql:
    """The condition that one of `terms` stands in a text of the service, or in a name of its organisation.

    OGC 20-004r1, /req/record-core-query-parameters/q-response B. What the index of words answers stands in a part of its
    own, so that no row's pairs of characters are made again: that takes longer than all else.
    """
    named = Sql.of("organisation = ANY(ARRAY(SELECT id FROM cim.organisation WHERE {}))", _names_hold(terms))
    looked_up = [Sql.of("cim.bigrams(ARRAY[searched]) @> {}", _pairs(term)) for term in terms]
    read = [Sql.of("strpos(searched, {}) > 0", _folded(term)) for term in terms]
    return Sql.of("({}) AND ({})", Sql.join(" OR ", [*looked_up, named]), Sql.join(" OR ", [*read, named]))


def _names_hold(terms: Sequence[str]) -> Sql:
    return Sql.join(
        " OR ",
        [
            Sql.of("strpos(cim.folded({}), {}) > 0", Identifier(name), _folded(term))
            for term in terms
            for name in ("name_zh", "name_en")
        ],
    )


def all_of(terms: Sequence[str]) -> Sql:
    """The condition that every one of `terms` stands in a text, or in a name of the organisation, wherever."""
    return Sql.join(" AND ", [any_of((term,)) for term in terms])


def has_theme(theme: str) -> Sql:
    """The condition that the service has the theme, as it is written."""
    return Sql.of("keywords @> {}", Cast(orjson.dumps([theme]).decode(), "jsonb"))


def has_external_id(text: str) -> Sql:
    """The condition on where a record came from: `scheme:value`, `value`, or `scheme:`.

    OGC 20-004r1, /req/record-core-query-parameters/externalIds-response.
    """
    scheme, colon, value = text.partition(":")
    if colon and not value:
        return Sql.of("source = {}", scheme)
    whole = Sql.of("source_id = {}", text)
    return Sql.of("({} OR (source = {} AND source_id = {}))", whole, scheme, value) if colon else whole


def has_health(state: str) -> Sql:
    """The condition that the last probe of the service found it so."""
    return Sql.of("id IN (SELECT service_id FROM cim.service_health WHERE state = {})", state)


def in_area_called(name: str) -> Sql:
    """The condition that the service is about an area of that name, or one within it."""
    return Sql.of(
        'EXISTS (SELECT FROM cim.area AS named WHERE named.name = {} AND "areaCode" >= named.code AND "areaCode" < named.code || \':\')',
        name,
    )


FACETS: dict[str, tuple[str, str]] = {
    "theme": ("keywords", "themes_key"),
    "kind": ("kind", "kind"),
    "organisation": ("organisation", "organisation"),
    "shareClass": ("shareClass", '"shareClass"'),
    "area": ("areaCode", "area"),
    "cimLevel": ("cimLevel", '"cimLevel"'),
    "updateCycle": ("updateCycle", '"updateCycle"'),
    "state": ("state", "state"),
}
"""Name of a facet → property that it counts, column of `_counted`."""

DISTRICT_DIGITS = 6
STREET_DIGITS = 9


def facets_sql(names: Sequence[str], query: FeatureQuery, scope: Scope) -> Sql:
    """Rows `facet` (its place in `names`, or the number of names for all that match), `value`, `number`.

    One pass over the matching rows, which the index of what is counted holds all of, where no text or place is asked
    for. Themes are counted by sets of them, which are few, then one by one.
    """
    columns = [Sql.of(FACETS[name][1]) for name in names]
    digits = STREET_DIGITS if query.area is not None and len(query.area) >= DISTRICT_DIGITS else DISTRICT_DIGITS
    taken = Sql.of(
        'kind, organisation, "shareClass", left("areaCode", {}) AS area, "cimLevel", "updateCycle", state, themes_key',
        Cast(digits, "int"),
    )
    sets = Sql.join(", ", [Sql.of("({})", column) for column in columns] + [Sql.of("()")])
    which = Sql.join(
        " ",
        [Sql.of("WHEN GROUPING({}) = 0 THEN {}", column, Cast(place, "int")) for place, column in enumerate(columns)],
    )
    which = Sql.of("CASE {} ELSE {} END", which, Cast(len(names), "int")) if columns else Sql.of("{}", Cast(0, "int"))
    values = [Sql.of("{}::text", column) for column in columns]
    value = Sql.of("COALESCE({})", Sql.join(", ", values)) if values else Sql.of("NULL::text")
    key = Sql.of("themes_key") if "theme" in names else Sql.of("NULL::uuid")
    return Sql.of(
        "WITH counted AS MATERIALIZED (SELECT {} AS facet, {} AS value, {} AS themes_key, count(*) AS number "
        "FROM (SELECT {} FROM cim.record AS feature WHERE {}) AS matching GROUP BY GROUPING SETS ({})) "
        "SELECT facet, value, number FROM counted WHERE themes_key IS NULL AND (value IS NOT NULL OR facet = {}) "
        "UNION ALL SELECT facet, theme, sum(number)::bigint FROM counted, LATERAL "
        "(SELECT themes FROM cim.service AS s WHERE s.themes_key = counted.themes_key LIMIT 1) AS kept, "
        "LATERAL jsonb_array_elements_text(kept.themes) AS theme WHERE counted.themes_key IS NOT NULL GROUP BY facet, theme",
        which,
        value,
        key,
        taken,
        matching(query, scope),
        sets,
        Cast(len(names), "int"),
    )


def counts_of(names: Sequence[str], rows: Sequence[Any]) -> tuple[dict[str, list[tuple[str, int]]], int]:
    """The rows of `facets_sql`: facet → (value, number) by number, the largest first, then by value; how many match at all."""
    found: dict[str, list[tuple[str, int]]] = {name: [] for name in names}
    total = 0
    for facet, value, number in rows:
        if facet == len(names):
            total = number
        else:
            found[names[facet]].append((value, number))
    for counts in found.values():
        counts.sort(key=lambda one: (-one[1], one[0]))
    return found, total
