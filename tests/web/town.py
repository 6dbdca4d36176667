"""A town small enough to count by hand, as the GeoJSON files a user would load."""

import json
from pathlib import Path
from typing import Any

WEST, SOUTH = 114.050, 22.530
STEP = 0.0008
"""Degrees between the corners of neighbouring blocks (about 85 m)."""
COLUMNS, ROWS = 10, 8
CITY, EAST_DISTRICT, WEST_DISTRICT = "4403", "440305", "440304"
TALLEST = "b-9-7"

USES = ("residential", "office", "commercial", "industrial", "education")


def square(west: float, south: float, width: float, height: float) -> dict[str, Any]:
    """A box in degrees as a GeoJSON Polygon."""
    east, north = west + width, south + height
    return {
        "type": "Polygon",
        "coordinates": [[[west, south], [east, south], [east, north], [west, north], [west, south]]],
    }


def feature(geometry: dict[str, Any], **properties: Any) -> dict[str, Any]:
    """A GeoJSON feature whose id is `properties["id"]`."""
    return {"type": "Feature", "id": properties.pop("id"), "geometry": geometry, "properties": properties}


def block(column: int, row: int) -> tuple[float, float]:
    """South-west corner of a block."""
    return WEST + column * STEP, SOUTH + row * STEP


def buildings() -> list[dict[str, Any]]:
    """One building a block; heights 9 m to 95 m, each building of its own height."""
    made = []
    for column in range(COLUMNS):
        for row in range(ROWS):
            number = column * ROWS + row
            west, south = block(column, row)
            made.append(
                feature(
                    square(west + 0.0002, south + 0.0002, 0.0004, 0.0004),
                    id=f"b-{column}-{row}",
                    name=f"科技大厦{number}号",
                    name_en=f"Tech Tower {number}",
                    use=USES[number % len(USES)],
                    height_m=9 + number + 0.5,
                    floors_above=3 + number // 3,
                    year_built=2000 + number % 20,
                    status="completed",
                )
            )
    return made


def areas() -> list[dict[str, Any]]:
    """A city of two districts, each one street of two communities, side by side."""
    height, half = ROWS * STEP, COLUMNS * STEP / 2
    made = [
        feature(
            square(WEST, SOUTH, 2 * half, height), id=CITY, code=CITY, name="测试市", name_en="Testville", level="city"
        )
    ]
    districts = ((WEST_DISTRICT, "西区", "West"), (EAST_DISTRICT, "东区", "East"))
    for i, (code, name, name_en) in enumerate(districts):
        west = WEST + i * half
        whole = square(west, SOUTH, half, height)
        made.append(feature(whole, id=code, code=code, name=name, name_en=name_en, level="district", parent_code=CITY))
        street = f"{code}001"
        made.append(
            feature(
                whole,
                id=street,
                code=street,
                name=f"{name[0]}门街道",
                name_en=f"{name_en} Gate",
                level="street",
                parent_code=code,
            )
        )
        for j, (part, part_en) in enumerate((("南社区", "South"), ("北社区", "North"))):
            made.append(
                feature(
                    square(west, SOUTH + j * height / 2, half, height / 2),
                    id=f"{street}00{j + 1}",
                    code=f"{street}00{j + 1}",
                    name=part,
                    name_en=part_en,
                    level="community",
                    parent_code=street,
                )
            )
    return made


def sensors() -> list[dict[str, Any]]:
    """A sensor of each of two kinds on two corners."""
    return [
        feature(
            {"type": "Point", "coordinates": [*block(2 + i, 2)]},
            id=f"s-{i}",
            name=f"监测站{i}",
            kind=kind,
            status="active",
        )
        for i, kind in enumerate(("air_quality", "noise"))
    ]


def cameras() -> list[dict[str, Any]]:
    """A camera that looks east on a corner, and one that looks everywhere."""
    return [
        feature(
            {"type": "Point", "coordinates": [*block(5 + i, 4)]},
            id=f"c-{i}",
            name=f"路口{i}",
            kind="ptz",
            direction_deg=90,
            field_of_view_deg=angle,
            range_m=60,
            status="active",
        )
        for i, angle in enumerate((60, 360))
    ]


def scene() -> dict[str, Any]:
    """A STAC item over the western half."""
    footprint = square(WEST, SOUTH, COLUMNS * STEP / 2, ROWS * STEP)
    (west, south), (east, north) = footprint["coordinates"][0][0], footprint["coordinates"][0][2]
    return {
        "stac_version": "1.0.0",
        "type": "Feature",
        "id": "scene-1",
        "geometry": footprint,
        "bbox": [west, south, east, north],
        "properties": {"datetime": "2026-01-05T02:30:00Z", "gsd": 0.5, "title": "一月正射影像"},
        "links": [],
        "assets": {},
    }


def trees() -> list[dict[str, Any]]:
    """A dataset of the town's own: a row of trees of two species; the first has a name that would be markup."""
    return [
        feature(
            {"type": "Point", "coordinates": [*block(3 + i, 5)]},
            id=f"t-{i}",
            name="<img src=x onerror=alert(1)>" if i == 0 else f"树{i}",
            species=("banyan", "camphor")[i % 2],
        )
        for i in range(4)
    ]


KINDS = {"areas": areas, "buildings": buildings, "sensors": sensors, "cameras": cameras}
"""Kind → rows, in the order to load them: the features of an area need the area first."""


def write(folder: Path) -> dict[str, Path]:
    """The files, kind → path."""
    files = {}
    for kind, rows in KINDS.items():
        files[kind] = folder / f"town_{kind}.geojson"
        text = json.dumps({"type": "FeatureCollection", "features": rows()}, ensure_ascii=False)
        files[kind].write_text(text, encoding="utf-8")
    files["dataset"] = folder / "trees.geojson"
    text = json.dumps({"type": "FeatureCollection", "features": trees()}, ensure_ascii=False)
    files["dataset"].write_text(text, encoding="utf-8")
    files["imagery"] = folder / "scene.json"
    files["imagery"].write_text(json.dumps(scene(), ensure_ascii=False), encoding="utf-8")
    return files
