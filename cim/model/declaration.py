"""A Collection as JSON and back: what `cim.collection.declaration` holds and the reading child is told."""

from dataclasses import asdict, fields
from typing import Any

from cim.model.collection import Collection, Extent, Kind, Property
from cim.model.place import tells_place

_KEPT_APART = ("feature_count", "extent", "searched")  # in cim.collection_stats, and of a caller


def declaration_of(collection: Collection) -> dict[str, Any]:
    """The collection without its statistics, as JSON takes it."""
    document = asdict(collection)
    for name in _KEPT_APART:
        del document[name]
    return document


def collection_from(document: dict[str, Any], feature_count: int = 0, extent: Extent | None = None) -> Collection:
    """The Collection that `declaration_of` wrote."""
    known = {f.name for f in fields(Collection)}
    values = {k: v for k, v in document.items() if k in known}
    values["properties"] = tuple(_property(p) for p in document["properties"])
    return Collection(**values, feature_count=feature_count, extent=extent or Extent())


def _property(document: dict[str, Any]) -> Property:
    known = {f.name for f in fields(Property)}
    values = {
        "reveals_place": tells_place(document["name"], document["kind"]),
        **{k: v for k, v in document.items() if k in known},
    }
    values["kind"] = Kind(document["kind"])
    values["aliases"] = tuple(document["aliases"])
    if document["codes"] is not None:
        values["codes"] = {code: (titles[0], titles[1]) for code, titles in document["codes"].items()}
    return Property(**values)
