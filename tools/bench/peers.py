"""The peers: installed by their names into a virtual environment of the cache folder, set up for the same rows."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psycopg

from tools.bench.city import City, free_port
from tools.bench.servers import FIRST_PORT, Server

FEATURES = (
    "tipg==1.6.1",
    "pygeoapi==0.21.0",
    "psycopg2-binary",
    "geoalchemy2",
    "gunicorn",
    "uvicorn",
    "uvloop",
    "httptools",
)
STAC = ("stac-fastapi.pgstac==7.2.0", "pypgstac[psycopg]==0.10.0", "uvicorn", "uvloop", "httptools")
MARTIN = "1.14.0"
MAX_FEATURES = "10000"


class Absent(Exception):
    """A peer that cannot take part, with the reason."""


def _environment(folder: Path, packages: tuple[str, ...]) -> Path:
    """The folder of programs of a virtual environment with `packages`. Raises Absent."""
    programs = folder / "bin"
    mark = folder / "installed"
    if mark.exists() and mark.read_text() == " ".join(packages):
        return programs
    shutil.rmtree(folder, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    done = subprocess.run(
        [str(programs / "pip"), "install", "-q", *packages], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise Absent(f"pip install {' '.join(packages)}: {done.stderr.strip()[-200:]}")
    mark.write_text(" ".join(packages))
    return programs


def _dsn(city: City, database: str = "cim") -> str:
    return f"postgresql://opencim:none@127.0.0.1:{city.port}/{database}"


def tipg(cache: Path, city: City, workers: int) -> Server:
    """tipg over `peer.buildings` (features) and `peer.building_tiles` (tiles)."""
    programs = _environment(cache / "peers", FEATURES)
    port = free_port(FIRST_PORT)
    env = {
        "DATABASE_URL": _dsn(city),
        "TIPG_DB_SCHEMAS": '["peer"]',
        "TIPG_MAX_FEATURES_PER_QUERY": MAX_FEATURES,
        "TIPG_MAX_FEATURES_PER_TILE": "50000",
        "WEB_CONCURRENCY": str(workers),
    }
    command = [str(programs / "uvicorn"), "tipg.main:app", "--port", str(port), "--no-access-log"]
    server = Server("tipg", command, env, port, city.folder / "tipg.log")
    server.wait("/collections/peer.buildings")
    return server


def pygeoapi(cache: Path, city: City, workers: int) -> Server:
    """pygeoapi over `peer.buildings`, as its container runs it: gunicorn."""
    programs = _environment(cache / "peers", FEATURES)
    port = free_port(FIRST_PORT)
    settings, description = city.folder / "pygeoapi.json", city.folder / "pygeoapi-openapi.yml"
    settings.write_text(json.dumps(_pygeoapi_settings(port, city.port)))
    env = {"PYGEOAPI_CONFIG": str(settings), "PYGEOAPI_OPENAPI": str(description)}
    done = subprocess.run(
        [str(programs / "pygeoapi"), "openapi", "generate", str(settings), "--output-file", str(description)],
        env={**os.environ, **env}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise Absent(f"pygeoapi openapi generate: {(done.stderr or done.stdout).strip()[-300:]}")
    command = [str(programs / "gunicorn"), "pygeoapi.flask_app:APP", "-b", f"127.0.0.1:{port}", "-w", str(workers)]
    server = Server("pygeoapi", [*command, "-k", "gthread", "--threads", "8"], env, port, city.folder / "pygeoapi.log")
    server.wait("/collections/buildings?f=json")
    return server


def _pygeoapi_settings(port: int, database_port: int) -> dict[str, object]:
    connection = {"host": "127.0.0.1", "port": database_port, "dbname": "cim", "user": "opencim", "password": "none"}
    provider = {
        "type": "feature",
        "name": "PostgreSQL",
        "data": {**connection, "search_path": ["peer"]},
        "id_field": "id",
        "table": "buildings",
        "geom_field": "geom",
    }
    contact = {"name": "bench", "url": "http://127.0.0.1"}
    return {
        "server": {
            "bind": {"host": "127.0.0.1", "port": port},
            "url": f"http://127.0.0.1:{port}",
            "mimetype": "application/json; charset=UTF-8",
            "encoding": "utf-8",
            "languages": ["en-US"],
            "limits": {"default_items": 10, "max_items": int(MAX_FEATURES)},
            "map": {"url": "", "attribution": ""},
        },
        "logging": {"level": "ERROR"},
        "metadata": {
            "identification": {
                "title": "bench", "description": "bench", "keywords": ["bench"], "keywords_type": "theme",
                "terms_of_service": "none", "url": "http://127.0.0.1",
            },
            "license": {"name": "none", "url": "http://127.0.0.1"},
            "provider": contact,
            "contact": contact,
        },
        "resources": {
            "buildings": {
                "type": "collection",
                "title": "buildings",
                "description": "buildings",
                "keywords": ["buildings"],
                "links": [],
                "extents": {"spatial": {"bbox": [113, 22, 115, 23.5], "crs": "http://www.opengis.net/def/crs/OGC/1.3/CRS84"}},
                "providers": [provider],
            }
        },
    }  # fmt: skip


def martin(cache: Path, city: City, workers: int, *, is_cached: bool = False) -> Server:
    """martin over `peer.building_tiles`; its own default of one worker a core, for it is no Python program."""
    own = cache / "martin" / "bin" / "martin"
    program = str(own) if own.exists() else shutil.which("martin")
    if program is None:
        raise Absent(
            f"martin is not here; build it (some minutes): cargo install martin --version {MARTIN} --locked "
            f"--no-default-features --features postgres --root {cache / 'martin'}"
        )
    port = free_port(FIRST_PORT)
    name = "martin-cached" if is_cached else "martin"
    settings = city.folder / f"{name}.json"
    table = {
        "schema": "peer",
        "table": "building_tiles",
        "srid": 3857,
        "geometry_column": "geom",
        "geometry_type": "MULTIPOLYGON",
    }
    columns = _columns(city)
    settings.write_text(
        json.dumps(
            {
                "listen_addresses": f"127.0.0.1:{port}",
                "cache": {"size_mb": 256 if is_cached else 0},
                "postgres": {
                    "connection_string": _dsn(city),
                    "pool_size": 20,
                    "tables": {"building_tiles": {**table, "layer_id": "buildings", "properties": columns}},
                },
            }
        )
    )
    env = {"RUST_LOG": "warn"}
    server = Server(name, [program, "--config", str(settings)], env, port, city.folder / f"{name}.log")
    server.wait("/health")
    return server


def _columns(city: City) -> dict[str, str]:
    with psycopg.connect(city.url) as connection:
        found = connection.execute(
            "SELECT attname, format_type(atttypid, NULL) FROM pg_attribute "
            "WHERE attrelid = 'peer.building_tiles'::regclass AND attnum > 0 AND attname <> 'geom'"
        ).fetchall()
    return dict(found)


def pgstac(cache: Path, city: City, workers: int) -> Server:
    """stac-fastapi.pgstac over a database of its own with the same 100,000 items."""
    programs = _environment(cache / "peers-stac", STAC)
    where = {"PGHOST": "127.0.0.1", "PGUSER": "opencim", "PGPASSWORD": "none", "PGDATABASE": "pgstac"}
    with psycopg.connect(city.url, autocommit=True) as connection:
        if connection.execute("SELECT FROM pg_database WHERE datname = 'pgstac'").fetchone() is None:
            connection.execute("CREATE DATABASE pgstac")
            try:
                _fill_pgstac(programs, city)
            except Absent:
                connection.execute("DROP DATABASE pgstac WITH (FORCE)")
                raise
    port = free_port(FIRST_PORT)
    env = {**where, "PGPORT": str(city.port), "WEB_CONCURRENCY": str(workers)}
    command = [
        str(programs / "uvicorn"),
        "stac_fastapi.pgstac.app:create_app",
        "--factory",
        "--port",
        str(port),
        "--no-access-log",
    ]
    server = Server("pgstac", command, env, port, city.folder / "pgstac.log")
    server.wait("/collections")
    return server


def _fill_pgstac(programs: Path, city: City) -> None:
    files = city.folder / "scenes"
    dsn = ["--dsn", _dsn(city, "pgstac")]
    steps = (
        ["migrate", *dsn],
        ["load", "collections", str(files.with_suffix(".collection.json")), *dsn],
        ["load", "items", str(files.with_suffix(".ndjson")), *dsn],
    )
    for step in steps:
        done = subprocess.run([str(programs / "pypgstac"), *step], capture_output=True, text=True, check=False)
        if done.returncode:
            raise Absent(f"pypgstac {' '.join(step[:2])}: {(done.stderr or done.stdout).strip()[-300:]}")


PEERS: dict[str, Callable[[Path, City, int], Server]] = {
    "tipg": tipg,
    "pygeoapi": pygeoapi,
    "martin": martin,
    "pgstac": pgstac,
}
