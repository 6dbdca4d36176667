"""What a worker knows of the services it is called for; asked again after `TTL_S`, so a suspended one is shut everywhere soon."""

import re
from dataclasses import dataclass, field
from typing import Any

import orjson

from api.documents import url_of
from cim.db.pool import Database
from cim.errors import CimError, NotFound, SetupProblem, UpstreamBlocked, UpstreamClosed, UpstreamRefused
from cim.gateway.credential import Credential, credential_of, purpose_of
from cim.gateway.endpoint import Endpoint, endpoint_of
from cim.gateway.policy import Allowed, Origin, parse_allowed
from cim.gateway.rewrite import Rewriter, rewriter
from cim.gateway.sealing import Sealer, sealer_of
from cim.memo import Known, Memo
from cim.query.upstreams import called_sql
from cim.settings import Settings

TTL_S = 2.0
MAX_KNOWN = 10_000
HERE = Origin("http", "this.node", 80)
"""Stands where an origin is asked for and no connection is made."""


@dataclass(frozen=True, slots=True)
class Upstream:
    """Where an external service is reached, by what credential, and how its addresses become ours.

    `is_node`: at the gateway of a node of the other tier, which counts each call under the id that it has here.
    """

    endpoint: Endpoint
    credential: Credential
    rewriter: Rewriter
    is_node: bool = False


@dataclass(frozen=True, slots=True)
class Own:
    """Data of this node: the folder of its addresses, how those are found in answers, and where addresses were found to lead."""

    endpoint: Endpoint
    links: re.Pattern[bytes]
    known: dict[Any, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Called:
    """A service as calls see it: of `own` (data of this node), `upstream` and `trouble` (why it cannot be called) one is given.

    `public`: the address it is called at.
    """

    id: str
    state: str
    kind: str
    organisation_id: str | None
    share_class: str
    version: int
    collection_id: str | None
    public: str
    own: Own | None = None
    upstream: Upstream | None = None
    trouble: CimError | None = None


class Services:
    """The services one worker has lately been called for."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database = database
        self._settings = settings
        self._allowed: Allowed = parse_allowed(settings.allowed_upstreams)
        self._sealer: Sealer | None = None
        self._known: Memo[str, Called] = Memo(TTL_S, MAX_KNOWN)

    async def get(self, service_id: str) -> Called:
        """The service in whatever state but a draft nobody has published. Raises NotFound."""
        known = self._known.good(service_id)
        if known is not None:
            return known.value
        row = None if "\x00" in service_id else await self._database.fetch_row(called_sql(service_id))
        if row is None:
            self._known.forget(service_id)
            raise NotFound("service", service_id)
        return self._known.keep(service_id, tuple(row), lambda: self._called(row))

    def known(self, called: Called) -> Known[Called] | None:
        """What is known of the service, where it is as `called` says."""
        known = self._known.last(called.id)
        return known if known is not None and known.value is called else None

    def sealer(self) -> Sealer:
        """What seals and opens credentials. Raises SetupProblem."""
        if self._sealer is None:
            self._sealer = sealer_of(self._settings)
        return self._sealer

    def endpoint(self, endpoints: str, kind: str) -> Endpoint | None:
        """The upstream that the first of the endpoints (as JSON) names; None for a path of this node, or for none.

        Raises UpstreamBlocked for one that the policy does not let pass (any more).
        """
        url = first_url(endpoints)
        if url is None or url.startswith("/"):
            return None
        try:
            return endpoint_of(url, kind, allowed=self._allowed)
        except UpstreamRefused as error:
            raise UpstreamBlocked("the service's address is one that this node does not call") from error

    def _called(self, row: Any) -> Called:
        public = url_of(self._settings.public_url, "services", row["id"])
        url, upstream, trouble = first_url(row["endpoints"]), None, None
        try:
            upstream = self._upstream(row, public)
        except CimError as error:
            trouble = error
        if url is None:
            trouble = UpstreamBlocked("the service has no address to be called at")
        return Called(
            id=row["id"],
            state=row["state"],
            kind=row["kind"],
            organisation_id=row["organisation_id"],
            share_class=row["share_class"],
            version=row["version"],
            collection_id=row["collection_id"],
            public=public,
            own=self._own(url) if url is not None and url.startswith("/") else None,
            upstream=upstream,
            trouble=trouble,
        )

    def _own(self, url: str) -> Own:
        path, _, query = url.partition("?")
        base = self._settings.public_url
        endpoint = Endpoint(HERE, path.rstrip("/"), fixed=tuple(filter(None, query.split("&"))))
        links = re.compile(rb"(?<=[\"<])" + re.escape((base + endpoint.base).encode()) + rb"(?=[\"/?#>])")
        return Own(endpoint, links)

    def _upstream(self, row: Any, public: str) -> Upstream | None:
        endpoint = self.endpoint(row["endpoints"], row["kind"])
        if endpoint is None:
            return None
        credential = Credential()
        if row["sealed"] is not None:
            try:
                opened = self.sealer().opened(row["sealed"], purpose_of(row["id"], endpoint.origin))
            except SetupProblem as error:
                raise UpstreamClosed("the service's credential cannot be opened; its owner must set it anew") from error
            credential = credential_of(opened)
        name = credential.parameter[0] if credential.parameter else None
        return Upstream(endpoint, credential, rewriter(endpoint, public, secret_name=name), row["is_node"])


def first_url(endpoints: str) -> str | None:
    """The address that is called: that of the first endpoint."""
    listed = orjson.loads(endpoints)
    return str(listed[0]["url"]) if listed else None
