"""PostgreSQL's own programs on this machine, and the PostGIS beside them."""

import re
import shutil
import subprocess
from pathlib import Path

from cim.errors import SetupProblem

APT_LINE = "apt-get install postgresql-15-postgis-3"
_INSTALLED = Path("/usr/lib/postgresql")
_SHARED = Path("/usr/share/postgresql")


def binaries(
    wanted: str | None = None, *, installed: Path = _INSTALLED, shared: Path = _SHARED, path: str | None = None
) -> Path:
    """The folder of `initdb`, `pg_ctl` and `postgres`.

    `wanted` is the major version that made a cluster: only that one can run it. Else the newest of Debian's that has
    PostGIS, then the newest, then the one on `path` (default: PATH). Raises SetupProblem with the line that installs it.
    """
    candidates = sorted(installed.glob("*/bin"), key=lambda f: (bool(postgis_of(f, shared)), _number(f)), reverse=True)
    on_path = shutil.which("initdb", path=path)
    if on_path:
        candidates.append(Path(on_path).resolve().parent)
    found = [f for f in candidates if all((f / name).exists() for name in ("initdb", "pg_ctl", "postgres"))]
    if not found:
        raise SetupProblem(f"PostgreSQL's programs are not here; install them: {APT_LINE}")
    if wanted is None:
        return found[0]
    for folder in found:
        if folder.parent.name == wanted or major_of(folder) == wanted:
            return folder
    raise SetupProblem(
        f"the city's data were made by PostgreSQL {wanted}, which is not here; install it: "
        f"apt-get install postgresql-{wanted}-postgis-3"
    )


def postgis_of(folder: Path, shared: Path = _SHARED) -> str:
    """The version of the PostGIS beside these programs, "" where there is none."""
    for control in (
        shared / folder.parent.name / "extension/postgis.control",
        folder.parent / "share/extension/postgis.control",
        folder.parent / "share/postgresql/extension/postgis.control",
    ):
        if control.exists():
            found = re.search(r"default_version\s*=\s*'([^']+)'", control.read_text())
            return found[1] if found else "?"
    return ""


def version_of(folder: Path) -> str:
    """What `postgres --version` says."""
    done = subprocess.run([folder / "postgres", "--version"], capture_output=True, text=True, check=False)
    return done.stdout.strip()


def major_of(folder: Path) -> str:
    """15 for `postgres (PostgreSQL) 15.18 (Debian …)`; "" where it does not say."""
    found = re.search(r"\)\s+(\d+)", version_of(folder))
    return found[1] if found else ""


def client_program(name: str) -> Path:
    """Where psql and its like are: on PATH, else beside the server's programs. Raises SetupProblem."""
    on_path = shutil.which(name)
    found = Path(on_path) if on_path else binaries() / name
    if not found.exists():
        raise SetupProblem(f"{name} is not here; install it: apt-get install postgresql-client")
    return found


def _number(folder: Path) -> float:
    try:
        return float(folder.parent.name)
    except ValueError:
        return 0.0
