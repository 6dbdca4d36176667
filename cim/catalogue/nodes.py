"""A district's catalogue in the city's: taken in by its feed, position by position; calls compared by both ledgers.

What is on the shelf there is on the shelf here: it was reviewed there. It is called at the district's gateway, with the key
that the district gave. The position is kept after each page, so a run that was killed goes on where it was.
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from cim.catalogue.harvest.declare import checked_harvest, checked_id
from cim.catalogue.harvest.fetch import Fetcher
from cim.catalogue.harvest.found import Found
from cim.catalogue.harvest.run import Account, Connection, Harvest, Writer, held
from cim.catalogue.review import Steps, put_directly
from cim.catalogue.service import MEMBERS, kind_of
from cim.db.intake import Run
from cim.db.services import all_rows, first_row
from cim.errors import CimError, InvalidParameter, NotFound, SourceRefused, UnknownParameter
from cim.gateway.credential import checked_credential, purpose_of
from cim.gateway.endpoint import endpoint_path
from cim.gateway.policy import Allowed, checked_url
from cim.gateway.sealing import Sealer
from cim.gateway.template import split_template
from cim.query.areas import parse_area_code
from cim.query.harvests import harvest_sql, harvested_sql, position_sql
from cim.query.nodes import node_key_sql
from cim.query.upstreams import put_secret_sql

NODE_MEMBERS = ("id", "url", "title_zh", "title_en", "area_code", "key", "interval_s")
PAGE = 200
DEFAULT_INTERVAL_S = 300

_OWN = ("organisation_id", "collection_id", "endpoints", "id")
"""Members that mean something in the district only."""


def checked_node(document: Mapping[str, Any], *, allowed: Allowed) -> dict[str, Any]:
    """The members of a node. Raises UnknownParameter, InvalidParameter, UpstreamRefused; the key is not repeated."""
    for name in document:
        if name not in NODE_MEMBERS:
            raise UnknownParameter(name, NODE_MEMBERS)
    values = dict(document)
    checked_id(values.get("id"))
    for name in ("url", "title_zh", "title_en", "area_code"):
        if not isinstance(values.get(name), str) or not values[name].strip() or len(values[name]) > 200:
            raise InvalidParameter(name, values.get(name), "a text of 1 to 200 characters is needed")
    if not isinstance(values.get("key"), str) or not 8 <= len(values["key"]) <= 200 or not values["key"].isprintable():
        raise InvalidParameter("key", "…", "the key that the district gave to this node")
    parse_area_code(values["area_code"])
    values["url"] = values["url"].rstrip("/")
    values.setdefault("interval_s", DEFAULT_INTERVAL_S)
    checked_harvest(
        {"url": values["url"], "organisation_id": values["id"], "interval_s": values["interval_s"]}, allowed=allowed
    )
    return values


def node_purpose(node_id: str) -> str:
    """What a node's key is sealed for."""
    return f"node {node_id}"


class _NodeWriter(Writer):
    """Services of a node: on the shelf at once, called at its gateway with its key."""

    def __init__(self, connection: Connection, harvest: Harvest, allowed: Allowed, key: str, sealer: Sealer) -> None:
        super().__init__(connection, harvest, f"node {harvest.id}", allowed, harvest.url, "node")
        self._credential = checked_credential({"kind": "bearer", "token": key})
        self._sealer = sealer

    def steps(self, values: Mapping[str, Any]) -> Steps[str]:
        """Reviewed in the district: put on the shelf directly."""
        return put_directly(values, is_published=True, by=self._scope.caller)

    def _link(self, identity: str, one: Found, values: Mapping[str, Any]) -> None:
        super()._link(identity, one, values)
        origin = checked_url(values["endpoints"][0]["url"], allowed=self._allowed).origin
        sealed = self._sealer.seal(self._credential, purpose_of(identity, origin))
        first_row(self._connection, put_secret_sql(identity, sealed, self._scope.caller))


