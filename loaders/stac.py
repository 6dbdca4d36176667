"""STAC on disk: an Item, an ItemCollection, or a Catalog or Collection with all that its relative links reach."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import shapely

from loaders.base import Batch, Rejection, SourceInfo, SourceOptions
from loaders.imagery_files import find
from loaders.imagery_rows import Row, batch_of, fields
from loaders.stac_items import BrokenItem, Locator, is_item, row_of
from loaders.stac_walk import (
    ROOT_NAMES,
    Document,
    Skipped,
    documents,
    is_collection,
    is_item_collection,
    loose,
    may_be_stac,
)


class StacLoader:
    """Items become rows of imagery; Collections travel in the metadata of a batch's table."""

    name = "STAC"

    def probe(self, path: Path, options: SourceOptions) -> SourceInfo | None:
        """What the document is, its items counted. Nothing beyond the source's folder is opened, no URL asked."""
        if not (_is_stac_folder(path) if path.is_dir() else may_be_stac(path)):
            return None
        skipped = Skipped()
        items, kinds, collections = 0, [], 0
        first: Row | None = None
        for document in documents(path, skipped):
            kinds.append(_kind(document.content))
            collections += is_collection(document.content)
            for feature in _features(document):
                items += 1
                first = first or _first_row(feature, document)
        if not kinds:
            return None
        notes = [f"{count} links or files {reason}; they are left out" for reason, count in skipped.reasons.items()]
        if collections:
            notes.append(f"{collections} STAC collections are stored beside the items")
        if not items:
            notes.append("no item is here: rows come from items, a Collection alone describes them")
        return SourceInfo(
            id_field="id",
            driver=kinds[0],
            layer=None,
            layers=(),
            fields=fields(first),
            geometry_type="Geometry",
            crs="EPSG:4326",
            encoding="UTF-8",
            feature_count=items,
            notes=tuple(notes),
        )

    def read(self, path: Path, options: SourceOptions, batch_rows: int) -> Iterator[Batch]:
        """Items in the order of the links; a broken item is a rejection, its siblings are read."""
        gathered = _Gathered()
        number = 0
        for document in documents(path, Skipped()):
            if is_collection(document.content):
                gathered.collections.append(document.content)
            for feature in _features(document):
                number += 1
                gathered.take(number, feature, document)
                if gathered.count >= batch_rows:
                    yield gathered.batch()
                    gathered = _Gathered()
        if gathered.count or gathered.collections or not number:
            yield gathered.batch()


@dataclass(slots=True)
class _Gathered:
    rows: list[Row] = field(default_factory=list)
    shapes: list[shapely.Geometry | None] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)
    rejections: list[Rejection] = field(default_factory=list)
    collections: list[dict[str, Any]] = field(default_factory=list)

    @property
    def count(self) -> int:
        return len(self.rows) + len(self.rejections)

    def take(self, number: int, feature: object, document: Document) -> None:
        try:
            if not is_item(feature):
                raise BrokenItem("type", "not a STAC item: a Feature with stac_version and properties is needed")
            assert isinstance(feature, dict)
            row, shape = row_of(feature, Locator(document.folder))
        except BrokenItem as error:
            original = feature if isinstance(feature, dict) else {"type": "Feature", "properties": {"value": feature}}
            self.rejections.append(
                Rejection(number, f"stac/{error.field}", str(error), field=error.field, original=original)
            )
            return
        self.rows.append(row)
        self.shapes.append(shape)
        self.numbers.append(number)

    def batch(self) -> Batch:
        return batch_of(self.rows, self.shapes, self.numbers, self.rejections, self.collections)


def _is_stac_folder(folder: Path) -> bool:
    """True for a folder with a root document, or with loose STAC documents and no image."""
    roots = [folder / name for name in ROOT_NAMES if (folder / name).is_file()]
    if roots:
        return may_be_stac(roots[0])
    return bool(loose(folder)) and not find(folder).images


def _features(document: Document) -> list[Any]:
    content = document.content
    if is_item_collection(content):
        # STAC API answers leave the version to the collection; its items have it there
        version = content.get("stac_version")
        features: list[Any] = content["features"]
        return [
            {"stac_version": version, **f} if version and isinstance(f, dict) and "stac_version" not in f else f
            for f in features
        ]
    return [content] if is_item(content) else []


def _first_row(feature: object, document: Document) -> Row | None:
    try:
        return row_of(feature, Locator(document.folder))[0] if is_item(feature) and isinstance(feature, dict) else None
    except BrokenItem:
        return None


def _kind(content: dict[str, Any]) -> str:
    if is_item(content):
        kind = "Item"
    elif is_item_collection(content):
        kind = "ItemCollection"
    else:
        kind = "Collection" if is_collection(content) else "Catalog"
    version = content.get("stac_version")
    return f"STAC {kind} {version}" if isinstance(version, str) else f"STAC {kind}"
