"""Tables of who is logged in: sessions, invitations, wrong guesses; notifications, and work that is done once for all workers."""

from sqlalchemy import BigInteger, Column, DateTime, ForeignKey, Identity, Index, Integer, Table, Text, func

from cim.db.schema import code_text, metadata

_INSTANT = DateTime(timezone=True)

session = Table(
    "session",
    metadata,
    Column("id", BigInteger(), Identity(), primary_key=True),
    Column("digest", Text(), nullable=False, unique=True, comment="sha256 of the cookie, hex"),
    Column("person_id", code_text(), ForeignKey("cim.person.id", ondelete="CASCADE"), nullable=False),
    Column("agent", Text(), nullable=False, server_default="", comment="the browser, as it calls itself"),
    Column("created_at", _INSTANT, nullable=False, server_default=func.now()),
    Column("seen_at", _INSTANT, nullable=False, server_default=func.now(), comment="to the minute"),
    Column("expires_at", _INSTANT, nullable=False, comment="whatever is done in it"),
)
Index("session_person_id_idx", session.c.person_id, session.c.id)

invitation = Table(
    "invitation",
    metadata,
    Column("digest", Text(), primary_key=True, comment="sha256 of the token, hex"),
    Column("person_id", code_text(), ForeignKey("cim.person.id", ondelete="CASCADE"), nullable=False, unique=True),
    Column("expires_at", _INSTANT, nullable=False),
    comment="the right to set a password once",
)

login_guess = Table(
    "login_guess",
    metadata,
    Column("subject", Text(), primary_key=True, comment="sha256 of a login, or of a login and an address, hex"),
    Column("failures", Integer(), nullable=False),
    Column("failed_at", _INSTANT, nullable=False, server_default=func.now()),
    comment="wrong passwords in a row",
)

notification = Table(
    "notification",
    metadata,
    Column("id", BigInteger(), Identity(), primary_key=True),
    Column("organisation_id", code_text(), nullable=False),
    Column("person_id", code_text(), comment="NULL for those of the organisation"),
    Column("duty", Text(), comment="only for those who have it, or org_admin"),
    Column("event", Text(), nullable=False),
    Column("subject_kind", Text(), nullable=False),
    Column("subject_id", code_text(), nullable=False),
    Column("text_zh", Text(), nullable=False),
    Column("text_en", Text(), nullable=False),
    Column("created_at", _INSTANT, nullable=False, server_default=func.now()),
    Column("read_at", _INSTANT),
)
Index("notification_organisation_id_idx", notification.c.organisation_id, notification.c.id)

round_table = Table(
    "round",
    metadata,
    Column("name", code_text(), primary_key=True),
    Column("begun_at", _INSTANT, nullable=False),
    comment="periodic work: whoever moves the row on does it, for all workers",
)
