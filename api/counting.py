"""`numberMatched` on request: exact within a deadline, else an estimate under a name of its own."""

import asyncio
from collections.abc import Awaitable

from cim.db.pool import Database
from cim.model import Collection, Scope
from cim.query.counts import COUNTED, count_sql, rounded, sample_share, sample_sql
from cim.query.feature_query import FeatureQuery
from cim.sql import Sql

EXACT_S = 5.0
"""Deadline of an exact count."""
ESTIMATE_S = 1.0
"""Deadline of each step of an estimate."""


async def count_matched(
    database: Database, collection: Collection, query: FeatureQuery, scope: Scope, mode: str
) -> dict[str, int]:
    """`numberMatched`, or `numberMatchedEstimate`, or neither where not even that was to be had in time.

    Exactly counted: with `exact` to the end, with `estimate` up to `COUNTED`. A deadline passed cancels the statement.
    """
    at_most = None if mode == "exact" else COUNTED + 1
    deadline_s = EXACT_S if mode == "exact" else ESTIMATE_S
    counted = await _within(deadline_s, _count(database, count_sql(collection, query, scope, at_most=at_most)))
    if counted is not None and (at_most is None or counted < at_most):
        return {"numberMatched": counted}
    sample = sample_sql(collection, query, scope)
    if sample is None:
        return {}
    found = await _within(ESTIMATE_S, _count(database, sample))
    return {} if found is None else {"numberMatchedEstimate": rounded(found / sample_share(collection))}


async def _count(database: Database, sql: Sql) -> int:
    return int((await database.fetch_one(sql))["count"])


async def _within(seconds: float, count: Awaitable[int]) -> int | None:
    try:
        async with asyncio.timeout(seconds):
            return await count
    except TimeoutError:
        return None
