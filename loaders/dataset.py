"""A new collection from what a source holds: one property a field, named as the field is."""

import re

from cim.collections.records import CATALOGUE_ID
from cim.errors import InvalidParameter
from cim.model import Collection, Kind, Property
from cim.model.place import tells_place
from loaders.base import SourceInfo
from loaders.mapping import ID_NAMES, plain

MAX_PROPERTIES = 400
MAX_NAME_BYTES = 60
MAX_SEARCHABLE = 8
"""Texts that `q` looks into: the first ones of a source."""


def dataset_id(key: str) -> str:
    """The id of a collection for a source key: one that begins with no letter gets one, one too long is cut."""
    return (key if key[:1].isascii() and key[:1].isalpha() else f"dataset-{key.lstrip('_-')}")[:51]


def collection_of(
    collection_id: str, info: SourceInfo, *, title: str, licence: str | None = None, attribution: str | None = None
) -> Collection:
    """The Collection that a source of unknown meaning becomes, its table `dataset.<id>`.

    A field called like a fixed column gets a trailing underscore; names are cut to 60 bytes. The field that
    identifies a row stays a property too. Raises InvalidParameter for an id that is no `[a-z0-9_-]+`, or the catalogue's.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_-]{0,50}", collection_id):
        raise InvalidParameter("collection", collection_id, "a letter, then up to 50 of a-z, 0-9, _ and -")
    if collection_id == CATALOGUE_ID:
        raise InvalidParameter(
            "collection", collection_id, "the catalogue of data services is called so; choose another id"
        )
    from cim.db.tables import DATASET_SCHEMA, FIXED_COLUMNS  # takes half a second; known collections need it not

    taken = set(FIXED_COLUMNS) | {"superseded_at"}
    properties: list[Property] = []
    for source_field in info.fields[:MAX_PROPERTIES]:
        name = source_field.name.replace("\x00", "") or "_"
        while len(name.encode()) > MAX_NAME_BYTES:
            name = name[:-1]
        while name in taken:
            name += "_"
        taken.add(name)
        kind = Kind(source_field.kind)  # as text where the reading child told it
        if plain(source_field.name) in ID_NAMES:
            kind = Kind.TEXT
        is_searchable = kind is Kind.TEXT and sum(p.is_searchable for p in properties) < MAX_SEARCHABLE
        properties.append(
            Property(
                name,
                kind,
                source_field.name,
                source_field.name,
                aliases=(source_field.name,),
                is_searchable=is_searchable,
                reveals_place=tells_place(name, kind),
            )
        )
    return Collection(
        id=collection_id,
        kind="dataset",
        title_zh=title,
        title_en=title,
        description_zh=f"由{info.driver}载入的数据集",
        description_en=f"A dataset loaded from {info.driver}",
        table_schema=DATASET_SCHEMA,
        table_name=collection_id,
        geometry_type="Geometry",
        properties=tuple(properties),
        licence=licence or info.licence,
        attribution=attribution or info.attribution,
    )
