"""A private PostgreSQL + PostGIS cluster in the data folder, made and run from the system's own binaries.

It listens on a unix socket only, in a folder that only its account can enter, and is durable (fsync on). PostgreSQL
refuses to run as root: then the account `postgres` runs it. Who starts and stops it is `cim.db.ownership`'s.
"""

import os
import pwd
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psycopg

from cim.db.programs import APT_LINE, binaries
from cim.errors import SetupProblem

DATABASE = "cim"
ROLE = "opencim"
MAX_SOCKET_PATH = 107
"""Bytes that sun_path of a unix socket takes (unix(7)), without the final NUL."""

START_TIMEOUT_S = 120
MAX_LOG_BYTES = 32 * 1024**2
MIN_SHM_BYTES = 512 * 1024**2


_KEPT_MEMORY = {"MALLOC_TRIM_THRESHOLD_": "16777216", "MALLOC_MMAP_THRESHOLD_": "16777216"}
"""A session keeps up to 16 MB that it freed: given back after each page, memory comes again in small pieces to be zeroed."""


@dataclass(frozen=True, slots=True)
class Account:
    """Who runs PostgreSQL: the caller, or another one (`is_other`) when the caller is root."""

    uid: int
    gid: int
    is_other: bool

    @property
    def name(self) -> str:
        """As people call it."""
        try:
            return pwd.getpwuid(self.uid).pw_name
        except KeyError:
            return str(self.uid)

    def can_enter(self, folder: Path) -> bool:
        """True when the folder's mode lets this account through."""
        facts = folder.stat()
        if facts.st_uid == self.uid:
            return bool(facts.st_mode & 0o100)
        return bool(facts.st_mode & (0o010 if facts.st_gid == self.gid else 0o001))

    @staticmethod
    def current() -> "Account":
        """The caller's own account, or `postgres` for root. Raises SetupProblem where that does not exist."""
        if os.geteuid() != 0:
            return Account(os.geteuid(), os.getegid(), False)
        try:
            entry = pwd.getpwnam("postgres")
        except KeyError:
            raise SetupProblem(
                f"PostgreSQL does not run as root and there is no account 'postgres'; {APT_LINE} makes it"
            ) from None
        return Account(entry.pw_uid, entry.pw_gid, True)


