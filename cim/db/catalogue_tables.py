"""Tables of the catalogue: who there is, services and their versions, applications, grants, scenarios, audit."""

from typing import Any

from geoalchemy2 import Geometry
from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Computed,
    Date,
    DateTime,
    Float,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, UUID

from cim.db.schema import code_text, metadata
from cim.model.scope import DUTIES

_STATES = "state IN ('draft', 'in_review', 'approved', 'published', 'suspended', 'withdrawn', 'archived')"
_DUTIES = f"duties <@ ARRAY[{', '.join(repr(duty) for duty in DUTIES)}]"


_SEARCHED = (
    "cim.folded(id || E'\\x1f' || title_zh || E'\\x1f' || title_en || E'\\x1f' || themes::text || E'\\x1f' || "
    "description_zh || E'\\x1f' || description_en)"
)
_TITLES = "cim.folded(E'\\x1f' || title_zh || E'\\x1f' || title_en || E'\\x1f')"


def _instant(name: str, **more: Any) -> Column[Any]:
    return Column(name, DateTime(timezone=True), **more)


def _now(name: str) -> Column[Any]:
    return _instant(name, nullable=False, server_default=func.now())


organisation = Table(
    "organisation",
    metadata,
    Column("id", code_text(), primary_key=True),
    Column("name_zh", Text(), nullable=False),
    Column("name_en", Text(), nullable=False),
    Column("contact", Text()),
    Column("state", Text(), nullable=False, server_default="active"),
    Column("area_code", code_text(), comment="of the district it belongs to; NULL for the city"),
    _now("created_at"),
    CheckConstraint("state IN ('active', 'suspended')", name="organisation_state_check"),
)

person = Table(
    "person",
    metadata,
    Column("id", code_text(), primary_key=True),
    Column("organisation_id", code_text(), ForeignKey("cim.organisation.id"), nullable=False),
    Column("login", code_text(), nullable=False, comment="lower case"),
    Column("name", Text(), nullable=False),
    Column("email", Text()),
    Column("password_hash", Text(), comment="argon2id"),
    Column("issuer", code_text(), comment="of OpenID Connect, with the subject"),
    Column("subject", code_text()),
    Column("duties", ARRAY(Text()), nullable=False, server_default="{}"),
    Column("area_code", code_text(), comment="of the district that a district admin acts in"),
    Column("state", Text(), nullable=False, server_default="active"),
    _now("created_at"),
    CheckConstraint("state IN ('active', 'suspended')", name="person_state_check"),
    CheckConstraint(_DUTIES, name="person_duties_check"),
)
Index("person_login_idx", person.c.login, unique=True)
Index(
    "person_subject_idx",
    person.c.issuer,
    person.c.subject,
    unique=True,
    postgresql_where=person.c.subject.is_not(None),
)
Index("person_organisation_id_idx", person.c.organisation_id, person.c.id)

