"""The confinement of a process that reads what strangers sent (catalogue A7, A9, B06, B11).

`spawn` starts a Python child with a scrubbed environment; the child calls `confine` before it imports a native
library or opens the source. Nothing here can be undone by the child.
"""

import ctypes
import os
import platform
import resource
import signal
import struct
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from cim.errors import SetupProblem

ALLOWED_DRIVERS = frozenset({"MEM", "ESRI Shapefile", "GPKG", "FlatGeobuf", "OSM", "OpenFileGDB", "DXF"})
"""Vector drivers of GDAL that stay registered in a child; `loaders.sniff` lets none of the others' content through."""

_SKIPPED_DRIVERS = (
    *("PCIDSK", "PDS4", "VICAR", "PDF", "MBTiles", "EEDA", "EEDAI", "OGCAPI", "GDALG", "MapInfo File", "LVBAG", "S57"),
    *("DGN", "OGR_VRT", "CSV", "GPX", "GeoJSON", "GeoJSONSeq", "ESRIJSON", "TopoJSON", "OGR_GMT", "SQLite", "WAsP"),
    *("GeoRSS", "VFK", "PGDUMP", "GPSBabel", "OGR_PDS", "WFS", "OAPIF", "EDIGEO", "Idrisi", "ODS", "XLSX"),
    *("Elasticsearch", "Carto", "AmigoCloud", "SXF", "Selafin", "JML", "PLSCENES", "CSW", "VDV", "MVT", "NGW"),
    *(
        "LIBKML",
        "KML",
        "GML",
        "MapML",
        "GTFS",
        "PMTiles",
        "JSONFG",
        "MiraMonVector",
        "ADBC",
        "AVCBin",
        "AVCE00",
        "AIVector",
        "HTTP",
    ),
    *("WCS", "WMS", "WMTS", "DAAS", "PLMosaic", "STACIT", "STACTA"),
)

CHILD_SETTINGS = {
    "GDAL_SKIP": ",".join(_SKIPPED_DRIVERS),
    "GDAL_DISABLE_READDIR_ON_OPEN": "TRUE",
    "GDAL_HTTP_TIMEOUT": "1",
    "GDAL_HTTP_MAX_RETRY": "0",
    "GDAL_NUM_THREADS": "1",
    "GDAL_PAM_ENABLED": "NO",
    "GML_DOWNLOAD_SCHEMA": "NO",
    "GML_SKIP_RESOLVE_ELEMS": "ALL",
    "CPL_VSIL_CURL_ALLOWED_EXTENSIONS": "{none}",
    "CPL_VSIL_SHOW_NETWORK_STATS": "NO",
    "OGR_SQLITE_LOAD_EXTENSIONS": "NO",
    "PROJ_NETWORK": "OFF",
    "ARROW_DEFAULT_MEMORY_POOL": "system",
    "MALLOC_ARENA_MAX": "2",
    "OMP_NUM_THREADS": "1",
}
"""Environment of a child's native libraries: no network, few threads (their stacks count as address space)."""

MAX_FILE_BYTES = 8 * 1024**3
MAX_OPEN_FILES = 256

_PASSED_ON = ("PATH", "TMPDIR", "TZ", "LD_LIBRARY_PATH", "SYSTEMROOT")

_PR_SET_PDEATHSIG, _PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS = 1, 22, 38
_CLONE_NEWUSER, _CLONE_NEWNET = 0x10000000, 0x40000000
_EACCES = 13

# socket, ptrace, process_vm_readv, process_vm_writev, io_uring_setup, mount, bpf, userfaultfd, perf_event_open,
# add_key, request_key, keyctl
_DENIED_CALLS = {
    "x86_64": (0xC000003E, (41, 101, 310, 311, 425, 165, 321, 323, 298, 248, 249, 250)),
    "aarch64": (0xC00000B7, (198, 117, 270, 271, 425, 40, 280, 282, 241, 217, 218, 219)),
}


def child_environment() -> dict[str, str]:
    """The environment of a reading child: no database address, no keys, no proxy, only what it needs."""
    passed = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    root = str(Path(__file__).resolve().parent.parent)
    return {
        **passed,
        "PYTHONPATH": root,
        "PYTHONUTF8": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "LC_ALL": "C.UTF-8",
        "HOME": "/nonexistent",
        **CHILD_SETTINGS,
    }


