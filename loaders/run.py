"""One load, from a path to an account: the only caller of `cim.db.ingest`."""

import hashlib
import re
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

import orjson
import psycopg
from psycopg.types.json import Jsonb

from cim.collections import BUILTIN
from cim.db.account import Account
from cim.db.areas import areas_for_tagging
from cim.db.indexes import prepare
from cim.db.ingest import BatchRows, Ingest, dry
from cim.db.load_runs import RunRequest
from cim.db.registry_write import find_collection, register
from cim.errors import InvalidParameter, LoadFailed, NotFound, SourceRefused
from cim.model import Collection
from cim.settings import Settings
from loaders.base import BATCH_ROWS, MAX_CHOICES, SourceInfo, SourceOptions
from loaders.dataset import collection_of, dataset_id
from loaders.frames import Frame
from loaders.mapping import Mapping, guess, merged, parse
from loaders.reading import Child, reading

KINDS = (*(c.kind for c in BUILTIN), "dataset")
"""What `cim load` takes as KIND."""


@dataclass(frozen=True, slots=True)
class LoadRequest:
    """What a user asks for. `map_words` are `--map` words; `source` None takes a key from the file's name."""

    kind: str
    path: Path
    options: SourceOptions = field(default_factory=SourceOptions)
    collection_id: str | None = None
    source: str | None = None
    map_words: tuple[str, ...] = ()
    is_replacing: bool = False
    is_dry: bool = False
    licence: str | None = None
    attribution: str | None = None
    loaded_by: str = "cli"
    job_id: int | None = None
    batch_rows: int = BATCH_ROWS


@dataclass(frozen=True, slots=True)
class Opened:
    """What is known before a row is read: for showing the mapping with samples."""

    info: SourceInfo
    collection: Collection
    mapping: Mapping
    source: str
    mapping_from: str


class Watcher(Protocol):
    """Told how a load goes on; the command line draws it."""

    def opened(self, opened: Opened) -> None:
        """The source is open and the mapping decided."""

    def resumed(self, batches: int) -> None:
        """An earlier try has committed this many batches, which are skipped."""

    def advanced(self, rows_read: int) -> None:
        """This many more rows are read and accounted for."""


class Unwatched:
    """A Watcher for loads that nobody looks at."""

    def opened(self, opened: Opened) -> None:
        """Nothing."""

    def resumed(self, batches: int) -> None:
        """Nothing."""

    def advanced(self, rows_read: int) -> None:
        """Nothing."""


def source_key(path: Path) -> str:
    """A key `[a-z0-9_-]+` from a file's name; names that lose characters get a piece of their hash."""
    stem = path.name
    for _ in range(3):
        stem = re.sub(r"\.[A-Za-z0-9]{1,9}$", "", stem)
    plain = re.sub(r"[^a-z0-9_-]+", "-", stem.lower()).strip("-")
    if not stem.isascii() or not plain:
        plain = f"{plain or 'source'}-{hashlib.sha256(stem.encode()).hexdigest()[:6]}"
    return plain[:60]


def source_of(request: LoadRequest) -> str:
    """The key of a request's source. Raises InvalidParameter for a stated one that is none."""
    source = request.source or source_key(request.path)
    if not re.fullmatch(r"[a-z0-9_-]{1,60}", source):
        raise InvalidParameter("source", source, "1 to 60 of a-z, 0-9, _ and -")
    return source


def fingerprint(path: Path) -> str:
    """sha256 over the bytes of a file, of a shapefile's parts, or of every file in a folder with its name."""
    digest = hashlib.sha256()
    if path.is_dir():
        parts = sorted(p for p in path.rglob("*") if p.is_file())
    elif path.suffix.lower() == ".shp":
        parts = sorted(p for p in path.parent.iterdir() if p.stem == path.stem and p.suffix.lower() in _SHAPE_PARTS)
    else:
        parts = [path]
    for part in parts:
        if len(parts) > 1:
            digest.update(str(part.relative_to(path if path.is_dir() else path.parent)).encode() + b"\x00")
        with part.open("rb") as source:
            while piece := source.read(1 << 20):
                digest.update(piece)
    return digest.hexdigest()


_SHAPE_PARTS = {".shp", ".dbf", ".shx", ".prj", ".cpg"}


def load_source(
    connection: psycopg.Connection[Any], settings: Settings, request: LoadRequest, watcher: Watcher | None = None
) -> Account:
    """Load one source through the sandboxed child; gives the account of the run.

    `connection` is in autocommit mode and used by nobody else meanwhile. Raises SourceRefused and its kin when
    nothing can be read, LoadBusy when the source is being loaded, LoadFailed when the reading stopped in the
    middle: what is stored stays, and the same request goes on there.
    """
    watcher = watcher or Unwatched()
    if request.kind not in KINDS:
        raise InvalidParameter("kind", request.kind, f"one of {', '.join(KINDS)}")
    if not request.path.exists():
        raise NotFound("file or folder", request.path.name)
    source = source_of(request)
    try:
        with (
            reading(settings, request.path, request.options, request.batch_rows) as child,
            ThreadPoolExecutor(1) as beside,
            dry(connection) if request.is_dry else nullcontext(),
        ):
            digest = beside.submit(fingerprint, request.path)  # while the child starts
            beside.submit(prepare)
            info = child.open()
            collection = _collection(connection, request, info)
            _check_place(request, collection, info)
            mapping, mapping_from = _mapping(connection, request, collection, info)
            watcher.opened(Opened(info, collection, mapping, source, mapping_from))
            account = _merge_all(
                connection,
                child,
                _run_request(request, collection, info, mapping, source, digest.result()),
                info,
                mapping,
                watcher,
            )
            if not request.is_dry:
                _after(connection, request, collection, info, mapping)
            return account
    except psycopg.OperationalError as error:
        raise LoadFailed(
            "the database went away; what was committed is stored, and the same command goes on there"
        ) from error


