"""Statements over what waits for a review, or to be put on the shelf: versions in work, whether or not a face is beside them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from cim.model import Scope
from cim.query.listing import any_of, within
from cim.query.service_life import who
from cim.sql import Cast, Sql

WAITING = ("in_review", "approved")
"""States of a version that waits for somebody else."""


@dataclass(frozen=True, slots=True)
class ReviewQuery:
    """What is asked of the work list. `after`: when the last one of the page before was submitted, and its service."""

    state: str | None = None
    organisation_id: str | None = None
    after: tuple[datetime, str] | None = None
    limit: int = 50

    def fingerprint(self) -> bytes:
        """The conditions without page size and position: what a cursor is bound to."""
        return b"reviews\n" + repr([self.state, self.organisation_id]).encode()


def reviews_sql(query: ReviewQuery, scope: Scope, identity: str) -> Sql:
    """Versions that wait, the longest waiting first, one more than the limit, with the face that they would replace.

    `face` and its columns are NULL where the service never was on the shelf; `is_own` is true where `identity` edited or
    submitted what the version holds since the content was last there: such a one is another's to review.
    """
    conditions = [Sql.of("v.state IN ('in_review', 'approved')"), *_seen(scope)]
    if query.state is not None:
        conditions.append(Sql.of("v.state = {}", query.state))
    if query.organisation_id is not None:
        conditions.append(Sql.of("s.organisation_id = {}", query.organisation_id))
    if query.after is not None:
        at, service_id = query.after
        conditions.append(
            Sql.of("(v.submitted_at, v.service_id) > ({}, {})", Cast(at, "timestamptz"), Cast(service_id, "text"))
        )
    return Sql.of(
        """
        SELECT v.service_id AS service, v.document ->> 'title_zh' AS title_zh, v.document ->> 'title_en' AS title_en,
            v.document ->> 'kind' AS kind, s.organisation_id, o.name_zh AS organisation_zh, o.name_en AS organisation_en,
            s.area_code, o.area_code AS organisation_area, v.number AS version, v.state, v.content_hash,
            {}, v.edited_at, {}, v.submitted_at, {}, v.reviewed_at, v.review_note,
            v.document::text AS document, f.number AS face_version, f.state AS face, f.document::text AS face_document, s.off_rank,
            EXISTS (
                SELECT FROM cim.service_version AS e
                WHERE e.service_id = v.service_id AND e.number <= v.number AND {} IN (e.edited_by, e.submitted_by)
                    AND e.number > coalesce((SELECT max(p.number) FROM cim.service_version AS p
                        WHERE p.service_id = v.service_id AND p.number < v.number AND p.published_at IS NOT NULL), 0)
            ) AS is_own
        FROM cim.service_version AS v
        JOIN cim.service AS s ON s.id = v.service_id
        LEFT JOIN cim.organisation AS o ON o.id = s.organisation_id
        LEFT JOIN cim.service_version AS f ON f.service_id = v.service_id AND f.state IN ('published', 'suspended', 'withdrawn')
        WHERE {}
        ORDER BY v.submitted_at, v.service_id
        LIMIT {}
        """,
        *(who(f"{done}_by", "v") for done in ("edited", "submitted", "reviewed")),
        Cast(identity, "text"),
        Sql.join(" AND ", conditions),
        Cast(query.limit + 1, "bigint"),
    )


def _seen(scope: Scope) -> Sequence[Sql]:
    """Where the caller has a duty for the service, as `cim.catalogue.life.duties_at` says it of one."""
    if scope.is_city or (scope.organisation_id is None and "reviewer" in scope.roles):
        return ()
    ways = []
    if scope.organisation_id is not None and scope.roles & {"publisher", "reviewer", "org_admin"}:
        ways.append(Sql.of("s.organisation_id = {}", scope.organisation_id))
    if "district_admin" in scope.roles and scope.area_code:
        ways += [within(Sql.of(column), scope.area_code) for column in ("s.area_code", "o.area_code")]
    return (any_of(ways),)