def spawn(module_args: Sequence[str], *, stderr: IO[bytes] | int | None = None) -> subprocess.Popen[bytes]:
    """A child `python <module_args>` with pipes on its standard input and output, in a session of its own.

    The caller stays its parent: the child dies with the thread that called this (`confine`).
    """
    return subprocess.Popen(
        [sys.executable, "-s", *module_args],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=stderr,
        env=child_environment(),
        start_new_session=True,
        close_fds=True,
    )


def confine(memory_bytes: int, cpu_s: int, *, file_bytes: int = MAX_FILE_BYTES) -> list[str]:
    """Give up memory, CPU time, network and privileges for good; tells what could be had, one line each.

    Call it in a process of one thread. Raises SetupProblem where neither a network namespace nor a seccomp
    filter can be had: nothing foreign is parsed without one of them.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    os.environ.update(CHILD_SETTINGS)
    notes = [_limit(memory_bytes, cpu_s, file_bytes), _die_with_parent(libc)]
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    namespace = _leave_network(libc)
    denied = _deny_calls(libc)
    if namespace is None and denied is None:
        raise SetupProblem(
            "the reading process cannot be cut off from the network here (no namespace, no seccomp); "
            "run on Linux 4.8 or later, or allow user namespaces: sysctl -w user.max_user_namespaces=10000"
        )
    notes.append(namespace or "no network namespace could be had")
    notes.append(denied or "no seccomp filter could be had")
    return notes


def _limit(memory_bytes: int, cpu_s: int, file_bytes: int) -> str:
    def cap(what: int, soft: int, hard: int) -> None:
        """Lower a limit; one that is lower already stays."""
        current = resource.getrlimit(what)[1]
        if current != resource.RLIM_INFINITY:
            soft, hard = min(soft, current), min(hard, current)
        resource.setrlimit(what, (soft, hard))

    cap(resource.RLIMIT_AS, memory_bytes, memory_bytes)
    cap(resource.RLIMIT_CPU, cpu_s, cpu_s + 5)
    cap(resource.RLIMIT_FSIZE, file_bytes, file_bytes)
    cap(resource.RLIMIT_NOFILE, MAX_OPEN_FILES, MAX_OPEN_FILES)
    cap(resource.RLIMIT_CORE, 0, 0)
    return f"limits: {memory_bytes // 2**20} MiB memory, {cpu_s} s CPU, {MAX_OPEN_FILES} open files, no core"


def _die_with_parent(libc: ctypes.CDLL) -> str:
    # a parent that ended before this call leaves an end of file on standard input, which ends the child too
    libc.prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    return "dies with its parent"


def _leave_network(libc: ctypes.CDLL) -> str | None:
    """A new, empty network namespace; ordinary users get it inside a new user namespace."""
    if libc.unshare(_CLONE_NEWNET) == 0:
        return "own network namespace"
    user, group = os.geteuid(), os.getegid()
    if libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET) != 0:
        return None
    for name, text in (("setgroups", "deny"), ("uid_map", f"{user} {user} 1"), ("gid_map", f"{group} {group} 1")):
        try:
            Path("/proc/self", name).write_text(text)
        except OSError:
            return "own network and user namespace (ids not mapped)"
    return "own network and user namespace"


def _deny_calls(libc: ctypes.CDLL) -> str | None:
    """A seccomp filter: no socket of any family (also not the database's), no tracing, no mounts."""
    known = _DENIED_CALLS.get(platform.machine())
    if known is None:
        return None
    program = _filter_program(*known)
    code = ctypes.create_string_buffer(program, len(program))
    head = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(code)), 16)
    if libc.prctl(_PR_SET_SECCOMP, 2, ctypes.byref(head), 0, 0) != 0:
        return None
    return "no sockets, no tracing (seccomp)"


def _filter_program(architecture: int, calls: Sequence[int]) -> bytes:
    """Classic BPF over struct seccomp_data (number at 0, architecture at 4): see seccomp(2)."""
    load, equal, at_least, answer = 0x20, 0x15, 0x35, 0x06
    allow, refuse, kill = 0x7FFF0000, 0x00050000 | _EACCES, 0x80000000
    lines: list[tuple[int, int, int, int]] = [
        (load, 0, 0, 4),
        (equal, 1, 0, architecture),
        (answer, 0, 0, kill),
        (load, 0, 0, 0),
        (at_least, len(calls) + 1, 0, 0x40000000),
    ]
    lines += [(equal, len(calls) - index, 0, number) for index, number in enumerate(calls)]
    lines += [(answer, 0, 0, allow), (answer, 0, 0, refuse)]
    return b"".join(struct.pack("HBBI", *line) for line in lines)
