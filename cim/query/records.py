"""Statements over the records of the catalogue: a page in order, one record, how many there are of each kind.

Conditions, order and paging are those of every collection (`cim.query.predicate`, `cim.query.order`) over the view
`cim.record`; who sees which service is ANDed outside of what a client sent. What is shown of a record is read for the
rows of the page only.
"""

from collections.abc import Sequence
from typing import Any

from cim.catalogue.search import is_one_run
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
BY_RELEVANCE = (SortKey(RELEVANCE, is_descending=True, is_never_null=True), SortKey(ID))


def visible(scope: Scope) -> Sql:
    """The condition on rows of `cim.record`, alias `feature`, that the caller may see."""
    return visible_services(scope, Identifier("feature"))


def matching(query: FeatureQuery, scope: Scope) -> Sql:
    """The condition, to be written after WHERE. What is on the shelf is public: what a key hides of the city is not asked."""
    return Sql.of("({}) AND ({})", where(RECORDS, query, EVERYTHING), visible(scope))


def _source(terms: Sequence[str]) -> Sql:
    """The rows, with their relevance to `terms`: for each 3 where it is a title, 2 where one begins so, 1 where it is in one, in all."""
    scores = [
        Sql.of(
            "CASE WHEN titles NOT LIKE {} THEN 0 WHEN titles LIKE {} THEN 3 WHEN titles LIKE {} THEN 2 ELSE 1 END",
            _pattern(term),
            _pattern(f"\x1f{term}\x1f"),
            _pattern(f"\x1f{term}"),
        )
        for term in terms
    ]
    return Sql.of("(SELECT *, {} AS relevance FROM cim.record)", Sql.join(" + ", scores) if scores else Sql.of("0"))


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


def _pattern(text: str) -> Sql:
    """What LIKE finds the text by, wherever it stands, made once a statement: quicker by half than `strpos`, which counts characters."""
    return Sql.of(
        r"(SELECT '%' || regexp_replace(cim.folded({}), '([\\%_])', '\\\1', 'g') || '%')",
        Cast(text, "text"),
    )


def holds(column: Sql, term: str) -> Sql:
    """The condition that the term stands in a text of few rows, whatever its capitals and width."""
    return Sql.of("cim.folded({}) LIKE {}", column, _pattern(term))


def any_of(terms: Sequence[str]) -> Sql:
    """The condition that one of `terms` stands in a text of the service, or in a name of its organisation.

    OGC 20-004r1, /req/record-core-query-parameters/q-response B.
    """
    found = _found(Sql.join(" || ", [_looked_up(term) for term in terms]))
    if all(is_one_run(term) for term in terms):
        return found
    return Sql.of("{} AND ({})", found, Sql.join(" OR ", [_is_read(term) for term in terms]))


def all_of(terms: Sequence[str]) -> Sql:
    """The condition that every one of `terms` stands in a text, or in a name of the organisation, wherever."""
    found = _found(Sql.join(" && ", [_looked_up(term) for term in terms]))
    return Sql.join(" AND ", [found, *(_is_read(term) for term in terms if not is_one_run(term))])


def _found(wanted: Sql) -> Sql:
    """The condition that the index of words answers alone.

    Words and themes have one index, and what it finds is exact: PostgreSQL would make what stands at each place of a row
    anew, 0.2 ms each, for a condition that it checks in rows, or in those that an inexact index found beside this one.
    """
    return Sql.of("cim.beginnings(searched, organisation, keywords) @@ (SELECT {})", wanted)


def _looked_up(term: str) -> Sql:
    """What the index is asked: it knows all that hold a term of one short run; of another it leaves few, which are read."""
    return Sql.of("cim.beginnings_with(cim.folded({}), {})", Cast(term, "text"), _organisations(term))


def _is_read(term: str) -> Sql:
    return Sql.of("(searched LIKE {} OR organisation = ANY({}))", _pattern(term), _organisations(term))


def _organisations(term: str) -> Sql:
    """Ids of those in whose names the term stands, as an array."""
    names = [holds(Sql.of("{}", Identifier(name)), term) for name in ("name_zh", "name_en")]
    return Sql.of("ARRAY(SELECT id FROM cim.organisation WHERE {})", Sql.join(" OR ", names))


def has_theme(theme: str) -> Sql:
    """The condition that the service has the theme, as it is written."""
    return _found(Sql.of("cim.quoted(E'\\x1e' || left({}, 200))::tsquery", Cast(theme, "text")))


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