def _check_place(request: LoadRequest, collection: Collection, info: SourceInfo) -> None:
    if info.geometry_type is None and collection.needs_geometry:
        raise SourceRefused(
            f"{request.path.name} has no place: no column of longitude and latitude or WKT was recognised among "
            f"{', '.join(f.name for f in info.fields[:30])}; name them by --lon and --lat, or --wkt. "
            f"{collection.title_en} need one; a table without a place is kept by: cim load dataset",
            parameter="lon",
            facts={"choices": [f.name for f in info.fields[:MAX_CHOICES]]},
        )


def _run_request(
    request: LoadRequest, collection: Collection, info: SourceInfo, mapping: Mapping, source: str, digest: str
) -> RunRequest:
    stated = {name: value for name, value in asdict(request.options).items() if value is not None and name != "crs"}
    return RunRequest(
        collection=collection,
        source=source,
        origin=request.path.name if request.job_id else str(request.path),
        fingerprint=digest,
        options={
            "map": mapping.to_dict(),
            "driver": info.driver,
            "crs": info.crs,
            "batch_rows": request.batch_rows,
            **stated,
        },
        loaded_by=request.loaded_by,
        mode="replace" if request.is_replacing else "merge",
        licence=request.licence or info.licence,
        attribution=request.attribution or info.attribution,
        is_dry=request.is_dry,
        job_id=request.job_id,
    )


def _merge_all(
    connection: psycopg.Connection[Any],
    child: Child,
    run: RunRequest,
    info: SourceInfo,
    mapping: Mapping,
    watcher: Watcher,
) -> Account:
    """Take every batch of the child into the database."""
    with Ingest(connection, run) as ingest:
        if ingest.done_batches:
            watcher.resumed(ingest.done_batches)
        areas = [] if run.collection.kind == "areas" else areas_for_tagging(connection)
        child.start(run.collection, mapping, run.source, ingest.run_id, areas)
        ingest.expect(info.feature_count)
        notes = dict.fromkeys(info.notes)
        for frame in child.batches():
            notes.update(dict.fromkeys(frame.head["notes"]))
            ingest.take(_batch(frame))
            ingest.keep_stac_collections(frame.head["stac_collections"])
            watcher.advanced(frame.head["read"])
        ingest.note(list(notes))
        return ingest.complete()


def _batch(frame: Frame) -> BatchRows:
    head = frame.head
    bounds = head["bounds"]
    return BatchRows(
        number=head["number"],
        read=head["read"],
        accepted=head["accepted"],
        repaired=head["repaired"],
        rejections=head["rejections"],
        bounds=(bounds[0], bounds[1], bounds[2], bounds[3]) if bounds else None,
        block=frame.block,
    )


def _collection(connection: psycopg.Connection[Any], request: LoadRequest, info: SourceInfo) -> Collection:
    """The collection that the rows go to; a dataset's own is made where there is none."""
    builtin = next((c for c in BUILTIN if c.kind == request.kind), None)
    if builtin is not None:
        if request.collection_id not in (None, builtin.id):
            raise InvalidParameter(
                "collection", request.collection_id, f"{request.kind} go to the collection '{builtin.id}'"
            )
        return find_collection(connection, builtin.id) or builtin
    wanted = request.collection_id or dataset_id(source_key(request.path))
    existing = find_collection(connection, wanted)
    if existing is not None:
        if existing.kind != "dataset":
            raise InvalidParameter(
                "collection", wanted, f"'{wanted}' is built in; choose another id or load kind {existing.kind}"
            )
        return existing
    made = collection_of(
        wanted, info, title=request.path.stem, licence=request.licence, attribution=request.attribution
    )
    register(connection, made)
    return made


def _mapping(
    connection: psycopg.Connection[Any], request: LoadRequest, collection: Collection, info: SourceInfo
) -> tuple[Mapping, str]:
    """The mapping and where it is from: stated words win over a saved mapping, that over the guess."""
    stated = parse(request.map_words, collection, info)
    saved = None
    if not request.map_words:
        row = connection.execute(
            "SELECT mapping FROM cim.mapping WHERE kind = %s AND fields = %s",
            [_mapping_kind(request, collection), _field_key(info)],
        ).fetchone()
        saved = parse([f"{name}={value}" for name, value in row[0].items()], collection, info) if row else None
    if saved is not None:
        return saved, "saved"
    return merged(guess(collection, info), stated), "stated and guessed" if request.map_words else "guessed"


def _mapping_kind(request: LoadRequest, collection: Collection) -> str:
    return request.kind if request.kind != "dataset" else f"dataset/{collection.id}"


def _field_key(info: SourceInfo) -> str:
    return orjson.dumps(sorted(f.name for f in info.fields)).decode()


def _after(
    connection: psycopg.Connection[Any],
    request: LoadRequest,
    collection: Collection,
    info: SourceInfo,
    mapping: Mapping,
) -> None:
    if request.map_words:
        connection.execute(
            "INSERT INTO cim.mapping (kind, fields, mapping) VALUES (%s, %s, %s) ON CONFLICT (kind, fields) "
            "DO UPDATE SET mapping = EXCLUDED.mapping, saved_at = now()",
            [_mapping_kind(request, collection), _field_key(info), Jsonb(mapping.to_dict())],
        )
