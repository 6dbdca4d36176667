"""Images become rows of imagery: where they have data, what their bands are, when they were taken."""

import json
from datetime import UTC, datetime

import numpy as np
import pyproj
import pytest
import rasterio
import shapely
from rasterio.control import GroundControlPoint
from rasterio.transform import from_origin
from rasterio.warp import transform_bounds

from cim.errors import SourceRefused
from tests.formats.reading import read
from tests.imagery.images import write

# file, columns, rows, bands, data type, CRS, nodata: the table of the data's own README
REAL = [
    ("RGB.byte.tif", 791, 718, 3, "uint8", "EPSG:32618", 0.0),
    ("cog.tif", 2658, 2667, 1, "uint16", "EPSG:32621", None),
    ("cog_nodata.tif", 2658, 2667, 1, "uint16", "EPSG:32621", 1.0),
    ("cog_scale_stats.tif", 256, 256, 2, "int16", None, 0.0),
    ("shade.tif", 1024, 1024, 1, "uint8", "EPSG:3857", 255.0),
    ("usda_naip_512_deflate_z2.tif", 1024, 2048, 4, "uint8", "EPSG:3857", None),
    ("web.tif", 1024, 1024, 1, "uint16", "EPSG:3857", 0.0),
]
COGS = {"cog.tif", "cog_nodata.tif", "cog_scale_stats.tif", "usda_naip_512_deflate_z2.tif", "web.tif"}


def row_of(path, **options):
    reading = read(path, **options)
    assert (len(reading.records), reading.rejections) == (1, [])
    return reading.records[0], reading.geometry[0], reading


@pytest.mark.parametrize(("name", "width", "height", "bands", "dtype", "crs", "nodata"), REAL)
def test_real_images_have_the_size_bands_and_crs_of_their_table(
    shared_data, name, width, height, bands, dtype, crs, nodata
):
    row, footprint, reading = row_of(shared_data / "imagery" / name)
    assert (reading.loader, reading.info.crs, row["id"]) == ("GeoTIFF / COG / JPEG 2000", "EPSG:4326", name)
    assert (row["width"], row["height"]) == (width, height)
    assert [(b["data_type"], b.get("nodata")) for b in json.loads(row["bands"])] == [(dtype, nodata)] * bands
    assert row["crs"] == crs if crs else "unnamed" in row["crs"]
    assert row["datetime"] is None
    assert "no time in the metadata or the file name: datetime is empty" in reading.info.notes
    assert shapely.is_valid(footprint)
    asset = json.loads(row["assets"])["data"]
    assert asset["href"] == name
    assert ("profile=cloud-optimized" in asset["type"]) == (name in COGS)


def test_an_image_that_is_valid_everywhere_has_the_bounds_that_rasterio_gives(shared_data):
    path = shared_data / "imagery" / "cog.tif"
    _, footprint, _ = row_of(path)
    with rasterio.open(path) as image:
        expected = transform_bounds(image.crs, "EPSG:4326", *image.bounds, densify_pts=21)
        assert image.dataset_mask().all()
    assert footprint.bounds == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("name", ["RGB.byte.tif", "cog_nodata.tif", "web.tif", "usda_naip_512_deflate_z2.tif"])
def test_the_footprint_covers_the_valid_pixels_and_little_else(shared_data, name):
    """Compared with a mask read at full size: at most 2 % of the valid pixels outside, area within 2.5 %."""
    _, footprint, _ = row_of(shared_data / "imagery" / name)
    with rasterio.open(shared_data / "imagery" / name) as image:
        mask = image.dataset_mask() > 0
        rows, columns = np.nonzero(mask)
        picked = np.random.default_rng(5).choice(len(rows), 4000)
        x, y = image.transform @ (columns[picked] + 0.5, rows[picked] + 0.5)
        lon, lat = pyproj.Transformer.from_crs(image.crs, "EPSG:4326", always_xy=True).transform(x, y)
        back = pyproj.Transformer.from_crs("EPSG:4326", image.crs, always_xy=True)
        on_map = shapely.transform(footprint, lambda p: np.column_stack(back.transform(p[:, 0], p[:, 1])))
        pixel = abs(image.transform.determinant)
    assert shapely.contains_xy(footprint, lon, lat).mean() > 0.98
    assert on_map.area == pytest.approx(mask.sum() * pixel, rel=0.025)