api_key = Table(
    "api_key",
    metadata,
    Column("id", BigInteger(), Identity(), primary_key=True),
    Column("prefix", code_text(), nullable=False, unique=True, comment="first 8 characters, to name a key in lists"),
    Column("digest", Text(), nullable=False, comment="sha256 of the whole key, hex; the key itself is shown once"),
    Column("role", Text(), nullable=False),
    Column("label", Text(), nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("expires_at", DateTime(timezone=True)),
    Column("revoked_at", DateTime(timezone=True)),
    Column("collections", ARRAY(Text()), comment="ids that exist for the caller; NULL for all"),
    Column("area_code", code_text(), comment="rows outside of it do not exist for the caller"),
    Column("hidden", ARRAY(Text()), nullable=False, server_default="{}", comment="property or collection.property"),
    Column("precision_m", Float(53), comment="cells of this size stand for places"),
    Column("organisation_id", code_text(), comment="whose calls are counted"),
    Column("person_id", code_text(), comment="who made it for themselves"),
    Column("duties", ARRAY(Text()), nullable=False, server_default="{}"),
    Column(
        "services", ARRAY(Text()), comment="ids of the services it may call; NULL for all that its organisation may"
    ),
    Column("grant_id", BigInteger(), comment="the grant whose conditions its calls have; NULL for that of the service"),
    Column("last_used_on", Date(), comment="day of the platform, written once a day"),
    CheckConstraint("role IN ('reader', 'editor', 'admin')", name="api_key_role_check"),
    CheckConstraint(
        "role = 'reader' OR (hidden = '{}' AND precision_m IS NULL AND (role = 'editor' OR "
        "(collections IS NULL AND area_code IS NULL)))",
        name="api_key_limits_check",
    ),
    CheckConstraint(_DUTIES, name="api_key_duties_check"),
)

service = (
    Table(  # in a row the short columns that are counted and ordered by stand first: it is read from its beginning
        "service",
        metadata,
        Column("id", code_text(), primary_key=True),
        Column("state", Text(), nullable=False, server_default="draft"),
        Column("kind", code_text(), nullable=False),
        Column("organisation_id", code_text(), ForeignKey("cim.organisation.id")),
        Column("share_class", Text(), nullable=False, server_default="conditional"),
        Column("cim_level", Integer()),
        Column("area_code", code_text()),
        Column("update_cycle", Text()),
        Column(
            "themes_key",
            UUID(),
            Computed("md5(themes::text)::uuid", persisted=True),
            comment="the same for the same themes: what they are counted by",
        ),
        Column(
            "titles",
            Text(),
            Computed(_TITLES, persisted=True),
            comment="both titles, folded, with U+001F around them: what relevance is of",
        ),
        _now("created_at"),
        _now("updated_at"),
        _instant("published_at"),
        Column("time_from", Date()),
        Column("time_to", Date()),
        Column("title_zh", Text(), nullable=False),
        Column("title_en", Text(), nullable=False),
        Column("themes", JSONB(), nullable=False, server_default="[]"),
        Column("geom", Geometry("POLYGON", srid=4326, spatial_index=False)),
        Column("harvest_id", code_text(), comment="the harvest, or district node, that it came from"),
        Column("remote_id", code_text(), comment="its id where it came from"),
        Column("collection_id", code_text()),
        Column(
            "version",
            Integer(),
            nullable=False,
            server_default="1",
            comment="of cim.service_version, whose content these columns show",
        ),
        Column("registered_by", Text(), nullable=False, server_default=""),
        Column(
            "off_rank",
            Integer(),
            comment="of who took it off the shelf: 1 the organisation, 2 the district, 3 the city",
        ),
        Column("licence", Text()),
        Column("contact", Text()),
        Column("content_hash", Text()),
        Column("state_reason", Text(), comment="why it is suspended or withdrawn"),
        Column("quality", Text()),
        Column("provenance", JSONB()),
        Column("endpoints", JSONB(), nullable=False, server_default="[]"),
        Column("description_zh", Text(), nullable=False, server_default=""),
        Column("description_en", Text(), nullable=False, server_default=""),
        Column(
            "searched",
            Text(),
            Computed(_SEARCHED, persisted=True),
            comment="texts that words are looked for in, folded, with U+001F between them",
        ),
        CheckConstraint(_STATES, name="service_state_check"),
        CheckConstraint(
            "share_class IN ('unconditional', 'conditional', 'not_shared')", name="service_share_class_check"
        ),
        postgresql_with={"toast_tuple_target": 4080},
    )
)
Index("service_geom_idx", service.c.geom, postgresql_using="gist")
Index("service_state_idx", service.c.state, service.c.id)
Index(
    "service_remote_idx",
    service.c.harvest_id,
    service.c.remote_id,
    unique=True,
    postgresql_where=service.c.harvest_id.is_not(None),
)
Index("service_organisation_id_idx", service.c.organisation_id, service.c.id)
Index(
    "service_words_idx",
    func.cim.beginnings(service.c.searched, service.c.organisation_id, service.c.themes),
    postgresql_using="gin",
)
Index("service_themes_key_idx", service.c.themes_key)
# what services are counted by, so that a count need not read them
Index(
    "service_facet_idx",
    *(service.c[n] for n in ("state", "kind", "share_class", "cim_level", "update_cycle", "organisation_id")),
    service.c.area_code,
    service.c.themes_key,
)
Index("service_updated_at_idx", service.c.updated_at, service.c.id)
Index("service_area_code_idx", service.c.area_code)
Index("service_no_geom_idx", service.c.id, postgresql_where=service.c.geom.is_(None))

service_version = Table(
    "service_version",
    metadata,
    Column("service_id", code_text(), primary_key=True),
    Column("number", Integer(), primary_key=True, autoincrement=False),
    Column("state", Text(), nullable=False, server_default="draft"),
    Column("document", JSONB(), nullable=False, comment="the members of a registration"),
    Column("content_hash", Text(), nullable=False, comment="sha256 of the document, hex: what a review is of"),
    Column("edited_by", Text(), nullable=False),
    _now("edited_at"),
    Column("submitted_by", Text()),
    _instant("submitted_at"),
    Column("reviewed_by", Text()),
    _instant("reviewed_at"),
    Column("review_note", Text()),
    Column("published_by", Text()),
    _instant("published_at"),
    CheckConstraint(_STATES, name="service_version_state_check"),
)
Index(
    "service_version_working_idx",
    service_version.c.service_id,
    unique=True,
    postgresql_where=service_version.c.state.in_(("draft", "in_review", "approved")),
)
Index(
    "service_version_face_idx",
    service_version.c.service_id,
    unique=True,
    postgresql_where=service_version.c.state.in_(("published", "suspended", "withdrawn")),
)
Index(
    "service_version_waiting_idx",
    service_version.c.submitted_at,
    service_version.c.service_id,
    postgresql_where=service_version.c.state.in_(("in_review", "approved")),
)

service_secret = Table(
    "service_secret",
    metadata,
    Column("service_id", code_text(), ForeignKey("cim.service.id", ondelete="CASCADE"), primary_key=True),
    Column("sealed", LargeBinary(), nullable=False, comment="AES-256-GCM under the node's master key"),
    _now("set_at"),
    Column("set_by", Text(), nullable=False),
)

scenario = Table(
    "scenario",
    metadata,
    Column("id", code_text(), primary_key=True),
    Column("organisation_id", code_text(), ForeignKey("cim.organisation.id"), nullable=False),
    Column("title_zh", Text(), nullable=False, server_default=""),
    Column("title_en", Text(), nullable=False, server_default=""),
    Column("description", Text(), nullable=False, server_default=""),
    Column("contact", Text()),
    Column("url", Text()),
    Column("state", Text(), nullable=False, server_default="active"),
    Column("is_public", Boolean(), nullable=False, server_default=text("false")),
    Column("created_by", Text(), nullable=False),
    _now("created_at"),
    CheckConstraint("state IN ('active', 'archived')", name="scenario_state_check"),
    comment="application scenarios: what an organisation builds with services",
)
Index("scenario_organisation_id_idx", scenario.c.organisation_id, scenario.c.id)

application = Table(
    "application",
    metadata,
    Column("id", BigInteger(), Identity(), primary_key=True),
    Column("service_id", code_text(), nullable=False),
    Column("organisation_id", code_text(), nullable=False),
    Column("scenario_id", code_text()),
    Column("purpose", Text(), nullable=False),
    Column("wanted", JSONB(), nullable=False, server_default="{}", comment="conditions asked for, as a grant has them"),
    Column("state", Text(), nullable=False, server_default="submitted"),
    Column("applied_by", Text(), nullable=False),
    _now("applied_at"),
    _instant("due_at", nullable=False, comment="end of the working days that its share class allows"),
    _instant("reminded_at"),
    Column("grant_id", BigInteger(), comment="the grant to be renewed; once decided, the one that was made or renewed"),
    Column("applicant_id", code_text(), comment="the person who applied; the decision is another's"),
    Column("decided_by", Text()),
    _instant("decided_at"),
    Column("note", Text()),
    CheckConstraint("state IN ('submitted', 'granted', 'refused', 'withdrawn')", name="application_state_check"),
)
Index("application_service_id_idx", application.c.service_id, application.c.id)
Index("application_organisation_id_idx", application.c.organisation_id, application.c.id)
Index("application_open_idx", application.c.due_at, postgresql_where=application.c.state == "submitted")

service_grant = Table(
    "service_grant",
    metadata,
    Column("id", BigInteger(), Identity(), primary_key=True),
    Column("service_id", code_text(), nullable=False),
    Column("organisation_id", code_text(), nullable=False),
    Column("application_id", BigInteger()),
    Column("scenario_id", code_text()),
    Column("quota_day", BigInteger(), comment="calls of a day of the platform; NULL for any number"),
    Column("rate_calls", Integer(), comment="calls in rate_seconds; NULL for any rate"),
    Column("rate_seconds", Integer()),
    _instant("expires_at"),
    Column("area_code", code_text()),
    Column("hidden", ARRAY(Text()), nullable=False, server_default="{}"),
    Column("precision_m", Float(53)),
    Column("granted_by", Text(), nullable=False),
    _now("granted_at"),
    Column("revoked_by", Text()),
    _instant("revoked_at"),
    Column("revoked_why", Text()),
    _instant("reminded_at", comment="when its organisation was told that it will expire"),
    CheckConstraint("quota_day > 0", name="service_grant_quota_check"),
    CheckConstraint(
        "(rate_calls IS NULL) = (rate_seconds IS NULL) AND rate_calls > 0 AND rate_seconds > 0",
        name="service_grant_rate_check",
    ),
)
Index(
    "service_grant_in_force_idx",
    service_grant.c.service_id,
    service_grant.c.organisation_id,
    text("coalesce(scenario_id, '')"),
    unique=True,
    postgresql_where=service_grant.c.revoked_at.is_(None),
)
Index("service_grant_organisation_id_idx", service_grant.c.organisation_id, service_grant.c.service_id)

audit = Table(
    "audit",
    metadata,
    Column("number", BigInteger(), primary_key=True, autoincrement=False),
    _instant("recorded_at", nullable=False),
    Column("event", Text(), nullable=False),
    Column("actor", Text(), nullable=False),
    Column("organisation_id", code_text()),
    Column("subject_kind", Text(), nullable=False),
    Column("subject_id", code_text(), nullable=False),
    Column("why", Text()),
    Column("detail", JSONB(), nullable=False, server_default="{}"),
    Column("previous", LargeBinary(), nullable=False),
    Column("digest", LargeBinary(), nullable=False, comment="sha256 of the row and of the digest before it"),
)
Index("audit_subject_idx", audit.c.subject_kind, audit.c.subject_id, audit.c.number)
Index("audit_organisation_id_idx", audit.c.organisation_id, audit.c.number)

audit_head = Table(
    "audit_head",
    metadata,
    Column("name", code_text(), primary_key=True),
    Column("number", BigInteger(), nullable=False),
    Column("digest", LargeBinary(), nullable=False),
    comment="the last row of the chain: a tail that was cut is missed",
)
