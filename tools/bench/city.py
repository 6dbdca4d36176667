"""The city that is asked: made once by our own generator and loaders into a private cluster, kept in a cache folder."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psycopg

from cim.collections.buildings import BUILDINGS
from cim.db.connect import connect
from cim.db.embedded import Cluster
from cim.db.migrate import upgrade
from cim.db.ownership import used
from cim.model import Scope
from cim.query.features import shown_columns
from cim.query.tiles import tile_properties
from cim.sql import Sql

FIRST_PORT = 18_432

SCENES = 100_000
SCENE_REGION = (113.5, 22.2, 114.7, 23.2)
SCENE_DAYS = 3650


@dataclass(frozen=True, slots=True)
class City:
    """Where the data are: `folder` of this size, `url` of the database that OpenCIM and the peers read.

    `port`: the cluster's on the loopback address; peers connect by TCP, we by the socket.
    """

    folder: Path
    url: str
    port: int
    buildings: int


def cache_folder() -> Path:
    """Where data are kept between runs; root's own folder is closed to the account that runs PostgreSQL."""
    if os.geteuid() == 0:
        return Path("/var/cache/opencim-bench")
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "opencim-bench"


@contextmanager
def city(cache: Path, buildings: int) -> Iterator[City]:
    """The city of that size, made where it is not there, its cluster running while the block does."""
    folder = cache / str(buildings)
    folder.mkdir(parents=True, exist_ok=True)
    port = _port(folder / "data")
    os.environ["PGPORT"] = str(port)
    cluster = Cluster(folder / "data", options=("listen_addresses=127.0.0.1", f"port={port}"))
    with used(cluster) as url:
        upgrade(url)
        made = City(folder, url, port, buildings)
        with connect(url, application="bench") as connection:
            _fill(made, connection)
        yield made


def _port(data: Path) -> int:
    """The port of the cluster where it runs already, else one that is free."""
    running = Cluster(data)
    if running.is_alive():
        return int((running.data / "postmaster.pid").read_text().splitlines()[3])
    return free_port(FIRST_PORT)


def free_port(first: int) -> int:
    """The first port from `first` on that nobody listens on."""
    for port in range(first, first + 200):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise RuntimeError("no port is free")


def _fill(made: City, connection: psycopg.Connection) -> None:
    if _count(connection, "cim.building") != made.buildings:
        files = made.folder / "files"
        stated = ["--buildings", str(made.buildings), "--sensors", "0", "--cameras", "0", "--out", str(files), "--load"]
        _cim(made, "sample", *stated)
    if _count(connection, "cim.imagery") < SCENES:
        folder = made.folder / "scenes"
        write_scenes(folder)
        _cim(made, "load", "imagery", str(folder), "--source", "bench")
    if connection.execute("SELECT to_regclass('peer.scene')").fetchone() == (None,):
        make_peer_tables(connection)
    for table in ("cim.building", "cim.imagery"):
        connection.execute(Sql.of("VACUUM (ANALYZE) " + table).compile()[0].encode())


def _count(connection: psycopg.Connection, table: str) -> int:
    row = connection.execute(f"SELECT count(*) FROM {table}".encode()).fetchone()
    assert row is not None
    return int(row[0])


def _cim(made: City, *arguments: str) -> None:
    env = {**os.environ, "DATABASE_URL": made.url, "CIM_DATA_DIR": str(made.folder / "data")}
    subprocess.run([sys.executable, "-m", "cim.cli.main", *arguments], env=env, check=True)


def scenes() -> Iterator[dict[str, object]]:
    """100,000 invented STAC items over the city's region and ten years; the same ones at each call."""
    random = np.random.default_rng(4403)
    west, south, east, north = SCENE_REGION
    middle = np.column_stack([random.uniform(west, east, SCENES), random.uniform(south, north, SCENES)])
    half = random.uniform(0.01, 0.04, SCENES)
    day = random.uniform(0, SCENE_DAYS, SCENES)
    taken = np.datetime64("2016-01-01T00:00:00") + (day * 86_400).astype("timedelta64[s]")
    cloud = random.uniform(0, 100, SCENES).round(1)
    for number in range(SCENES):
        (x, y), h = middle[number], half[number]
        ring = [(x - h, y - h), (x + h, y - h), (x + h, y + h), (x - h, y + h), (x - h, y - h)]
        yield {
            "type": "Feature",
            "stac_version": "1.0.0",
            "id": f"scene-{number:06d}",
            "collection": "bench-scenes",
            "bbox": [round(x - h, 6), round(y - h, 6), round(x + h, 6), round(y + h, 6)],
            "geometry": {"type": "Polygon", "coordinates": [[[round(a, 6), round(b, 6)] for a, b in ring]]},
            "properties": {
                "datetime": f"{taken[number]}Z",
                "title": f"影像 {number}",
                "platform": f"sat-{number % 5}",
                "gsd": 0.5 + number % 4,
                "eo:cloud_cover": float(cloud[number]),
            },
            "links": [],
            "assets": {
                "visual": {
                    "href": f"https://imagery.example/scenes/{number:06d}.tif",
                    "type": "image/tiff; application=geotiff; profile=cloud-optimized",
                    "roles": ["data"],
                }
            },
        }