def test_ragged_data_is_outlined_with_its_gaps_closed(shared_data):
    """A hillshade whose nodata value is also its brightest one: 12 % valid, in thousands of pieces."""
    _, footprint, reading = row_of(shared_data / "imagery" / "shade.tif")
    assert shapely.get_num_coordinates(footprint) < 3000
    assert any("the valid data is ragged" in note for note in reading.info.notes)
    with rasterio.open(shared_data / "imagery" / "shade.tif") as image:
        share = (image.dataset_mask() > 0).mean()
        whole = shapely.box(*transform_bounds(image.crs, "EPSG:4326", *image.bounds))
    assert footprint.area / whole.area == pytest.approx(share, rel=0.07)


def test_resolution_is_in_metres_on_the_ground(shared_data, tmp_path):
    nominal, _, _ = row_of(shared_data / "imagery" / "cog.tif")
    assert nominal["gsd_m"] == pytest.approx(100.011, abs=0.001)
    mercator, _, _ = row_of(shared_data / "imagery" / "usda_naip_512_deflate_z2.tif")
    # pixels of 0.597 m at the equator; the scale of Mercator at 41.969° N
    assert mercator["gsd_m"] == pytest.approx(0.59716428 * np.cos(np.radians(41.969)), rel=0.005)
    degrees, _, _ = row_of(
        write(tmp_path / "geographic.tif", crs="EPSG:4490", transform=from_origin(114, 22.5, 1e-4, 1e-4))
    )
    assert degrees["crs"] == "EPSG:4490"
    # the mean of 111.3 m · cos 22.5° and 110.7 m per 0.001°
    assert degrees["gsd_m"] == pytest.approx((11.132 * np.cos(np.radians(22.5)) + 11.074) / 2, rel=0.002)


def test_scale_offset_and_band_names_are_kept(shared_data, tmp_path):
    row, _, _ = row_of(shared_data / "imagery" / "cog_scale_stats.tif")
    assert [(b["scale"], b["offset"]) for b in json.loads(row["bands"])] == [(0.0001, 1000.0), (0.001, 2000.0)]
    path = write(tmp_path / "named.tif")
    with rasterio.open(path, "r+") as image:
        image.set_band_description(1, "近红外")
    assert json.loads(row_of(path)[0]["bands"])[0]["name"] == "近红外"


@pytest.mark.parametrize(
    ("name", "tags", "timezone", "expected"),
    [
        ("scene_20180615.tif", {}, None, datetime(2018, 6, 15, tzinfo=UTC)),
        ("S2_2018-06-15_B04.tif", {}, None, datetime(2018, 6, 15, tzinfo=UTC)),
        ("GF2_20180615T032105.tif", {}, None, datetime(2018, 6, 15, 3, 21, 5, tzinfo=UTC)),
        ("GF2_20180615T032105.tif", {}, "Asia/Shanghai", datetime(2018, 6, 14, 19, 21, 5, tzinfo=UTC)),
        (
            "x.tif",
            {"TIFFTAG_DATETIME": "2020:03:04 05:06:07"},
            "Asia/Shanghai",
            datetime(2020, 3, 3, 21, 6, 7, tzinfo=UTC),
        ),
        (
            "x.tif",
            {"ACQUISITIONDATETIME": "2021-05-06T07:08:09+08:00"},
            None,
            datetime(2021, 5, 5, 23, 8, 9, tzinfo=UTC),
        ),
        ("tile_12345678.tif", {}, None, None),
        ("scene_20180231.tif", {}, None, None),
    ],
)
def test_the_time_comes_from_metadata_or_the_name(tmp_path, name, tags, timezone, expected):
    row, _, reading = row_of(write(tmp_path / name, tags=tags), timezone=timezone)
    assert row["datetime"] == expected
    if expected is None:
        assert any("datetime is empty" in note for note in reading.info.notes)


