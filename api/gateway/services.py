"""What a worker knows of the services it is called for; asked again after `TTL_S`, so a suspended one is shut everywhere soon."""

import re
from dataclasses import dataclass, field, replace
from typing import Any

import orjson

from cim.catalogue.service import kind_of
from cim.db.pool import Database
from cim.errors import CimError, NotFound, SetupProblem, UpstreamBlocked, UpstreamClosed, UpstreamRefused
from cim.gateway.credential import Credential, credential_of, purpose_of
from cim.gateway.endpoint import Endpoint, endpoint_number, endpoint_of, endpoint_path
from cim.gateway.policy import Allowed, Origin, parse_allowed
from cim.gateway.rewrite import Rewriter, rewriter
from cim.gateway.sealing import Sealer, sealer_of
from cim.gateway.template import split_template
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
    `rewriters`: that and those of the service's other endpoints, the longest address first.
    """

    endpoint: Endpoint
    credential: Credential
    rewriter: Rewriter
    is_node: bool = False
    rewriters: tuple[Rewriter, ...] = ()

    def rewritten(self, body: bytes, form: str) -> bytes:
        """A whole document with the addresses of the service's endpoints made ours."""
        for one in self.rewriters or (self.rewriter,):
            body = one.rewritten(body, form) if one is self.rewriter else one.elsewhere(body, form)
        return body


@dataclass(frozen=True, slots=True)
class Own:
    """Data of this node: the folder of its addresses, how those are found in answers, and where addresses were found to lead."""

    endpoint: Endpoint
    links: re.Pattern[bytes]
    known: dict[Any, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Called:
    """An endpoint of a service as calls see it; of `own` (data of this node), `upstream` and `trouble` (why not) one is given.

    `public`: the address it is called at. `others`: the service's endpoints from the second on, in the first one only.
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
    others: "tuple[Called, ...]" = ()

    @property
    def template(self) -> str | None:
        """The rest of its address where that has `{z}`, `{x}` and `{y}` in it."""
        endpoint = self.own.endpoint if self.own is not None else self.upstream.endpoint if self.upstream else None
        return None if endpoint is None else endpoint.template

    def at(self, tail: str | None) -> "tuple[Called, str | None]":
        """The endpoint that is called by a path beneath the service, and what follows; None where not even a slash does.

        Where there is one endpoint only, every path is its own. Raises NotFound for a number that no endpoint has.
        """
        named = endpoint_number(tail) if tail and self.others else None
        if named is None:
            return self, tail
        number, rest = named
        if number > 1 + len(self.others):
            raise NotFound("endpoint of the service", str(number))
        return (self if number == 1 else self.others[number - 2]), rest


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
        """What is known of the service, where it is as `called`, one of its endpoints, says."""
        known = self._known.last(called.id)
        if known is None:
            return None
        return known if any(called is one for one in (known.value, *known.value.others)) else None

    def sealer(self) -> Sealer:
        """What seals and opens credentials. Raises SetupProblem."""
        if self._sealer is None:
            self._sealer = sealer_of(self._settings)
        return self._sealer

    def first_origin(self, endpoints: str, kind: str) -> Origin | None:
        """Where the first of the endpoints (as JSON) that is elsewhere leads: what a credential is for; None where none is.

        Raises UpstreamBlocked for one that the policy does not let pass (any more).
        """
        found = next((one for one in orjson.loads(endpoints) if not one["url"].startswith("/")), None)
        return None if found is None else self._endpoint(found["url"], kind_of(found, kind)).origin

    def _endpoint(self, url: str, kind: str) -> Endpoint:
        try:
            return endpoint_of(url, kind, allowed=self._allowed)
        except UpstreamRefused as error:
            raise UpstreamBlocked("the service's address is one that this node does not call") from error

    def _called(self, row: Any) -> Called:
        endpoints = orjson.loads(row["endpoints"])
        if not endpoints:
            return self._one(row, 1, row["kind"], trouble=UpstreamBlocked("the service has no address to be called at"))
        made = [self._of(row, number, one) for number, one in enumerate(endpoints, 1)]
        if len(made) > 1:
            of_all = (one.upstream.rewriter for one in made if one.upstream is not None)
            rewriters = tuple(sorted(of_all, key=lambda one: -len(one.endpoint.base)))
            made = [replace(one, upstream=one.upstream and replace(one.upstream, rewriters=rewriters)) for one in made]
        return replace(made[0], others=tuple(made[1:]))

    def _of(self, row: Any, number: int, endpoint: Any) -> Called:
        url, kind = str(endpoint["url"]), kind_of(endpoint, row["kind"])
        if url.startswith("/"):
            return self._one(row, number, kind, own=self._own(url))
        try:
            return self._one(row, number, kind, upstream=self._upstream(row, number, url, kind))
        except CimError as error:
            return self._one(row, number, kind, trouble=error)

    def _public(self, row: Any, number: int) -> str:
        return self._settings.public_url + endpoint_path(row["id"], number)

    def _one(self, row: Any, number: int, kind: str, **leads: Any) -> Called:
        return Called(
            id=row["id"],
            state=row["state"],
            kind=kind,
            organisation_id=row["organisation_id"],
            share_class=row["share_class"],
            version=row["version"],
            collection_id=row["collection_id"],
            public=self._public(row, number),
            **leads,
        )

    def _own(self, url: str) -> Own:
        path, _, query = url.partition("?")
        path, template = split_template(path, query)
        fixed = tuple(part for part in query.split("&") if part and "{" not in part)
        endpoint = Endpoint(HERE, path.rstrip("/"), template=template, fixed=fixed)
        base = self._settings.public_url + endpoint.base
        links = re.compile(rb"(?<=[\"<])" + re.escape(base.encode()) + rb"(?=[\"/?#>])")
        return Own(endpoint, links)

    def _upstream(self, row: Any, number: int, url: str, kind: str) -> Upstream:
        endpoint = self._endpoint(url, kind)
        credential = Credential()
        if row["sealed"] is not None and self._is_for(row, endpoint.origin, number):
            try:
                opened = self.sealer().opened(row["sealed"], purpose_of(row["id"], endpoint.origin))
            except SetupProblem as error:
                raise UpstreamClosed("the service's credential cannot be opened; its owner must set it anew") from error
            credential = credential_of(opened)
        name = credential.parameter[0] if credential.parameter else None
        ours = rewriter(endpoint, self._public(row, number), secret_name=name)
        return Upstream(endpoint, credential, ours, row["is_node"])

    def _is_for(self, row: Any, origin: Origin, number: int) -> bool:
        """True for an endpoint that the service's credential is for: the first one, and others of the same host."""
        return number == 1 or origin == self.first_origin(row["endpoints"], row["kind"])
