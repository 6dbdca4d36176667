"""STAC's own JSON schemas, which pystac carries: no network."""

import json
from importlib.resources import files
from typing import Any

from jsonschema import Draft7Validator
from referencing import Registry, Resource

_FOLDER = files("pystac.validation.jsonschemas")
_STAC = "https://schemas.stacspec.org/v1.1.0"
_PARTS = ("bands", "basics", "common", "data-values", "datetime", "instrument", "licensing", "provider")
_FILES = {
    **{
        f"{_STAC}/{name}-spec/json-schema/{name}.json": f"stac-spec/v1.1.0/{name}.json"
        for name in ("item", "collection")
    },
    f"{_STAC}/catalog-spec/json-schema/catalog.json": "stac-spec/v1.1.0/catalog.json",
    **{f"{_STAC}/item-spec/json-schema/{name}.json": f"stac-spec/v1.1.0/{name}.json" for name in _PARTS},
    **{f"https://geojson.org/schema/{name}.json": f"geojson/{name}.json" for name in ("Feature", "Geometry")},
}


def faults(document: dict[str, Any], kind: str) -> list[str]:
    """What the schema of an item, collection or catalog finds wrong.

    pystac carries those of STAC 1.1.0, whose core asks of a document all that 1.0.0 does.
    """
    schemas = {uri: json.loads(_FOLDER.joinpath(name).read_text(encoding="utf-8")) for uri, name in _FILES.items()}
    known = Registry().with_resources([(uri, Resource.from_contents(schema)) for uri, schema in schemas.items()])
    schema = schemas[f"{_STAC}/{kind}-spec/json-schema/{kind}.json"]
    found = Draft7Validator(schema, registry=known).iter_errors({**document, "stac_version": "1.1.0"})
    return [f"{'/'.join(map(str, error.absolute_path))}: {error.message}"[:300] for error in found]
