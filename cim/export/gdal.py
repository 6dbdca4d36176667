"""GeoPackage, FlatGeobuf and Shapefile, written by GDAL from a stream of Arrow batches."""

import tempfile
import zipfile
from pathlib import Path

import pyarrow as pa
import pyogrio

from cim.errors import NotWritable
from cim.export.arrow import field_names, record_batches, schema_of
from cim.export.request import Column, ExportRequest
from cim.export.rows import Source

_SHAPES = {
    "Point": {"POINT"},
    "MultiPoint": {"MULTIPOINT"},
    "LineString": {"LINESTRING", "MULTILINESTRING"},
    "Polygon": {"POLYGON", "MULTIPOLYGON"},
}
"""Type of a shapefile → what it holds."""

DBF_NAME_BYTES = 10


def write_geopackage(source: Source, request: ExportRequest, path: Path) -> None:
    """One layer, named after the collection."""
    names = field_names(request)
    fid = next(n for n in ("fid", "ogc_fid", "fid_2", "fid_3") if n not in {name.casefold() for name in names})
    _write(source, request, names, path, "GPKG", request.geometry_type, {"FID": fid})


def write_flatgeobuf(source: Source, request: ExportRequest, path: Path) -> None:
    """With its spatial index, which takes no feature without a geometry; one geometry type, or Unknown for several."""
    types, has_none = source.geometry_types()
    declared = request.geometry_type
    kind = declared if types <= {declared.upper()} else "Unknown"
    options = {"SPATIAL_INDEX": "NO" if has_none else "YES", "TEMPORARY_DIR": str(path.parent)}
    _write(source, request, field_names(request), path, "FlatGeobuf", kind, options)


def write_shapefile(source: Source, request: ExportRequest, path: Path) -> None:
    """A zip of .shp, .shx, .dbf, .prj, .cpg and `fields.txt`. Raises NotWritable for geometries of several kinds."""
    types, _ = source.geometry_types()
    kind = next((kind for kind, held in _SHAPES.items() if types <= held), None)
    if kind is None:
        raise NotWritable(
            f"a shapefile holds one kind of geometry, and these features have {', '.join(sorted(types))}; "
            "ask for f=gpkg, f=fgb or f=parquet"
        )
    names = dbf_names(["id", *(column.name for column in request.columns)])
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        stem = Path(folder) / request.collection
        options = {"ENCODING": "UTF-8", "2GB_LIMIT": "YES"}
        schema_names = (*names, "geometry")
        _write(source, request, schema_names, stem.with_suffix(".shp"), "ESRI Shapefile", kind, options)
        stem.with_name("fields.txt").write_text(fields_text(request.columns, names), encoding="utf-8")
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=4) as archive:
            for part in sorted(Path(folder).iterdir()):
                archive.write(part, part.name)
                part.unlink()


def _write(
    source: Source,
    request: ExportRequest,
    names: tuple[str, ...],
    path: Path,
    driver: str,
    geometry_type: str,
    options: dict[str, str],
) -> None:
    schema = schema_of(request, names, has_instants=driver != "ESRI Shapefile")
    reader = pa.RecordBatchReader.from_batches(schema, record_batches(source, schema))
    pyogrio.write_arrow(
        reader,
        str(path),
        layer=request.collection,
        driver=driver,
        geometry_name=names[-1],
        geometry_type="Unknown" if geometry_type == "Geometry" else geometry_type,
        crs=f"EPSG:{request.srid}",
        layer_options=options,
    )


def dbf_names(names: list[str]) -> tuple[str, ...]:
    """Names of at most ten bytes of UTF-8, none like another."""
    taken: set[str] = set()
    short = []
    for name in names:
        cut, number = _cut(name, DBF_NAME_BYTES), 1
        while cut.casefold() in taken:
            number += 1
            cut = _cut(name, DBF_NAME_BYTES - len(f"_{number}")) + f"_{number}"
        taken.add(cut.casefold())
        short.append(cut)
    return tuple(short)


def _cut(name: str, size: int) -> str:
    return name.encode()[:size].decode("utf-8", "ignore")


def fields_text(columns: tuple[Column, ...], names: tuple[str, ...]) -> str:
    """What each field of the table is: a shapefile's names have ten bytes, its texts 254."""
    head = (
        "A shapefile's field names have at most 10 bytes and its texts at most 254; this is what the fields are.\n"
        "Instants are texts in UTC. 字段名最多 10 字节，文本最多 254 字节；各字段含义如下。\n\n"
    )
    lines = [f"{names[0]}\tid\t要素编号\tId of the feature\t"]
    for short, column in zip(names[1:], columns, strict=True):
        lines.append(f"{short}\t{column.name}\t{column.title_zh}\t{column.title_en}\t{column.unit or ''}")
    return head + "field\tproperty\t名称\ttitle\tunit\n" + "\n".join(lines) + "\n"
