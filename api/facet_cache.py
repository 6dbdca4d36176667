"""Counts of facets that were made, kept in the memory of a worker as long as the catalogue is the same.

Counts are sent again only after the catalogue's stamp was read anew: a change that was committed before the question, by
whatever worker or loader, is in the answer. What somebody changes in the tables by hand, beside the node's own statements,
is counted at the latest after `LONGEST_S`.
"""

import time
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

from cim.db.pool import Database
from cim.model import Scope
from cim.query.feature_query import FeatureQuery
from cim.query.records import CATALOGUE_STAMP, counts_of, facets_sql

MOST_KEPT = 256
LONGEST_S = 30.0

Counts = tuple[dict[str, list[tuple[str, int]]], int]
"""Facet → (value, number), the largest first; and how many match at all."""


class FacetCache:
    """The counts one worker keeps, by the statement that makes them: who may see other rows asks by another one."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._kept: OrderedDict[tuple[str, str], tuple[tuple[Any, ...], float, Counts]] = OrderedDict()

    async def counts(self, names: Sequence[str], query: FeatureQuery, scope: Scope, *, is_kept: bool = True) -> Counts:
        """The counts of the facets of `names`. `is_kept`: the catalogue alone decides about them, and they may be kept.

        Raises Unavailable.
        """
        sql = facets_sql(names, query, scope)
        if not is_kept:
            return counts_of(names, await self._database.fetch_rows(sql))
        text, values = sql.compile()
        key = (text, repr(values))
        stamp = tuple(await self._database.fetch_one(CATALOGUE_STAMP))
        known = self._kept.get(key)
        if known is not None and known[0] == stamp and time.monotonic() - known[1] < LONGEST_S:
            self._kept.move_to_end(key)
            return known[2]
        begun = time.monotonic()  # the stamp is older than the counts: a change between the two is another stamp
        counts = counts_of(names, await self._database.fetch_rows(sql))
        self._kept[key] = (stamp, begun, counts)
        self._kept.move_to_end(key)
        if len(self._kept) > MOST_KEPT:
            self._kept.popitem(last=False)
        return counts
