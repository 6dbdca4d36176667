"""Small real GeoTIFF scenes of the city's middle, drawn from its footprints, with STAC beside them."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyproj
import rasterio
import rasterio.shutil
import shapely
from rasterio.features import rasterize
from rasterio.io import MemoryFile
from rasterio.transform import Affine, from_origin

from sample_data.characters import BLOCKS
from sample_data.plane import Booleans, Floats, Geometries, Integers, generator

WINDOW_M = 1250.0
"""Half the side of the square about the middle whose footprints are kept for drawing."""

Bytes = np.ndarray[Any, np.dtype[np.uint8]]

_WATER, _ROAD, _SOIL, _TREE = (52, 88, 104), (122, 121, 119), (164, 142, 112), (58, 86, 46)
_GROUND = {
    "village": (148, 140, 128),
    "oldtown": (146, 142, 132),
    "slab": (120, 132, 98),
    "tower": (112, 130, 92),
    "cbd": (156, 154, 150),
    "industrial": (164, 162, 156),
    "campus": (128, 136, 100),
    "civic": (140, 142, 124),
    "mall": (160, 154, 148),
    "green": (84, 112, 62),
}
_ROOF = {
    "residential": (186, 172, 158),
    "commercial": (198, 190, 184),
    "office": (168, 182, 194),
    "industrial": (142, 168, 190),
    "public": (190, 152, 132),
    "education": (182, 128, 104),
    "medical": (206, 206, 204),
    "transport": (150, 150, 154),
    "mixed": (178, 168, 164),
    "other": (170, 170, 160),
}


@dataclass(slots=True)
class Sight:
    """What can be seen about the middle: gathered while the city is generated, all in degrees."""

    middle: tuple[float, float]
    city: shapely.Geometry
    footprints: list[Geometries] = field(default_factory=list)
    heights_m: list[Floats] = field(default_factory=list)
    uses: list[list[str]] = field(default_factory=list)
    statuses: list[list[str]] = field(default_factory=list)
    years: list[Floats] = field(default_factory=list)
    blocks: list[Geometries] = field(default_factory=list)
    block_kinds: list[Integers] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Scene:
    """One picture: `size` columns and rows of `pixel` (units of `crs`); `until_year` shows the city of then."""

    name: str
    title: str
    crs: str
    size: tuple[int, int]
    pixel: float
    taken: str
    until_year: int
    is_cog: bool = False
    has_collar: bool = False


SCENES = (
    Scene("overview_2026", "城市中心 City centre", "EPSG:4326", (256, 224), 0.00009, "2026-10-18T02:42:07Z", 2026),
    Scene("centre_2026", "中心正射影像 Centre orthophoto", "EPSG:4547", (256, 256), 3.0, "2026-10-18T02:47:31Z", 2026, is_cog=True),
    Scene("centre_2008", "中心历史影像 Centre in 2008", "EPSG:4547", (256, 256), 3.0, "2008-11-02T03:05:12Z", 2008),
    Scene("strip_2026", "航带影像 Flight strip", "EPSG:32650", (240, 208), 5.0, "2026-09-27T03:11:50Z", 2026, has_collar=True),
)  # fmt: skip


def write_scenes(folder: Path, sight: Sight, seed: int) -> list[Path]:
    """The GeoTIFF files in `folder`/imagery and STAC in `folder`/stac."""
    imagery, stac = folder / "imagery", folder / "stac"
    imagery.mkdir(parents=True, exist_ok=True)
    stac.mkdir(exist_ok=True)
    paths = []
    for number, scene in enumerate(SCENES):
        grid = _grid(scene, sight.middle)
        pixels = _draw(scene, grid, sight, generator(seed, 50, number))
        paths.append(imagery / f"{scene.name}.tif")
        _write(paths[-1], scene, grid, pixels)
    cog = next(scene for scene in SCENES if scene.is_cog)
    item = _item(cog, _grid(cog, sight.middle))
    (stac / f"{cog.name}.json").write_bytes(orjson.dumps(item, option=orjson.OPT_INDENT_2) + b"\n")
    (stac / "collection.json").write_bytes(orjson.dumps(_collection(item), option=orjson.OPT_INDENT_2) + b"\n")
    return paths


def _to_scene(crs: str) -> Callable[[Floats], Floats]:
    transformer = pyproj.Transformer.from_crs("EPSG:4326", crs, always_xy=True)

    def there(xy: Floats) -> Floats:
        return np.stack(transformer.transform(xy[:, 0], xy[:, 1]), -1)

    return there


def _grid(scene: Scene, middle: tuple[float, float]) -> Affine:
    x, y = _to_scene(scene.crs)(np.array([middle]))[0]
    columns, rows = scene.size
    west, north = x - columns / 2 * scene.pixel, y + rows / 2 * scene.pixel
    digits = 6 if scene.pixel < 0.01 else 0
    return from_origin(round(west, digits), round(north, digits), scene.pixel, scene.pixel)


def _smooth(random: np.random.Generator, rows: int, columns: int, cell: int) -> Floats:
    """Noise from -1 to 1 that changes over about `cell` pixels."""
    coarse = random.uniform(-1, 1, (rows // cell + 3, columns // cell + 3))
    y, x = np.arange(rows) / cell, np.arange(columns) / cell
    iy, ix = y.astype(int), x.astype(int)
    fy, fx = (y - iy)[:, None], (x - ix)[None, :]
    top = coarse[np.ix_(iy, ix)] * (1 - fx) + coarse[np.ix_(iy, ix + 1)] * fx
    low = coarse[np.ix_(iy + 1, ix)] * (1 - fx) + coarse[np.ix_(iy + 1, ix + 1)] * fx
    blended: Floats = top * (1 - fy) + low * fy
    return blended


def _burn(shapes: Geometries, scene: Scene, grid: Affine) -> Integers:
    """1 + index of the last shape at each pixel, 0 for none."""
    pairs = [(shape, number + 1) for number, shape in enumerate(shapes) if not shape.is_empty]
    if not pairs:
        return np.zeros(scene.size[::-1], np.int32)
    burnt: Integers = rasterize(pairs, out_shape=scene.size[::-1], transform=grid, fill=0, dtype="int32")
    return burnt


def _draw(scene: Scene, grid: Affine, sight: Sight, random: np.random.Generator) -> Bytes:
    """`(3, rows, columns)` uint8."""
    there = _to_scene(scene.crs)
    columns, rows = scene.size
    land = _burn(np.array([shapely.transform(sight.city, there)]), scene, grid) > 0
    picture = np.where(land[..., None], np.array(_ROAD, float), np.array(_WATER, float))
    blocks = shapely.transform(np.concatenate(sight.blocks), there)
    ground = _burn(blocks, scene, grid)
    colours = np.array([_GROUND[BLOCKS[k].name] for k in np.concatenate(sight.block_kinds)], float)
    on_block = ground > 0
    picture[on_block] = colours[ground[on_block] - 1]
    green = picture[..., 1] - picture[..., 0]
    leafy = _smooth(random, rows, columns, 5) + 0.7 * _smooth(random, rows, columns, 2) + green / 26 > 0.95
    picture[on_block & leafy] = _TREE
    picture = _buildings(picture, scene, grid, sight, there, random)
    picture += (_smooth(random, rows, columns, 24) * 5 + random.normal(0, 4.5, (rows, columns)))[..., None]
    picture = np.clip(picture, 1, 255)
    if scene.has_collar:
        y, x = np.mgrid[0:rows, 0:columns]
        off = np.abs((x - columns / 2) + 0.28 * (y - rows / 2)) > columns * 0.34
        picture[off | (np.abs((y - rows / 2) - 0.28 * (x - columns / 2)) > rows * 0.4)] = 0
    return picture.round().astype(np.uint8).transpose(2, 0, 1)


def _buildings(
    picture: Floats,
    scene: Scene,
    grid: Affine,
    sight: Sight,
    there: Callable[[Floats], Floats],
    random: np.random.Generator,
) -> Floats:
    """Shadows to the north-west, then roofs; building sites and cleared plots as bare soil."""
    shapes = shapely.transform(np.concatenate(sight.footprints), there)
    years, heights = np.concatenate(sight.years), np.concatenate(sight.heights_m)
    uses = [use for part in sight.uses for use in part]
    statuses = np.array([s for part in sight.statuses for s in part])
    west, north = grid.c, grid.f
    frame = shapely.box(west, north - scene.size[1] * scene.pixel, west + scene.size[0] * scene.pixel, north)
    inside: Booleans = shapely.intersects(frame, shapes)
    stands: Booleans = inside & (statuses == "completed") & (years <= scene.until_year)
    metre = 1.0 if scene.pixel > 0.01 else 1 / 105_000
    away = (np.array([-0.42, 0.3]) * metre)[None, :] * heights[stands][:, None]
    near, vertices = shapely.get_coordinates(shapes[stands], return_index=True)
    far = shapely.set_coordinates(shapes[stands].copy(), near + away[vertices])
    shadow = shapely.convex_hull(shapely.geometrycollections(np.stack([shapes[stands], far], 1)))
    picture[_burn(shadow, scene, grid) > 0] *= 0.55
    bare = _burn(shapes[inside & np.isin(statuses, ["under_construction", "demolished"])], scene, grid)
    if scene.until_year >= 2026:
        picture[bare > 0] = _SOIL
    roofs = _burn(shapes[stands], scene, grid)
    tone = random.normal(1.0, 0.09, (len(shapes), 1)) * np.array([_ROOF[use] for use in uses])
    picture[roofs > 0] = tone[stands][roofs[roofs > 0] - 1]
    return picture


def _write(path: Path, scene: Scene, grid: Affine, pixels: Bytes) -> None:
    profile = {
        "driver": "GTiff",
        "width": scene.size[0],
        "height": scene.size[1],
        "count": 3,
        "dtype": "uint8",
        "crs": scene.crs,
        "transform": grid,
        "photometric": "RGB",
        "compress": "deflate",
        "predictor": 2,
    }
    if scene.has_collar:
        profile["nodata"] = 0
    with MemoryFile() as memory:
        with memory.open(**profile) as target:
            target.write(pixels)
            taken = scene.taken.replace("-", ":").replace("T", " ").rstrip("Z")
            target.update_tags(TIFFTAG_DATETIME=taken, TIFFTAG_IMAGEDESCRIPTION=scene.title.split(" ", 1)[1])
        if scene.is_cog:
            with memory.open() as source:
                rasterio.shutil.copy(source, path, driver="COG", compress="DEFLATE", predictor="YES", blocksize=128)
        else:
            path.write_bytes(memory.getbuffer())


def _item(scene: Scene, grid: Affine) -> dict[str, Any]:
    """A STAC item whose one asset is the scene."""
    columns, rows = scene.size
    corners = [grid @ corner for corner in ((0, rows), (columns, rows), (columns, 0), (0, 0), (0, rows))]
    back = pyproj.Transformer.from_crs(scene.crs, "EPSG:4326", always_xy=True)
    ring = [[round(v, 7) for v in back.transform(x, y)] for x, y in corners]
    xs, ys = [x for x, _ in ring], [y for _, y in ring]
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "stac_extensions": ["https://stac-extensions.github.io/projection/v2.0.0/schema.json"],
        "id": scene.name,
        "collection": "lanwan-orthophoto",
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "bbox": [min(xs), min(ys), max(xs), max(ys)],
        "properties": {
            "title": scene.title,
            "datetime": scene.taken,
            "gsd": scene.pixel,
            "platform": "sample-aircraft",
            "proj:code": scene.crs,
            "proj:shape": [rows, columns],
            "proj:transform": list(grid)[:6],
        },
        "links": [
            {"rel": "collection", "href": "./collection.json", "type": "application/json"},
            {"rel": "parent", "href": "./collection.json", "type": "application/json"},
        ],
        "assets": {
            "visual": {
                "href": f"../imagery/{scene.name}.tif",
                "type": "image/tiff; application=geotiff; profile=cloud-optimized",
                "roles": ["data", "visual"],
                "title": scene.title,
            }
        },
    }


def _collection(item: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "Collection",
        "stac_version": "1.0.0",
        "id": item["collection"],
        "title": "澜湾市正射影像 Orthophotos of Lanwan",
        "description": "Scenes drawn from the generated sample city; no real place. 由生成的示例城市绘制，非真实影像。",
        "license": "CC0-1.0",
        "extent": {
            "spatial": {"bbox": [item["bbox"]]},
            "temporal": {"interval": [[SCENES[2].taken, SCENES[1].taken]]},
        },
        "links": [{"rel": "item", "href": f"./{item['id']}.json", "type": "application/geo+json"}],
    }
