"""Small city models made for one test each: cubes and houses in EPSG:28992 near Delft."""

import json
from pathlib import Path
from typing import Any

ORIGIN = (85_000.0, 447_000.0, 0.0)
_FACES = [[0, 1, 2, 3], [4, 5, 6, 7], [0, 1, 5, 4], [1, 2, 6, 5], [2, 3, 7, 6], [3, 0, 4, 7]]


def cube(vertices: list[list[int]], x: int, size: int = 10, height: int = 6, lod: str = "1") -> dict[str, Any]:
    """A solid at `x` metres east of the origin; its corners go to `vertices`, in millimetres."""
    first = len(vertices)
    corners = [(x, 0), (x + size, 0), (x + size, size), (x, size)]
    vertices += [[a * 1000, b * 1000, z * 1000] for z in (0, height) for a, b in corners]
    shell = [[[first + i for i in face]] for face in _FACES]
    return {"type": "Solid", "lod": lod, "boundaries": [shell]}


def document(objects: dict[str, Any], vertices: list[list[int]], **changes: Any) -> dict[str, Any]:
    """A CityJSON 2.0 object."""
    return {
        "type": "CityJSON",
        "version": "2.0",
        "transform": {"scale": [0.001, 0.001, 0.001], "translate": list(ORIGIN)},
        "metadata": {"referenceSystem": "https://www.opengis.net/def/crs/EPSG/0/7415"},
        "CityObjects": objects,
        "vertices": vertices,
        **changes,
    }


def put(path: Path, *lines: Any) -> Path:
    """One document, or several as lines."""
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def street(count: int) -> tuple[dict[str, Any], list[list[int]]]:
    """`count` cubes side by side with ids a, b, c …"""
    vertices: list[list[int]] = []
    objects = {
        chr(97 + i): {"type": "Building", "attributes": {"nr": i}, "geometry": [cube(vertices, 20 * i)]}
        for i in range(count)
    }
    return objects, vertices
