"""Rows of the cameras collection: at junctions and kerbs, looking along streets."""

import numpy as np
import pyarrow as pa
import shapely

from sample_data.areas import Community
from sample_data.buildings import TODAY
from sample_data.layout import Layout
from sample_data.places import kerb_places, street_names
from sample_data.plane import Geometries, generator

SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("name", pa.string()),
        ("kind", pa.string()),
        ("direction_deg", pa.float64()),
        ("field_of_view_deg", pa.float64()),
        ("range_m", pa.float64()),
        ("operator", pa.string()),
        ("status", pa.string()),
        ("installed_on", pa.date32()),
        ("removed_on", pa.date32()),
    ]
)
KINDS = ("fixed", "dome", "ptz", "panoramic", "enforcement")
_SHARES = (0.46, 0.16, 0.2, 0.06, 0.12)
_FIELD_OF_VIEW_DEG = (72.0, 100.0, 58.0, 360.0, 36.0)
_RANGE_M = (80.0, 45.0, 160.0, 60.0, 55.0)
_KIND_NAMES = ("枪机", "半球", "球机", "全景", "抓拍")
_OPERATORS = ("公安分局", "交警大队", "城市管理局", "街道办事处")


def camera_rows(community: Community, layout: Layout, first: int, count: int, seed: int) -> tuple[pa.Table, Geometries]:
    """`count` cameras with ids from `first` on, and their points."""
    random = generator(seed, 40, community.number)
    at_corner = count * 3 // 5
    corner = kerb_places(community, layout, at_corner, random, corners=True)
    side = kerb_places(community, layout, count - at_corner, random)
    at = np.concatenate([corner.at, side.at])
    azimuth = np.concatenate([corner.azimuth_deg, side.azimuth_deg])
    row = np.concatenate([corner.row, side.row]).tolist()
    kind = random.choice(len(KINDS), count, p=_SHARES)
    direction = np.round((azimuth + random.normal(0, 4, count)) % 360.0, 1) % 360.0
    view = np.array(_FIELD_OF_VIEW_DEG)[kind] * np.where(kind == 3, 1.0, random.uniform(0.85, 1.15, count))
    reach = np.array(_RANGE_M)[kind] * random.uniform(0.7, 1.3, count)
    installed = (TODAY - random.integers(30, 3800, count)).astype("datetime64[D]")
    luck = random.random(count)
    status = np.where(luck < 0.95, "active", np.where(luck < 0.985, "faulty", "retired"))
    age = (TODAY - installed).astype(np.int64)
    removed = installed + np.floor(age * (0.4 + 0.5 * random.random(count))).astype(np.int64)
    removed[status != "retired"] = np.datetime64("NaT")
    owner = random.choice(4, count, p=(0.5, 0.24, 0.14, 0.12)).tolist()
    road = [name for name, _ in street_names(community, layout, seed)]
    names = [
        f"{community.name[0]}{road[r]}路{'口' if n < at_corner else ''}{_KIND_NAMES[k]}{n + 1:03d}"
        for n, (r, k) in enumerate(zip(row, kind.tolist(), strict=True))
    ]
    table = pa.table(
        [
            pa.array([f"C{n:06d}" for n in range(first, first + count)], pa.string()),
            pa.array(names, pa.string()),
            pa.array([KINDS[k] for k in kind.tolist()], pa.string()),
            pa.array(direction),
            pa.array(view.round(1)),
            pa.array(reach.round(0)),
            pa.array(
                [
                    f"{community.street[0]}{_OPERATORS[3]}" if o == 3 else f"{community.district[0]}区{_OPERATORS[o]}"
                    for o in owner
                ],
                pa.string(),
            ),
            pa.array(status.tolist(), pa.string()),
            pa.array(installed, pa.date32()),
            pa.array(removed, pa.date32()),
        ],
        schema=SCHEMA,
    )
    return table, shapely.points(at) if count else np.empty(0, object)