CATALOGUE_STAMP = Sql.of(
    "SELECT number, (SELECT max(updated_at) FROM cim.service) AS changed, (SELECT md5(string_agg(concat_ws(E'\\x1f', id, "
    "name_zh, name_en, area_code), E'\\x1e' ORDER BY id)) FROM cim.organisation) AS organisations "
    "FROM cim.audit_head WHERE name = 'audit'"
)
"""What is the same as long as no service and no organisation has changed: every change of a service is a row of the audit in the
same transaction, and those are numbered in the order of commits."""

_TOGETHER = (("kind", "shareClass", "state"), ("cimLevel", "updateCycle"), ("organisation", "area"), ("theme",))
"""Facets that are counted by their combinations first, which are few: half the work of counting each from the rows."""


def facets_sql(names: Sequence[str], query: FeatureQuery, scope: Scope) -> Sql:
    """Rows `facet` (its place in `names`, or the number of names for all that match), `value`, `number`.

    One pass over the matching rows, which the index of what is counted holds all of, where no text or place is asked
    for. Themes are counted by sets of them, which are few, then one by one.
    """
    if not names:
        every = matching(query, scope)
        return Sql.of("SELECT 0 AS facet, NULL AS value, count(*) AS number FROM cim.record AS feature WHERE {}", every)
    digits = STREET_DIGITS if query.area is not None and len(query.area) >= DISTRICT_DIGITS else DISTRICT_DIGITS
    taken = Sql.of(
        'kind, organisation, "shareClass", left("areaCode", {}) AS area, "cimLevel", "updateCycle", state, themes_key',
        Cast(digits, "int"),
    )
    sets = [kept for kept in ([one for one in together if one in names] for together in _TOGETHER) if kept]
    keys = [Sql.join(", ", [Sql.of(FACETS[name][1]) for name in one]) for one in sets]
    which = Sql.join(
        " ",
        [
            Sql.of("WHEN GROUPING({}) = 0 THEN {}", Sql.of(FACETS[one[0]][1]), Cast(n, "int"))
            for n, one in enumerate(sets)
        ],
    )
    parts = [_counts_of_one(name, names.index(name), place) for place, one in enumerate(sets) for name in one]
    total = Sql.of("SELECT {}, NULL::text, sum(number)::bigint FROM counted WHERE sets = 0", Cast(len(names), "int"))
    return Sql.of(
        "WITH counted AS MATERIALIZED (SELECT CASE {} END AS sets, {}, count(*) AS number "
        "FROM (SELECT {} FROM cim.record AS feature WHERE {}) AS matching GROUP BY GROUPING SETS ({})) "
        "SELECT facet, value, number FROM ({}) AS told (facet, value, number)",
        which,
        Sql.join(", ", keys),
        taken,
        matching(query, scope),
        Sql.join(", ", [Sql.of("({})", key) for key in keys]),
        Sql.join(" UNION ALL ", [*parts, Sql.of("({})", total)]),
    )


def _counts_of_one(name: str, facet: int, place: int) -> Sql:
    """Rows of one facet, from the combinations that it was counted in."""
    column = Sql.of(FACETS[name][1])
    if name == "theme":
        return Sql.of(
            "(SELECT {}, theme, sum(number)::bigint FROM counted, LATERAL "
            "(SELECT themes FROM cim.service AS s WHERE s.themes_key = counted.themes_key LIMIT 1) AS kept, "
            "LATERAL jsonb_array_elements_text(kept.themes) AS theme WHERE sets = {} GROUP BY theme)",
            Cast(facet, "int"),
            Cast(place, "int"),
        )
    return Sql.of(
        "(SELECT {}, {}::text, sum(number)::bigint FROM counted WHERE sets = {} AND {} IS NOT NULL GROUP BY {})",
        Cast(facet, "int"),
        column,
        Cast(place, "int"),
        column,
        column,
    )


def counts_of(names: Sequence[str], rows: Sequence[Any]) -> tuple[dict[str, list[tuple[str, int]]], int]:
    """The rows of `facets_sql`: facet → (value, number) by number, the largest first, then by value; how many match at all."""
    found: dict[str, list[tuple[str, int]]] = {name: [] for name in names}
    total = 0
    for facet, value, number in rows:
        if facet == len(names):
            total = number or 0
        else:
            found[names[facet]].append((value, number))
    for counts in found.values():
        counts.sort(key=lambda one: (-one[1], one[0]))
    return found, total