@dataclass(frozen=True, slots=True)
class Cluster:
    """A cluster in `folder`: `postgres/` its data with `server.log`, `socket/` its socket."""

    folder: Path
    options: tuple[str, ...] = ()

    @property
    def data(self) -> Path:
        """PGDATA."""
        return self.folder / "postgres"

    @property
    def socket(self) -> Path:
        """Folder of the socket."""
        return self.folder / "socket"

    @property
    def log(self) -> Path:
        """What the server says."""
        return self.data / "server.log"

    def account(self) -> Account:
        """Who runs it: the account that its data belong to where root asks, else as `Account.current`."""
        if os.geteuid() == 0 and (self.data / "PG_VERSION").exists():
            facts = self.data.stat()
            if facts.st_uid != 0:
                return Account(facts.st_uid, facts.st_gid, True)
        return Account.current()

    def made_by(self) -> str | None:
        """The major version of the PostgreSQL that made it, None where there is none yet."""
        try:
            return (self.data / "PG_VERSION").read_text().strip()
        except OSError:
            return None

    def programs(self) -> Path:
        """The folder of the programs that can run it. Raises SetupProblem with the line that installs them."""
        return binaries(self.made_by())

    def server_mark(self) -> str:
        """Number and start time of the server that runs, or "" where none does (or it was killed and left it)."""
        try:
            lines = (self.data / "postmaster.pid").read_text().splitlines()
        except OSError:
            return ""
        return " ".join(lines[0:3:2])

    def url(self, database: str = DATABASE) -> str:
        """libpq URL over the socket."""
        return f"postgresql://{ROLE}@/{database}?host={self.socket}"

    def is_running(self) -> bool:
        """True when a server answers on the socket."""
        try:
            with psycopg.connect(self.url("postgres"), connect_timeout=2):
                return True
        except psycopg.Error:
            return False

    def is_alive(self) -> bool:
        """True while the server's process is there, whether it answers or not."""
        mark = self.server_mark().split()
        return bool(mark) and _may_be_postgres(int(mark[0]))

    def prepare(self) -> None:
        """Make the folders and, where there is none, the cluster. Raises SetupProblem."""
        length = len(os.fsencode(self.socket / ".s.PGSQL.5432"))
        if length > MAX_SOCKET_PATH:
            raise SetupProblem(
                f"the socket's path would be {length} bytes, at most {MAX_SOCKET_PATH} are possible; "
                f"set CIM_DATA_DIR to a shorter folder than {self.folder}"
            )
        account = self.account()
        try:
            make_folder(self.folder)
            self.check_way(account)
            self.socket.mkdir(mode=0o700, exist_ok=True)
            os.chown(self.socket, account.uid, account.gid)
        except OSError as error:
            raise unwritable(self.folder, error) from error
        if not (self.data / "PG_VERSION").exists():
            self._initdb(account)

    def check_way(self, account: Account) -> None:
        """Raise SetupProblem naming the folder on the way that the account cannot enter."""
        if not account.is_other:
            return
        for folder in [self.folder, *self.folder.parents]:
            if not account.can_enter(folder):
                raise SetupProblem(
                    f"account '{account.name}' cannot enter {folder}; set CIM_DATA_DIR to another folder, e.g. /var/lib/opencim"
                )

    def _initdb(self, account: Account) -> None:
        made = self.folder / "postgres.new"
        shutil.rmtree(made, ignore_errors=True)
        made.mkdir(mode=0o700)
        os.chown(made, account.uid, account.gid)
        self._run(
            [
                "initdb",
                "-D",
                str(made),
                "-U",
                ROLE,
                "-E",
                "UTF8",
                "--locale=C.UTF-8",
                "--auth=trust",
                "--data-checksums",
            ]
        )
        made.rename(self.data)

    def _run(self, command: Sequence[str], *, timeout_s: float = START_TIMEOUT_S) -> None:
        account = self.account()
        who = {"user": account.uid, "group": account.gid, "extra_groups": []} if account.is_other else {}
        done = subprocess.run(
            [str(self.programs() / command[0]), *command[1:]],
            cwd="/",
            env={"PATH": os.environ.get("PATH", ""), "LC_ALL": "C.UTF-8", "TZ": "UTC", **_KEPT_MEMORY},
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
            **who,  # type: ignore[call-overload]
        )
        if done.returncode:
            raise SetupProblem(f"{command[0]} failed: {_last_lines(done.stdout + done.stderr)}{self._log_hint()}")

    def _log_hint(self) -> str:
        try:
            return " · server log: " + _last_lines(self.log.read_text(errors="replace"))
        except OSError:
            return ""

    def start(self) -> None:
        """Start the server and make the database where it is missing; nothing to do where it runs."""
        self.prepare()
        if not self.is_running():
            self._forget_dead_server()
            self._turn_log()
            options = " ".join(f"-c {option}" for option in (*self._settings(), *self.options))
            self._run(["pg_ctl", "-D", str(self.data), "-l", str(self.log), "-w", "-t", "110", "-o", options, "start"])
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            found = connection.execute("SELECT FROM pg_database WHERE datname = %s", [DATABASE]).fetchone()
            if found is None:
                connection.execute(
                    f"CREATE DATABASE {DATABASE} TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C.UTF-8'".encode()
                )

    def _forget_dead_server(self) -> None:
        """Remove the lock files of a server that was killed and whose number still exists.

        PostgreSQL takes any living number for the server's: in a container without an init process that of the
        killed server itself, which nobody collects, or after a restart another program's.
        """
        for path in (self.data / "postmaster.pid", self.socket / ".s.PGSQL.5432.lock"):
            try:
                pid = int(path.read_text().split()[0])
            except (OSError, ValueError, IndexError):
                continue
            if not _may_be_postgres(pid):
                path.unlink()

    def _turn_log(self) -> None:
        """Keep one former log, so that years of starts fill no disk."""
        if self.log.exists() and self.log.stat().st_size > MAX_LOG_BYTES:
            self.log.replace(self.log.with_suffix(".log.1"))

    def _settings(self) -> list[str]:
        memory_mib = memory_bytes() // 2**20
        return [
            "listen_addresses=''",
            f"unix_socket_directories={self.socket}",
            "unix_socket_permissions=0700",
            f"shared_buffers={min(2048, max(64, memory_mib // 8))}MB",
            f"effective_cache_size={max(128, memory_mib // 2)}MB",
            "max_connections=200",
            "max_wal_size=4GB",
            "work_mem=16MB",
            "maintenance_work_mem=256MB",
            "random_page_cost=1.1",
            "jit=off",
            "log_line_prefix=%m_[%p]_",
            f"dynamic_shared_memory_type={'mmap' if has_small_shm() else 'posix'}",
        ]

    def stop(self) -> None:
        """Stop the server, ending sessions; what was committed is there at the next start."""
        self._forget_dead_server()
        if (self.data / "postmaster.pid").exists():
            self._run(["pg_ctl", "-D", str(self.data), "-m", "fast", "-w", "-t", "60", "stop"])


def memory_bytes(cgroup: Path = Path("/sys/fs/cgroup")) -> int:
    """Memory of this machine, or of the container that this is."""
    found = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for name in ("memory.max", "memory/memory.limit_in_bytes"):
        try:
            return min(found, int((cgroup / name).read_text()))
        except (OSError, ValueError):  # no such file, or "max"
            continue
    return found


def has_small_shm(folder: Path = Path("/dev/shm")) -> bool:  # noqa: S108
    """True in a container (64 MiB as a rule) where parallel queries would run out of shared memory."""
    try:
        return shutil.disk_usage(folder).total < MIN_SHM_BYTES
    except OSError:
        return True


def make_folder(folder: Path) -> None:
    """Make a folder; where another account is to run PostgreSQL in it, one that this account can enter under any umask."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    if os.geteuid() == 0:
        for path in missing:
            path.chmod(path.stat().st_mode | 0o011)


def _may_be_postgres(pid: int) -> bool:
    """False when the kernel says that this process has ended or is another program."""
    try:
        name, _, rest = Path(f"/proc/{pid}/stat").read_text().partition("(")[2].rpartition(")")
    except FileNotFoundError:
        return not Path("/proc/self/stat").exists()
    return name == "postgres" and rest.split()[0] not in "ZX"


def unwritable(folder: Path, error: OSError) -> SetupProblem:
    """The problem of a data folder that this account cannot write in."""
    return SetupProblem(
        f"{folder} cannot be written ({error.strerror}); set CIM_DATA_DIR to a folder of your own that is short"
    )


def _last_lines(text: str) -> str:
    return " / ".join(text.strip().splitlines()[-3:])[-500:]
