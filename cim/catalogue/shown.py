"""A row of a service as its representations read it (`cim.query.services.shown_to` names the columns).

Where a service runs is told to those whom `shows_address` of the row allows; to others it is an address of this node. Every
representation reads the addresses here.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import orjson

from cim.catalogue.service import MEMBERS
from cim.gateway.endpoint import endpoint_path, relayed_path

Row = Mapping[str, Any]


def in_language(row: Row, name: str, lang: str) -> str:
    """A text of the row in the reader's language, in the other one where it is missing."""
    first, second = ("en", "zh") if lang == "en" else ("zh", "en")
    return row[f"{name}_{first}"] or row[f"{name}_{second}"] or ""


def in_both(row: Row, name: str) -> list[tuple[str, str]]:
    """(language, text) of a text of the row, those that there are, Chinese first."""
    return [(lang, row[f"{name}_{lang}"]) for lang in ("zh", "en") if row[f"{name}_{lang}"]]


def themes_of(row: Row) -> list[str]:
    """The theme words."""
    themes: list[str] = orjson.loads(row["themes"])
    return themes


def endpoints_of(row: Row) -> list[dict[str, str]]:
    """Where the service is, as it was registered; for whom that is not told, where this node calls it."""
    endpoints: list[dict[str, str]] = orjson.loads(row["endpoints"])
    return endpoints if row["shows_address"] else through_this_node(endpoints, row["id"])


def through_this_node(endpoints: Iterable[Mapping[str, str]], service_id: str) -> list[dict[str, str]]:
    """Endpoints with the paths of this node in the place of addresses elsewhere."""
    return [{**one, "url": relayed_path(one["url"], service_id, number)} for number, one in enumerate(endpoints, 1)]


def provenance_of(row: Row) -> dict[str, Any] | None:
    """Where the record came from; whoever is not told where the service runs is not told its source either."""
    if not row["provenance"]:
        return None
    provenance: dict[str, Any] = orjson.loads(row["provenance"])
    if row["shows_address"]:
        return provenance
    return {name: provenance[name] for name in ("harvest", "kind", "fetched_at") if name in provenance}


def external_id_of(row: Row) -> tuple[str, str] | None:
    """The source that the record was harvested from and its id there; None for an id that is an address nobody is told."""
    if not row["harvest_id"] or ("://" in row["remote_id"] and not row["shows_address"]):
        return None
    return row["harvest_id"], row["remote_id"]


def is_dataset(row: Row) -> bool:
    """True for a file to download; all else is a service."""
    return bool(row["kind"] == "file")


def called_at(row: Row, base: str) -> list[str]:
    """Address at which each endpoint is called through this node: a path of its own data, or one beneath `/services/{id}`."""
    return [
        base + one["url"] if is_own(one["url"]) else f"{base}{endpoint_path(row['id'], number)}/"
        for number, one in enumerate(endpoints_of(row), 1)
    ]


def is_own(url: str) -> bool:
    """True for data of this node; what runs elsewhere is told by its address, or by `/services/{id}/…`."""
    return url.startswith("/") and not url.startswith("/services/")


def absolute(url: str, base: str) -> str:
    """An endpoint's address; a path is one of this node."""
    return base + url if url.startswith("/") else url


def registration_of(row: Row) -> dict[str, Any]:
    """The row as a registration: what `cim.catalogue.table` writes and reads."""
    edges = [row[edge] for edge in ("min_lon", "min_lat", "max_lon", "max_lat")]
    return {
        **{name: row[name] for name in MEMBERS if name in row and name not in ("themes", "endpoints", "bbox")},
        "state": row["state"],
        "themes": themes_of(row),
        "endpoints": endpoints_of(row),
        "bbox": None if edges[0] is None else edges,
    }