def test_acquisition_wins_over_the_time_the_file_was_written(tmp_path):
    tags = {"TIFFTAG_DATETIME": "2024:01:01 00:00:00", "ACQUISITION_DATE": "2019-07-08T00:00:00Z"}
    row, _, _ = row_of(write(tmp_path / "a_20111213.tif", tags=tags))
    assert row["datetime"] == datetime(2019, 7, 8, tzinfo=UTC)
    assert json.loads(row["stac_properties"])["datetime_source"] == "ACQUISITION_DATE"


def test_a_day_without_a_time_spans_the_day(tmp_path):
    row, _, _ = row_of(write(tmp_path / "a_20180615.tif"))
    assert row["start_datetime"] == datetime(2018, 6, 15, tzinfo=UTC)
    assert row["end_datetime"] == datetime(2018, 6, 15, 23, 59, 59, 999_999, tzinfo=UTC)


def test_without_a_crs_the_message_names_the_option(tmp_path):
    path = write(tmp_path / "bare.tif", crs=None)
    with pytest.raises(SourceRefused, match=r"bare\.tif does not state a CRS; state it by --crs"):
        read(path)
    row, footprint, _ = row_of(path, crs="EPSG:32650")
    assert row["crs"] == "EPSG:32650"
    lon, lat = pyproj.Transformer.from_crs("EPSG:32650", "EPSG:4326", always_xy=True).transform(180_000, 2_500_000)
    assert shapely.distance(footprint, shapely.Point(lon, lat)) < 1e-6


def test_an_image_without_a_place_is_refused(tmp_path):
    with pytest.warns(rasterio.errors.NotGeoreferencedWarning):
        path = write(tmp_path / "photo.tif", crs=None, transform=None)
    with pytest.raises(SourceRefused, match="no georeference, control points or world file"):
        read(path)


def test_a_world_file_beside_the_image_places_it(tmp_path):
    with pytest.warns(rasterio.errors.NotGeoreferencedWarning):
        path = write(tmp_path / "old.tif", crs=None, transform=None)
    path.with_suffix(".tfw").write_text("10\n0\n0\n-10\n500005\n2499995\n")
    _, footprint, reading = row_of(path, crs="EPSG:32650")
    expected = transform_bounds("EPSG:32650", "EPSG:4326", 500_000, 2_499_700, 500_400, 2_500_000)
    assert footprint.bounds == pytest.approx(expected, abs=1e-6)
    assert "placed by the world file old.tfw" in reading.info.notes


def test_ground_control_points_place_an_image(tmp_path):
    corners = [(0, 0, 114.0, 22.6), (0, 40, 114.04, 22.6), (30, 0, 114.0, 22.57), (30, 40, 114.04, 22.57)]
    points = [GroundControlPoint(row=r, col=c, x=x, y=y) for r, c, x, y in corners]
    with pytest.warns(rasterio.errors.NotGeoreferencedWarning):
        path = write(tmp_path / "gcp.tif", gcps=(points, rasterio.crs.CRS.from_epsg(4326)))
    _, footprint, reading = row_of(path)
    assert footprint.bounds == pytest.approx((114.0, 22.57, 114.04, 22.6), abs=1e-9)
    assert "placed by 4 ground control points, as the best affine fit" in reading.info.notes


