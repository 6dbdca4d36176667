"""The reading child (`loaders.child`) as its parent sees it: spawned, asked, read ahead of the database, ended."""

import queue
import signal
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import orjson

from cim import errors
from cim.errors import CimError, LoadFailed, SourceRefused
from cim.model import Collection
from cim.model.declaration import declaration_of
from cim.settings import Settings
from loaders.base import SourceField, SourceInfo, SourceOptions
from loaders.frames import Frame, read_frame
from loaders.mapping import Mapping
from loaders.sandbox import spawn
from loaders.scratch import scratch

FRAMES_AHEAD = 3


class Child:
    """The reading child as its parent sees it."""

    def __init__(self, process: subprocess.Popen[bytes], head: dict[str, Any], errors_path: Path) -> None:
        self._process = process
        self._head = head
        self._errors_path = errors_path
        self._frames: queue.Queue[Frame | None] = queue.Queue(FRAMES_AHEAD)
        self._is_stopped = threading.Event()

    def _send(self, message: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(orjson.dumps(message) + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # the child is gone; the next frame tells why

    def open(self) -> SourceInfo:
        """Probe the source; raises what the child refused it for."""
        threading.Thread(target=self._pump, daemon=True).start()
        self._send(self._head)
        facts = self._next().head["info"]
        facts["fields"] = tuple(SourceField(**{**f, "samples": tuple(f["samples"])}) for f in facts["fields"])
        return SourceInfo(**{**facts, "layers": tuple(facts["layers"]), "notes": tuple(facts["notes"])})

    def start(
        self, collection: Collection, mapping: Mapping, source: str, run_id: int, areas: Sequence[tuple[str, bytes]]
    ) -> None:
        """Tell the child to read."""
        words = [f"{name}={value}" for name, value in mapping.to_dict().items()]
        self._send(
            {
                "collection": declaration_of(collection),
                "mapping": words,
                "source": source,
                "run_id": run_id,
                "areas": [[code, bytes(wkb).hex()] for code, wkb in areas],
                "batch_rows": self._head["batch_rows"],
            }
        )

    def batches(self) -> Iterator[Frame]:
        """Batches up to the end of the source."""
        while (frame := self._next()).head["type"] != "end":
            yield frame

    def _pump(self) -> None:
        """Read ahead of the database, a few frames at most."""
        assert self._process.stdout is not None
        while not self._is_stopped.is_set():
            frame = read_frame(self._process.stdout)
            self._frames.put(frame)
            if frame is None:
                return

    def _next(self) -> Frame:
        frame = self._frames.get()
        if frame is None:
            raise LoadFailed(self._death())
        if frame.head["type"] == "error":
            raise _raised(frame.head)
        return frame

    def _death(self) -> str:
        code = self._process.wait()
        how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        said = self._errors_path.read_bytes()[-600:].decode("utf-8", "replace").strip().splitlines()
        hint = " (its CPU time or memory was used up)" if code in (-signal.SIGXCPU, -signal.SIGKILL) else ""
        return f"the reading process ended with {how}{hint}: the source may be malformed. {said[-1] if said else ''}".strip()

    def stop(self) -> None:
        """End the child whatever it does."""
        self._is_stopped.set()
        self._process.kill()
        while True:  # let the pump leave its put
            try:
                self._frames.get_nowait()
            except queue.Empty:
                break
        self._process.wait()


def _raised(head: dict[str, Any]) -> CimError:
    """The error the child met, as the class its code names."""
    classes = {c.code: c for c in vars(errors).values() if isinstance(c, type) and issubclass(c, CimError)}
    error = CimError(head["detail"], parameter=head["parameter"], facts=head["facts"])
    error.__class__ = classes.get(head["code"], SourceRefused)
    return error


@contextmanager
def reading(settings: Settings, path: Path, options: SourceOptions, batch_rows: int) -> Iterator[Child]:
    """A confined child that waits to `open` a source; it is ended with the block, whatever it does."""
    with scratch("cim-load-") as folder:
        errors_path = folder / "stderr"
        head = {
            "path": str(path.absolute()),
            "options": asdict(options),
            "batch_rows": batch_rows,
            "scratch": str(folder),
            "memory_bytes": settings.loader_memory_bytes,
            "cpu_s": settings.loader_cpu_s,
            "max_unpacked_bytes": settings.max_unpacked_bytes,
            "max_archive_members": settings.max_archive_members,
        }
        with errors_path.open("wb") as errors_file:
            process = spawn(["-m", "loaders.child"], stderr=errors_file)
        child = Child(process, head, errors_path)
        try:
            yield child
        finally:
            child.stop()