def run_node(
    connection: Connection, harvest: Harvest, run: Run, *, allowed: Allowed, sealer: Sealer, is_dry: bool = False
) -> None:
    """Take in what changed in the node's catalogue since the last run. Raises NotFound, SourceRefused, what fetching raises."""
    node = first_row(connection, node_key_sql(harvest.id))
    if node is None:
        raise NotFound("node", harvest.id)
    key = sealer.opened(bytes(node["sealed_key"]), node_purpose(harvest.id)).decode()
    fetcher = Fetcher(allowed, headers={"X-API-Key": key})
    account = Account()
    with held(connection, harvest.id, run):
        row = first_row(connection, harvest_sql(harvest.id))
        position: str | None = row["position"] if row else None
        writer = _NodeWriter(connection, harvest, allowed, key, sealer)
        try:
            while True:
                since = f"&since={quote(position)}" if position else ""
                page = fetcher(f"{harvest.url}/catalogue/changes?limit={PAGE}{since}").json
                if (
                    not isinstance(page, dict)
                    or not isinstance(page.get("changes"), list)
                    or not isinstance(page.get("next"), str)
                ):
                    raise SourceRefused(f"{harvest.url} gives no feed of a catalogue: is it a node of this kind?")
                if not is_dry:
                    _take_page(connection, harvest, writer, page["changes"], account)
                    first_row(connection, position_sql(harvest.id, page["next"]))
                else:
                    account.counts["read"] += len(page["changes"])
                    account.counts["unchanged"] += len(page["changes"])
                position = page["next"]
                run.tell(account.counts, account.counts["read"])
                if not page.get("more"):
                    break
        finally:
            fetcher.close()
            run.counts, run.rejections, run.notes = (
                account.counts,
                account.rejections,
                [f"node: {harvest.url} to {position}"],
            )


def _take_page(
    connection: Connection, harvest: Harvest, writer: _NodeWriter, changes: list[Any], account: Account
) -> None:
    names = [str(one.get("id")) for one in changes if isinstance(one, dict)]
    known = {row["remote_id"]: row for row in all_rows(connection, harvested_sql(harvest.id, names))}
    for one in changes:
        if not isinstance(one, dict) or not isinstance(one.get("id"), str):
            raise SourceRefused("a change of the feed has no id")
        before = known.get(one["id"])
        if one.get("change") != "put":
            account.counts["withdrawn"] += writer.bury([before]) if before is not None else 0
            continue
        account.counts["read"] += 1
        try:
            account.counts[writer.write(_found(harvest, one), before)] += 1
        except CimError as error:
            account.reject(one["id"], error)


def _found(harvest: Harvest, change: Mapping[str, Any]) -> Found:
    """A change of the feed as a service that is called at the node's gateway."""
    document = change.get("service")
    if not isinstance(document, dict):
        raise SourceRefused("a change of the feed has no service")
    values = {name: value for name, value in document.items() if name in MEMBERS and name not in _OWN}
    kind = str(values.get("kind") or "rest")
    values["endpoints"] = _called_at(harvest, quote(change["id"], safe=""), kind, document.get("endpoints"))
    if not str(values.get("area_code") or "").startswith(harvest.area_code or ""):
        values["area_code"] = harvest.area_code
    owner = {name: change.get(name) for name in ("organisation_zh", "organisation_en", "version", "contentHash")}
    return Found(change["id"], values, {name: value for name, value in owner.items() if value})


def _called_at(harvest: Harvest, service_id: str, kind: str, told: Any) -> list[dict[str, str]]:
    """The service's endpoints at the node's gateway, in their order, with the templates of their tiles."""
    listed = [one for one in told if isinstance(one, dict)] if isinstance(told, list) else []
    endpoints = []
    for number, one in enumerate(listed or [{}], 1):
        path, _, query = str(one.get("url") or "").partition("?")
        address = harvest.url + endpoint_path(service_id, number) + (split_template(path, query)[1] or "")
        title = {"title": str(one["title"])} if one.get("title") else {}
        endpoints.append({"url": address, "kind": kind_of(one, kind), **title})
    return endpoints