def scene_collection() -> dict[str, object]:
    """The STAC collection of the scenes."""
    begin = "2016-01-01T00:00:00Z"
    return {
        "type": "Collection",
        "stac_version": "1.0.0",
        "id": "bench-scenes",
        "description": "Invented scenes",
        "license": "CC0-1.0",
        "links": [],
        "extent": {"spatial": {"bbox": [list(SCENE_REGION)]}, "temporal": {"interval": [[begin, None]]}},
    }


def write_scenes(folder: Path) -> None:
    """The items as ItemCollections (for us) and, beside the folder, as lines (for pgstac)."""
    folder.mkdir(exist_ok=True)
    lines = folder.with_suffix(".ndjson")
    whole = list(scenes())
    lines.write_text("".join(json.dumps(item, ensure_ascii=False) + "\n" for item in whole), encoding="utf-8")
    folder.with_suffix(".collection.json").write_text(json.dumps(scene_collection()), encoding="utf-8")
    (folder / "bench-collection.json").write_text(json.dumps(scene_collection()), encoding="utf-8")
    for first in range(0, len(whole), 10_000):
        document = {"type": "FeatureCollection", "stac_version": "1.0.0", "features": whole[first : first + 10_000]}
        path = folder / f"items-{first:06d}.json"
        path.write_text(json.dumps(document, ensure_ascii=False), encoding="utf-8")


def make_peer_tables(connection: psycopg.Connection) -> None:
    """What the peers serve: the attributes that our answers hold, with the indexes that each needs; and the raw tables.

    `peer.buildings` in EPSG:4326 for features, `peer.building_tiles` in EPSG:3857 for tiles, `peer.scene` flat with
    the item kept as text: the quickest form of a STAC table known.
    """
    shown = shown_columns(BUILDINGS, Scope())
    drawn = Sql.join("", [Sql.of(", {}", p.column) for p in tile_properties(BUILDINGS, Scope())])
    home = "/stac/collections/bench-scenes"
    link = Sql.of("json_build_array(json_build_object('rel', 'self', 'href', {} || '/items/' || id))", home)
    statements = [
        Sql.of("DROP SCHEMA IF EXISTS peer CASCADE"),
        Sql.of("CREATE SCHEMA peer"),
        Sql.of("CREATE TABLE peer.buildings AS SELECT id, geom, {} FROM cim.building", shown),
        Sql.of(
            "CREATE TABLE peer.building_tiles AS SELECT id, ST_Transform(geom, 3857)::geometry(MultiPolygon, 3857) AS geom{} "
            "FROM cim.building",
            drawn,
        ),
        Sql.of(
            "CREATE TABLE peer.scene AS SELECT id, geom, valid_from AS taken, "
            'concat(\'{ \', \'"type":"Feature","stac_version":"1.0.0","stac_extensions":[],"id":\', to_json(id), '
            "',\"collection\":', to_json(stac_collection), ',\"geometry\":', ST_AsGeoJSON(geom, 7), ',\"bbox\":[', "
            "ST_XMin(geom), ',', ST_YMin(geom), ',', ST_XMax(geom), ',', ST_YMax(geom), '],\"properties\":', "
            "jsonb_build_object('datetime', datetime, 'title', title, 'platform', platform, 'gsd', gsd_m, "
            "'eo:cloud_cover', cloud_cover_percent), ',\"links\":', {}, ',\"assets\":', assets, '}') AS body FROM cim.imagery",
            link,
        ),
        *[
            Sql.of(f"ALTER TABLE peer.{table} ADD PRIMARY KEY (id)")
            for table in ("buildings", "building_tiles", "scene")
        ],
        *[
            Sql.of(f"CREATE INDEX ON peer.{table} USING gist (geom)")
            for table in ("buildings", "building_tiles", "scene")
        ],
        *[Sql.of(f"VACUUM (ANALYZE) peer.{table}") for table in ("buildings", "building_tiles", "scene")],
    ]
    for statement in statements:
        text, values = statement.compile_psycopg()
        if values:
            text = psycopg.ClientCursor(connection).mogrify(text, values)
        connection.execute(text.replace("%%", "%").encode())
