"""Words looked for in the texts of features: `q` (OGC API Features Part 9, draft 24-031).

A term is found as part of a text, in capitals or not, in full or half width (NFKC). Its words must stand in the text
together and in order, with any white space between them. An index of the pairs of characters in all searchable texts
(`cim.bigrams`) leaves few rows, whose visible texts are then read: that finds Chinese words of two characters, which
no trigram holds, and never finds by a text that the caller may not see.
"""

import unicodedata
from collections.abc import Sequence

from cim.errors import InvalidParameter
from cim.model import Collection, Scope
from cim.query.masking import hides
from cim.sql import Cast, Identifier, Sql

MAX_TERMS = 10


def parse_terms(texts: Sequence[str]) -> tuple[str, ...]:
    """Terms of which a feature must have one, white space in them made single.

    Raises InvalidParameter for too many, and for one without a word of two characters.
    """
    terms = tuple(dict.fromkeys(" ".join(unicodedata.normalize("NFKC", text).split()) for text in texts))
    if len(terms) > MAX_TERMS:
        raise InvalidParameter("q", len(terms), f"at most {MAX_TERMS} terms, separated by commas")
    for term in terms:
        if not any(len(word) > 1 for word in term.split()):
            raise InvalidParameter("q", term, "each term needs a word of two or more characters")
    return terms


def may_contain(collection: Collection, terms: Sequence[str]) -> Sql:
    """The condition, by the index over all searchable texts, that all the pairs of characters of one of `terms` are there."""
    names = collection.searched_columns()
    if not names:
        return Sql.of("FALSE")
    columns = Sql.join(", ", [Sql.of("{}", Identifier(name)) for name in names])
    pairs = [Sql.of("cim.bigrams(ARRAY[{}]) @> {}", columns, _pairs(term)) for term in terms]
    return Sql.of("COALESCE({}) IS NOT NULL AND ({})", columns, Sql.join(" OR ", pairs))


def contains(collection: Collection, scope: Scope, terms: Sequence[str]) -> Sql:
    """The condition that one of `terms` stands in a text that the caller may see; FALSE where there is no such text."""
    visible = [p for p in collection.properties if p.is_searchable and not hides(collection, scope, p.name)]
    found = [Sql.of("strpos(cim.folded({}), {}) > 0", p.column, _folded(term)) for term in terms for p in visible]
    return Sql.of("({})", Sql.join(" OR ", found)) if found else Sql.of("FALSE")


def _folded(term: str) -> Sql:
    return Sql.of("(SELECT cim.folded({}))", Cast(term, "text"))


def _pairs(term: str) -> Sql:
    """Pairs of characters within the words of a term, made once a statement."""
    return Sql.of(
        "(SELECT array_agg(pair) FROM unnest(string_to_array(cim.folded({}), ' ')) AS word, "
        "unnest(cim.bigrams(ARRAY[word])) AS pair)",
        Cast(term, "text"),
    )
