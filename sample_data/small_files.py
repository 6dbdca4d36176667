"""The committed files of `sample_data/files`: one small city in every format that the loaders take.

`python -m sample_data.small_files [FOLDER]` writes them again. Field names differ from file to file on purpose, as
they do in real life: Chinese, OpenStreetMap's, Overture's and our own.
"""

import csv
import io
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pyogrio
import rasterio.shutil
import shapely
import xlsxwriter

from cim.collections.buildings import STATUSES, USES
from cim.collections.sensors import SENSOR_KINDS
from sample_data.generate import write_city
from sample_data.geoparquet import GEOMETRY
from sample_data.plan import CityPlan, plan_city
from sample_data.plane import Floats

FOLDER = Path(__file__).parent / "files"
CHINA = timezone(timedelta(hours=8))
FIXED_TIME = datetime(2026, 11, 1, tzinfo=UTC)
"""Put where a format writes the time of writing, so that the bytes stay the same."""

COPIED = ("areas.geojson", "buildings.parquet", "organisations.yaml", "services.yaml", "imagery", "stac")

Row = dict[str, Any]


def small_plan() -> CityPlan:
    """The plan of the committed files."""
    return plan_city(120, 150, 40)


def write_files(folder: Path) -> None:
    """All files into `folder`, which is emptied first."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as scratch:
        city = Path(scratch)
        write_city(small_plan(), city)
        for name in COPIED:
            if (city / name).is_dir():
                shutil.copytree(city / name, folder / name)
            else:
                shutil.copyfile(city / name, folder / name)
        write_jp2(folder / "overview_2026.jp2", city / "imagery" / "overview_2026.tif")
        buildings = pq.read_table(city / "buildings.parquet")
        _write_buildings(folder, buildings)
        sensors = pq.read_table(city / "sensors.parquet")
        write_sensors_csv(folder / "sensors.csv", sensors)
        write_sensors_xlsx(folder / "sensors.xlsx", sensors)
        write_cameras_csv(folder / "cameras_wkt.csv", pq.read_table(city / "cameras.parquet"))


def write_jp2(path: Path, scene: Path) -> None:
    """A scene as lossless JPEG 2000, which keeps its place but not its time."""
    rasterio.shutil.copy(scene, path, driver="JP2OpenJPEG", QUALITY="100", REVERSIBLE="YES", YCBCR420="NO")
    path.with_name(path.name + ".aux.xml").unlink(missing_ok=True)


def _write_buildings(folder: Path, table: pa.Table) -> None:
    rows, shapes = table.drop([GEOMETRY]).to_pylist(), table.column(GEOMETRY).to_pylist()

    def write(name: str, driver: str, fields: Row, **options: Any) -> None:
        pyogrio.write_arrow(
            _fields(rows, shapes, fields),
            folder / name,
            layer="buildings",
            driver=driver,
            geometry_name=GEOMETRY,
            geometry_type="Polygon",
            crs="EPSG:4326",
            **options,
        )

    write("buildings.geojson", "GeoJSON", OPENSTREETMAP, RFC7946="YES")
    write("buildings.geojsonl", "GeoJSONSeq", OVERTURE, COORDINATE_PRECISION=7)
    write("buildings.fgb", "FlatGeobuf", ENGLISH)
    write("buildings.kml", "LIBKML", KML)
    write("buildings.gpkg", "GPKG", CHINESE, GEOMETRY_NAME="geom")
    _write_shapefile(folder / "buildings_shp.zip", rows, shapes)


OPENSTREETMAP: Row = {
    "id": lambda r: r["id"],
    "name": lambda r: r["name"],
    "name:en": lambda r: r["name_en"],
    "addr:full": lambda r: r["address"],
    "building": lambda r: {"residential": "apartments", "commercial": "retail", "education": "school"}.get(
        r["use"], r["use"]
    ),
    "building:levels": lambda r: r["floors_above"],
    "building:levels:underground": lambda r: r["floors_below"],
    "height": lambda r: r["height_m"],
}
OVERTURE: Row = {
    "id": lambda r: r["id"],
    "class": lambda r: r["use"],
    "height": lambda r: r["height_m"],
    "num_floors": lambda r: r["floors_above"],
}
ENGLISH: Row = {
    "UID": lambda r: r["id"],
    "Name": lambda r: r["name_en"],
    "building_use": lambda r: USES[r["use"]][1],
    "floors": lambda r: r["floors_above"],
    "construction_year": lambda r: r["year_built"],
}
KML: Row = {
    "id": lambda r: r["id"],
    "Name": lambda r: r["name"],
    "建筑用途": lambda r: USES[r["use"]][0],
    "楼层": lambda r: r["floors_above"],
    "建筑高度": lambda r: r["height_m"],
}
CHINESE: Row = {
    "编号": lambda r: r["id"],
    "建筑名称": lambda r: r["name"],
    "英文名称": lambda r: r["name_en"],
    "门牌地址": lambda r: r["address"],
    "使用性质": lambda r: USES[r["use"]][0],
    "建筑高度": lambda r: r["height_m"],
    "地上层数": lambda r: r["floors_above"],
    "地下层数": lambda r: r["floors_below"],
    "建成年份": lambda r: r["year_built"],
    "建设状态": lambda r: STATUSES[r["status"]][0],
    "规划日期": lambda r: r["planned_on"],
    "批准日期": lambda r: r["approved_on"],
    "开工日期": lambda r: r["construction_started_on"],
    "竣工日期": lambda r: r["completed_on"],
    "拆除日期": lambda r: r["demolished_on"],
}
SHAPEFILE: Row = {
    "编号": lambda r: r["id"],
    "名称": lambda r: r["name"],
    "用途": lambda r: USES[r["use"]][0],
    "层数": lambda r: r["floors_above"],
    "高度": lambda r: r["height_m"],
    "建成年代": lambda r: r["year_built"],
}
"""Field → how it is had from a row of ours. A dBASE field name has 10 bytes: four characters in GBK."""


def _fields(rows: list[Row], shapes: list[bytes], fields: Row) -> pa.Table:
    """The fields picked from our rows; one without any value is one of dates."""
    narrow = {pa.null(): pa.date32(), pa.int64(): pa.int32()}
    columns = {field: pa.array([pick(row) for row in rows]) for field, pick in fields.items()}
    typed = {field: column.cast(narrow.get(column.type, column.type)) for field, column in columns.items()}
    return pa.table({**typed, GEOMETRY: pa.array(shapes, pa.binary())})


def _write_shapefile(path: Path, rows: list[Row], shapes: list[bytes]) -> None:
    """A zipped shapefile with names and values in GBK, as surveyors deliver them."""
    with tempfile.TemporaryDirectory() as scratch:
        stem = Path(scratch) / "建筑物.shp"
        pyogrio.write_arrow(
            _fields(rows, shapes, SHAPEFILE),
            stem,
            driver="ESRI Shapefile",
            geometry_name=GEOMETRY,
            geometry_type="Polygon",
            crs="EPSG:4326",
            encoding="GBK",
            DBF_DATE_LAST_UPDATE="2026-11-01",
        )
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for member in sorted(Path(scratch).iterdir()):
                info = zipfile.ZipInfo(member.name, FIXED_TIME.timetuple()[:6])
                info.compress_type = zipfile.ZIP_DEFLATED
                archive.writestr(info, member.read_bytes())


def _points(table: pa.Table) -> Floats:
    points: Floats = shapely.get_coordinates(shapely.from_wkb(table.column(GEOMETRY).to_numpy(zero_copy_only=False)))
    return points


def _local(moment: datetime) -> str:
    return moment.astimezone(CHINA).isoformat(timespec="seconds")


def write_sensors_csv(path: Path, table: pa.Table) -> None:
    """Chinese headers, UTF-8 with a byte-order mark, longitude and latitude: what Excel in China writes."""
    head = [
        "设备编号",
        "设备名称",
        "设备类型",
        "监测项",
        "单位",
        "管理单位",
        "运行状态",
        "经度",
        "纬度",
        "安装日期",
        "监测值",
        "监测时间",
    ]
    status = {"active": "正常", "faulty": "离线", "retired": "停用"}
    rows = [
        (
            *(r["id"], r["name"], SENSOR_KINDS[r["kind"]][0], r["observed_property"], r["unit_of_measurement"]),
            *(r["operator"], status[r["status"]], f"{lon:.7f}", f"{lat:.7f}", r["installed_on"]),
            *(r["latest_result"], _local(r["latest_time"])),
        )
        for r, (lon, lat) in zip(table.to_pylist(), _points(table), strict=True)
    ]
    path.write_text(_csv(head, rows), encoding="utf-8-sig", newline="")


def write_sensors_xlsx(path: Path, table: pa.Table) -> None:
    """English headers, dates as Excel dates, one sheet."""
    head = ["id", "name", "sensor type", "observed property", "unit", "owner", "status", "longitude", "latitude"]
    head += ["install date", "value", "datetime"]
    with xlsxwriter.Workbook(path, {"remove_timezone": True}) as book:
        book.set_properties({"created": FIXED_TIME.replace(tzinfo=None), "title": "Sensors of the sample city"})
        sheet = book.add_worksheet("sensors")
        day = book.add_format({"num_format": "yyyy-mm-dd"})
        sheet.write_row(0, 0, head)
        for number, (r, (lon, lat)) in enumerate(zip(table.to_pylist(), _points(table), strict=True), start=1):
            kind, installed = SENSOR_KINDS[r["kind"]][1], r["installed_on"]
            sheet.write_row(number, 0, [r["id"], r["name"], kind, r["observed_property"], r["unit_of_measurement"]])
            sheet.write_row(number, 5, [r["operator"], r["status"], round(lon, 7), round(lat, 7)])
            sheet.write_datetime(number, 9, datetime(installed.year, installed.month, installed.day), day)
            sheet.write_row(number, 10, [r["latest_result"], _local(r["latest_time"])])


def write_cameras_csv(path: Path, table: pa.Table) -> None:
    """The place as EWKT, which states its CRS; semicolons between fields."""
    head = ["id", "title", "camera type", "bearing", "fov", "range", "owner", "status", "install date", "wkt"]
    rows = [
        (
            *(r["id"], r["name"], r["kind"], r["direction_deg"], r["field_of_view_deg"], r["range_m"], r["operator"]),
            *(r["status"], r["installed_on"], f"SRID=4326;POINT ({lon:.7f} {lat:.7f})"),
        )
        for r, (lon, lat) in zip(table.to_pylist(), _points(table), strict=True)
    ]
    path.write_text(_csv(head, rows, delimiter=";"), encoding="utf-8", newline="")


def _csv(head: list[str], rows: Iterable[tuple[str | float | date | None, ...]], *, delimiter: str = ",") -> str:
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter, lineterminator="\r\n")
    writer.writerow(head)
    writer.writerows(rows)
    return text.getvalue()


if __name__ == "__main__":
    write_files(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER)
