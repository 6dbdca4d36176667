"""What is wrong with a set-up, and the line that mends it."""

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

from cim.db.embedded import MAX_SOCKET_PATH, Cluster
from cim.db.ownership import owner_of
from cim.db.programs import postgis_of, version_of
from cim.errors import CimError, SetupProblem, Unavailable
from cim.settings import Settings

FREE_BYTES = 2 * 1024**3
"""Free space below which loading a city is likely to fail."""

_PACKAGES = ("asyncpg", "psycopg", "fastapi", "pyogrio", "rasterio", "pyproj", "shapely", "pyarrow")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at. `mend` is the line that mends it, empty where all is well."""

    name: str
    is_well: bool
    detail: str
    mend: str = ""


def examine(settings: Settings) -> list[Finding]:
    """Look at everything a node needs, in the order in which it is needed; never raises."""
    looks: list[tuple[str, Callable[[Settings], tuple[bool, str, str]]]] = [
        ("python", _python),
        ("packages", _packages),
        *([("database", _database)] if settings.database_url else _EMBEDDED),
        ("port", _port),
        ("page", _page),
    ]
    findings = []
    for name, look in looks:
        try:
            is_well, detail, mend = look(settings)
            findings.append(Finding(name, is_well, detail, "" if is_well else mend))
        except CimError as error:
            facts, _, mend = error.detail.partition("; ")
            findings.append(Finding(name, False, facts, mend))
        except OSError as error:
            findings.append(Finding(name, False, f"{error.strerror}: {error.filename}"))
    return findings


def _python(settings: Settings) -> tuple[bool, str, str]:
    found = ".".join(map(str, sys.version_info[:3]))
    return (
        sys.version_info >= (3, 11),
        f"Python {found}",
        "install Python 3.11 or later: apt-get install python3 python3-venv",
    )


def _packages(settings: Settings) -> tuple[bool, str, str]:
    facts, broken = [], []
    for name in _PACKAGES:
        try:
            module = import_module(name)
        except ImportError as error:
            broken.append(f"{name}: {error}")
            continue
        gdal = getattr(module, "__gdal_version_string__", None) or getattr(module, "__gdal_version__", None)
        facts.append(f"{name} {version(name)}" + (f" (GDAL {gdal})" if gdal else ""))
    if broken:
        return False, f"cannot be used: {'; '.join(broken)}", "rm -rf .venv && make run"
    return True, ", ".join(facts), ""


def _binaries(settings: Settings) -> tuple[bool, str, str]:
    folder = Cluster(settings.data_dir).programs()
    return True, f"{version_of(folder)} in {folder}", ""


def _postgis(settings: Settings) -> tuple[bool, str, str]:
    folder = Cluster(settings.data_dir).programs()
    found = postgis_of(folder)
    return (
        bool(found),
        f"PostGIS {found}" if found else "PostGIS is not installed",
        f"apt-get install postgresql-{folder.parent.name}-postgis-3",
    )


def _account(settings: Settings) -> tuple[bool, str, str]:
    account = Cluster(settings.data_dir).account()
    return True, f"PostgreSQL runs as account '{account.name}'" if account.is_other else "PostgreSQL runs as you", ""


def _locale(settings: Settings) -> tuple[bool, str, str]:
    listed = subprocess.run(["locale", "-a"], capture_output=True, text=True, check=False).stdout.lower().split()
    is_there = bool({"c.utf-8", "c.utf8"} & set(listed))
    return (
        is_there,
        f"C.UTF-8 is {'there' if is_there else 'missing'}",
        "apt-get install libc-bin (Debian has C.UTF-8 built in)",
    )


def _folder(settings: Settings) -> tuple[bool, str, str]:
    folder = settings.data_dir
    existing = next(p for p in [folder, *folder.parents] if os.path.exists(p))  # False, too, where we may not look
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        return False, f"{existing} cannot be written", "set CIM_DATA_DIR to a folder of your own"
    try:
        Cluster(existing).check_way(Cluster(folder).account())
    except SetupProblem as problem:
        facts, _, mend = problem.detail.partition("; ")
        return False, facts, mend
    free = shutil.disk_usage(existing).free
    detail = f"{folder}, {free / 1024**3:.1f} GiB free"
    return free >= FREE_BYTES, detail, "free some space, or set CIM_DATA_DIR to another disk"


def _socket_path(settings: Settings) -> tuple[bool, str, str]:
    length = len(os.fsencode(Cluster(settings.data_dir).socket / ".s.PGSQL.5432"))
    return length <= MAX_SOCKET_PATH, f"{length} bytes of {MAX_SOCKET_PATH}", "set CIM_DATA_DIR to a shorter folder"


def _cluster(settings: Settings) -> tuple[bool, str, str]:
    cluster = Cluster(settings.data_dir)
    if cluster.made_by() is None:
        return True, "no cluster yet; `cim run` makes it", ""
    if not cluster.is_running():
        return True, f"made by PostgreSQL {cluster.made_by()}, not running", ""
    owner = owner_of(cluster)
    return _examined(cluster.url(), f"running, owned by {'nobody' if owner == '?' else f'process {owner}'}")


def _database(settings: Settings) -> tuple[bool, str, str]:
    assert settings.database_url is not None
    from cim.db.connect import shown

    try:
        detail = shown(settings.database_url)
    except SetupProblem as problem:
        facts, _, mend = problem.detail.partition("; ")
        return False, facts, mend
    return _examined(settings.database_url, detail)


def _examined(url: str, detail: str) -> tuple[bool, str, str]:
    from cim.db.migrate import check

    try:
        check(url)
    except SetupProblem as problem:
        facts, _, mend = problem.detail.partition(": ")
        return False, f"{detail}; {facts}", mend
    except Unavailable as problem:
        return False, problem.detail, "start that database, or correct DATABASE_URL"
    return True, f"{detail}{_guard(url)}", ""


def _guard(url: str) -> str:
    """What keeps the audit from being changed; nothing before there are tables."""
    import psycopg

    from cim.db.connect import connect
    from cim.db.guard import is_guarded

    try:
        with connect(url) as connection:
            keeper = "a role of its own" if is_guarded(connection) else "its chain alone"
    except psycopg.errors.UndefinedTable:
        return ""
    return f"; the audit is guarded by {keeper}"


def _port(settings: Settings) -> tuple[bool, str, str]:
    address = f"{settings.host}:{settings.port}"
    with socket.socket() as probe:
        probe.settimeout(1)
        if probe.connect_ex((settings.host, settings.port)) != 0:
            return True, f"{address} is free", ""
    if _is_node(settings):
        return True, f"{address} is served by OpenCIM", ""
    return False, f"{address} is in use", "another program listens there; set CIM_PORT, e.g. CIM_PORT=8080"


def _is_node(settings: Settings) -> bool:
    """True when what listens on the port greets as a node does."""
    connection = HTTPConnection(settings.host, settings.port, timeout=3)
    try:
        connection.request("GET", "/?f=json")
        answer = connection.getresponse()
        return answer.status == 200 and b'"title":"OpenCIM' in answer.read(200)
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


def _page(settings: Settings) -> tuple[bool, str, str]:
    root = Path(__file__).resolve().parent.parent
    is_built = any((root / place / "manifest.json").exists() for place in ("web/dist", "api/static"))
    return is_built, "the page is built" if is_built else "the page is not built", "make build"


_EMBEDDED: list[tuple[str, Callable[[Settings], tuple[bool, str, str]]]] = [
    ("postgresql", _binaries),
    ("postgis", _postgis),
    ("account", _account),
    ("locale", _locale),
    ("data folder", _folder),
    ("socket path", _socket_path),
    ("cluster", _cluster),
]
