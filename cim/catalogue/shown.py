"""A row of a service as its representations read it (`cim.query.records.SHOWN` names the columns)."""

from collections.abc import Mapping
from typing import Any

import orjson

from cim.catalogue.service import MEMBERS

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
    """Where the service is, as it was registered."""
    endpoints: list[dict[str, str]] = orjson.loads(row["endpoints"])
    return endpoints


def is_dataset(row: Row) -> bool:
    """True for a file to download; all else is a service."""
    return bool(row["kind"] == "file")


def called_at(row: Row, base: str) -> list[str]:
    """Addresses at which the service is called through this node: paths of its own, and one for all that runs elsewhere."""
    addresses = [endpoint["url"] for endpoint in endpoints_of(row)]
    own = [base + address for address in addresses if address.startswith("/")]
    if len(own) < len(addresses):
        own.append(f"{base}/services/{row['id']}/")
    return list(dict.fromkeys(own))


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