def test_an_image_over_the_antimeridian_has_two_parts(tmp_path):
    """UTM zone 60 S, across 180°: 40 × 30 pixels of 1 km at 17° S."""
    path = write(tmp_path / "fiji.tif", crs="EPSG:32760", transform=from_origin(800_000, 8_120_000, 1000, 1000))
    _, footprint, _ = row_of(path)
    assert [p.geom_type for p in footprint.geoms] == ["Polygon", "Polygon"]
    assert footprint.bounds[0] == pytest.approx(-180)
    assert footprint.bounds[2] == pytest.approx(180)
    area, _ = pyproj.Geod(ellps="WGS84").geometry_area_perimeter(shapely.orient_polygons(footprint))
    assert area == pytest.approx(40e3 * 30e3, rel=0.01)


def test_an_image_of_nodata_alone_is_refused(tmp_path):
    path = write(tmp_path / "empty.tif", np.zeros((1, 30, 40), np.uint8), nodata=0)
    with pytest.raises(SourceRefused, match=r"empty\.tif has no valid pixel"):
        read(path)


def test_a_hole_and_a_torn_edge_are_outlined(tmp_path):
    pixels = np.full((1, 60, 60), 9, np.uint8)
    pixels[0, 20:40, 20:40] = 0
    pixels[0, :, 50:] = 0
    _, footprint, _ = row_of(
        write(tmp_path / "torn.tif", pixels, nodata=0, crs="EPSG:4326", transform=from_origin(114, 23, 0.01, 0.01))
    )
    expected = shapely.Polygon(
        shapely.box(114, 22.4, 114.5, 23).exterior, [shapely.box(114.2, 22.6, 114.4, 22.8).exterior]
    )
    assert shapely.symmetric_difference(footprint, expected).area < 0.01 * expected.area


def test_jpeg_2000_is_read(tmp_path):
    path = write(tmp_path / "a.jp2", np.arange(1200, dtype=np.uint8).reshape(1, 30, 40), driver="JP2OpenJPEG")
    path.with_name("a.jp2.aux.xml").unlink(missing_ok=True)
    row, _, reading = row_of(path)
    assert (row["width"], row["height"], row["crs"]) == (40, 30, "EPSG:32650")
    assert json.loads(row["assets"])["data"]["type"] == "image/jp2"
    assert reading.info.driver == "JPEG 2000"


def test_a_cut_file_says_that_it_is_damaged(shared_data, tmp_path):
    whole = (shared_data / "imagery" / "RGB.byte.tif").read_bytes()
    path = tmp_path / "cut.tif"
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(SourceRefused, match=r"cut\.tif (is damaged|cannot be read)") as refused:
        read(path)
    assert str(tmp_path) not in refused.value.detail


def test_a_folder_gives_a_row_a_file_and_a_reason_for_each_broken_one(tmp_path):
    inner = tmp_path / "2018"
    inner.mkdir()
    write(tmp_path / "good.tif")
    write(inner / "scene_20180615.tif")
    write(inner / "unplaced.tif", crs=None)
    (tmp_path / "cut.tif").write_bytes((tmp_path / "good.tif").read_bytes()[:300])
    (tmp_path / "fake.tif").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
    (tmp_path / "readme.txt").write_text("not an image")
    (tmp_path / "scene.json").write_text("{}")
    reading = read(tmp_path)
    assert [r["id"] for r in reading.records] == ["2018~scene_20180615.tif", "good.tif"]
    assert json.loads(reading.records[0]["assets"])["data"]["href"] == "2018/scene_20180615.tif"
    reasons = {r.value: (r.code, r.reason) for r in reading.rejections}
    assert set(reasons) == {"2018/unplaced.tif", "cut.tif", "fake.tif"}
    assert "state it by --crs" in reasons["2018/unplaced.tif"][1]
    assert reasons["fake.tif"][0] == "image/driver-not-allowed"
    assert reading.info.feature_count == 5
    assert any("2 files are no images" in note for note in reading.info.notes)


def test_the_real_folder_of_images_is_read(shared_data):
    reading = read(shared_data / "imagery")
    assert sorted(r["id"] for r in reading.records) == sorted(name for name, *_ in REAL)
    assert reading.rejections == []
