"""How the sessions of the API log in: by a role that owns nothing and may nothing until it takes `cim.db.guard.ROLE`.

A session that logged in as the owner and took the role goes back to the owner by `SET ROLE NONE`; one of this login does not.
"""

from dataclasses import dataclass, field
from urllib.parse import parse_qs, quote, urlsplit, urlunsplit

import psycopg

from cim.db.guard import LOGIN, ROLE
from cim.settings import Settings


@dataclass(frozen=True, slots=True)
class Way:
    """An address to connect to, and the settings of the session that go with it. `lacks`: what is not guarded that way."""

    url: str
    settings: dict[str, str] = field(default_factory=dict)
    lacks: str | None = None


def ways(settings: Settings) -> tuple[Way, ...]:
    """The ways in which the API's sessions log in, the best first; a later one is for a database that refuses those before it.

    With `api_password` there is one only. Without it the login of its own is tried where no password is asked for, as by the
    embedded cluster.
    """
    url = settings.database_url or ""
    taken = {"role": ROLE}
    if settings.api_password:
        return (Way(login_url(url, settings.api_password), taken),)
    own = (Way(login_url(url, None), taken),) if _is_local(url) else ()
    return (
        *own,
        Way(url, taken, "a session that is taken over can become the owner again; set CIM_API_PASSWORD"),
        Way(url, {}, "the audit is guarded by its chain alone; run cim doctor"),
    )


def login_url(url: str, password: str | None) -> str:
    """The same address for the login of the API."""
    parts = urlsplit(url)
    user = LOGIN if password is None else f"{LOGIN}:{quote(password, safe='')}"
    return urlunsplit(parts._replace(netloc=f"{user}@{parts.netloc.rpartition('@')[2]}"))


def lets_in(url: str, password: str) -> bool:
    """True where the login of the API is let in by that password."""
    try:
        psycopg.connect(login_url(url, password), connect_timeout=10).close()
    except psycopg.OperationalError:
        return False
    return True


def _is_local(url: str) -> bool:
    """True for a unix socket and no password."""
    parts = urlsplit(url)
    return parts.password is None and parse_qs(parts.query).get("host", [""])[0].startswith("/")
