"""IFC buildings stand where the model says, and the row says what was used; no place is never 0, 0."""

import subprocess
import sys

import ifcopenshell
import ifcopenshell.util.placement
import numpy as np
import pyproj
import pytest
import shapely

from cim.errors import SourceRefused
from loaders.ifc_place import degrees
from tests.formats.reading import read

DUPLEX = "Duplex_A_20110907_georeferenced.ifc"
REAL = [
    (DUPLEX, "IFC2X3", 1, []),
    ("IfcOpenHouse_IFC4.ifc", "IFC4", 0, ["place/missing"]),
    ("SimpleWall.ifc", "IFC2X3", 0, ["place/default"]),
    ("TallBuilding.ifc", "IFC2X3", 0, ["place/default"]),
    ("geolocation-unit2.ifc", "IFC4", 1, []),
]

MODEL = """ISO-10303-21;
HEADER;FILE_DESCRIPTION((''),'2;1');FILE_NAME('','2026-01-01T00:00:00',(''),(''),'','','');FILE_SCHEMA(('IFC4'));ENDSEC;
DATA;
#1=IFCPROJECT('0000000000000000000001',$,'P',$,$,$,$,(#14),#9);
#2=IFCSIUNIT(*,.LENGTHUNIT.,{prefix},.METRE.);
#9=IFCUNITASSIGNMENT((#2));
#10=IFCCARTESIANPOINT((0.,0.,0.));
#13=IFCAXIS2PLACEMENT3D(#10,$,$);
#14=IFCGEOMETRICREPRESENTATIONCONTEXT($,'Model',3,1.E-05,#13,{north});
#20=IFCLOCALPLACEMENT($,#13);
#30=IFCSITE('0000000000000000000030',$,'S',$,$,#20,$,$,$,{lat},{lon},$,$,$);
#36=IFCBUILDING('0000000000000000000036',$,'\\X2\\5854697C\\X0\\',$,$,#20,$,$,$,$,$,$);
#42=IFCBUILDINGSTOREY('0000000000000000000042',$,'1F',$,$,#20,$,$,$,0.);
#48=IFCRELAGGREGATES('0000000000000000000048',$,$,$,#1,(#30));
#54=IFCRELAGGREGATES('0000000000000000000054',$,$,$,#30,(#36));
#60=IFCRELAGGREGATES('0000000000000000000060',$,$,$,#36,(#42));
#81=IFCCARTESIANPOINT((0.,0.,0.));
#82=IFCBOUNDINGBOX(#81,{x},{y},{z});
#83=IFCSHAPEREPRESENTATION(#14,'Box','BoundingBox',(#82));
#84=IFCPRODUCTDEFINITIONSHAPE($,$,(#83));
#66=IFCBUILDINGELEMENTPROXY('0000000000000000000066',$,'B',$,$,#20,{shape},$,$);
#85=IFCRELCONTAINEDINSPATIALSTRUCTURE('0000000000000000000085',$,$,$,(#66),#42);
#90=IFCDIRECTION((1.,0.));
{more}
ENDSEC;
END-ISO-10303-21;
"""
CONVERSION = "#126=IFCPROJECTEDCRS('{crs}',$,$,$,$,$,$);\n#127=IFCMAPCONVERSION(#14,#126,{e},{n},0.,{a},{b},{scale});"


def put(tmp_path, **changes):
    """A box of 20 × 10 × 15 in one storey, of an IFC4 model in metres."""
    size = changes.pop("size", 1.0)
    facts = {"prefix": "$", "north": "$", "lat": "$", "lon": "$", "shape": "#84", "more": "", "x": 20.0 * size}
    path = tmp_path / "model.ifc"
    path.write_text(MODEL.format(**{**facts, "y": 10.0 * size, "z": 15.0 * size, **changes}))
    return path


def conversion(crs="EPSG:4547", e=500_000.0, n=2_490_000.0, a="$", b="$", scale="$"):
    return CONVERSION.format(crs=crs, e=e, n=n, a=a, b=b, scale=scale)


def on_map(shape, crs):
    transformer = pyproj.Transformer.from_crs("EPSG:4326", crs, always_xy=True)
    return shapely.transform(shape, lambda p: np.column_stack(transformer.transform(p[:, 0], p[:, 1])))


@pytest.mark.parametrize(("name", "schema", "count", "codes"), REAL)
def test_every_real_model_is_read_or_rejected_with_what_to_do(shared_data, name, schema, count, codes):
    path = shared_data / "bim" / name
    reading = read(path)
    assert (reading.loader, reading.info.driver, reading.info.crs) == ("IFC", f"IFC ({schema})", "EPSG:4326")
    assert (len(reading.records), reading.codes, reading.trouble) == (count, codes, None)
    buildings = ifcopenshell.open(str(path)).by_type("IfcBuilding")
    assert reading.info.feature_count == len(buildings) == count + len(codes)
    assert {*reading.column("id"), *(r.value for r in reading.rejections)} == {b.GlobalId for b in buildings}
    for rejection in reading.rejections:
        assert "--lon and --lat" in rejection.reason
        assert rejection.reason in reading.info.notes


def test_the_property_sets_of_the_duplex_win_over_its_site(shared_data):
    """The README: EPSG:9897, E 76670, N 77179, x axis (0.32557, 0.94552); IfcSite is in Chicago, 6,859 km away."""
    path = shared_data / "bim" / DUPLEX
    reading = read(path)
    row = reading.records[0]
    assert row["place_source"] == "ePSet_MapConversion, EPSG:9897"
    assert any("two places that are 6,859 km apart" in note for note in reading.info.notes)
    footprint = on_map(reading.geometry[0], "EPSG:9897")
    model = ifcopenshell.open(str(path))
    corners = [
        ifcopenshell.util.placement.get_local_placement(wall.ObjectPlacement)[:2, 3]
        for wall in model.by_type("IfcWall")
    ]
    x, y = np.array(corners).T
    length = np.hypot(0.325568154457152, 0.945518575599318)
    cos, sin = 0.325568154457152 / length, 0.945518575599318 / length
    east, north = 76670 + cos * x - sin * y, 77179 + sin * x + cos * y
    assert shapely.contains_xy(footprint.buffer(0.01), east, north).all()
    assert 100 < footprint.area < 600
    # four storeys: a foundation below 0 and a roof are no floors
    assert (row["floors_above"], 6 < row["height_m"] < 8) == (2, True)


def test_a_default_site_is_no_place_unless_the_caller_says_where(shared_data):
    path = shared_data / "bim" / "TallBuilding.ifc"
    assert "Revit's default site (Boston" in read(path).rejections[0].reason
    reading = read(path, lon="114.05", lat="22.54")
    row = reading.records[0]
    assert (row["place_source"], row["floors_above"], row["height_source"][:7]) == (
        "stated: --lon and --lat",
        5,
        "derived",
    )
    assert 16 <= row["height_m"] < 20
    assert row["address"] is None
    lon, lat = reading.geometry[0].centroid.coords[0]
    _, _, distance_m = pyproj.Geod(ellps="WGS84").inv(114.05, 22.54, lon, lat)
    assert distance_m < 50


def test_a_map_conversion_in_a_chinese_crs(tmp_path):
    reading = read(put(tmp_path, more=conversion()))
    row = reading.records[0]
    assert (row["place_source"], row["name"]) == ("IfcMapConversion, EPSG:4547", "塔楼")
    assert (row["height_m"], row["floors_above"]) == (15.0, 1)
    expected = shapely.box(500_000, 2_490_000, 500_020, 2_490_010)
    assert on_map(reading.geometry[0], "EPSG:4547").bounds == pytest.approx(expected.bounds, abs=0.001)


def test_text_that_is_not_encoded_as_step_asks_is_noted(tmp_path):
    path = put(tmp_path, more=conversion())
    path.write_text(path.read_text().replace("\\X2\\5854697C\\X0\\", "塔楼"), encoding="gbk")
    reading = read(path)
    assert len(reading.records) == 1
    assert any("not ASCII" in note for note in reading.info.notes)


def test_a_map_conversion_turns_and_scales(tmp_path):
    """The x axis points north: a box of 20 × 10 goes 10 west and 20 north."""
    reading = read(put(tmp_path, more=conversion(a="0.", b="1.", scale="2.")))
    assert on_map(reading.geometry[0], "EPSG:4547").bounds == pytest.approx(
        (499_980, 2_490_000, 500_000, 2_490_040), abs=0.001
    )


@pytest.mark.parametrize("scale", ["$", "1.", "0.001"])
def test_a_model_in_millimetres_has_its_size_whether_its_scale_says_so_or_not(tmp_path, scale):
    reading = read(put(tmp_path, prefix=".MILLI.", size=1000.0, more=conversion(scale=scale)))
    assert on_map(reading.geometry[0], "EPSG:4547").area == pytest.approx(200.0, abs=0.01)
    assert reading.records[0]["height_m"] == 15.0
    assert any("leaves out the units" in note for note in reading.info.notes) == (scale != "0.001")


def test_a_map_crs_that_is_not_known_is_refused_with_the_option(tmp_path):
    path = put(tmp_path, more=conversion(crs="深圳独立坐标系"))
    with pytest.raises(SourceRefused, match="state it by --crs"):
        read(path)
    assert read(path, crs="EPSG:4547").records[0]["place_source"].startswith("IfcMapConversion")


def test_latitude_and_longitude_of_the_site_are_used_and_north_is_true(tmp_path):
    """True north along x: a box of 20 × 10 reaches 20 m north and 10 m west of the site."""
    path = put(tmp_path, lat="(22,32,24,0)", lon="(114,3,0,0)", north="#90")
    reading = read(path)
    assert reading.records[0]["place_source"] == "IfcSite RefLatitude, RefLongitude"
    west, south, east, north = reading.geometry[0].bounds
    geod = pyproj.Geod(ellps="WGS84")
    assert (east, south) == pytest.approx((114.05, 22.54), abs=1e-7)
    assert geod.inv(114.05, 22.54, 114.05, north)[2] == pytest.approx(20, abs=0.01)
    assert geod.inv(114.05, 22.54, west, 22.54)[2] == pytest.approx(10, abs=0.01)


def test_degrees_of_a_negative_angle():
    assert degrees((-71, -3, -24, -263305)) == pytest.approx(-71.056740, abs=1e-6)
    assert degrees((0, -30, 0)) == -0.5


def test_zero_zero_is_no_place(tmp_path):
    reading = read(put(tmp_path, lat="(0,0,0)", lon="(0,0,0)"))
    assert reading.codes == ["place/default"]


def test_model_coordinates_in_a_stated_crs(tmp_path):
    reading = read(put(tmp_path, size=1.0), crs="EPSG:4547")
    assert reading.records[0]["place_source"] == "stated: model coordinates in EPSG:4547"


def test_a_building_without_shapes_is_rejected(tmp_path):
    reading = read(put(tmp_path, shape="$", more=conversion()))
    assert reading.codes == ["geometry/missing"]
    assert "no footprint can be made" in reading.rejections[0].reason


def truncated(text):
    return text[:120]


def too_few(text):
    return text.replace("$,$,#20,$,$,$,$,$,$)", "$)")


def bad_id(text):
    return text.replace("#36=IFCBUILDING", "#3x6=IFCBUILDING")


def endless(text):
    return text[: text.rindex("ENDSEC;")]


MALFORMED = [
    ("truncated header", truncated, "names no schema"),
    ("wrong attribute count", too_few, "#36 has 4 attributes, its class has 12"),
    ("malformed step id", bad_id, "is malformed"),
    ("missing end section", endless, "does not end with ENDSEC"),
    ("unknown class", lambda text: text.replace("#36=IFCBUILDING(", "#36=IFCBUILDINGX("), "is malformed"),
    ("other schema", lambda text: text.replace("IFC4", "AP214"), "schema AP214; IFC2X3 and IFC4"),
    ("reference to nothing", lambda text: text.replace("(#36));", "(#36,#999));"), "is malformed"),
]

READ = """import sys
from pathlib import Path
from cim.errors import SourceRefused
from loaders.base import SourceOptions
from loaders.ifc import IfcLoader
try:
    IfcLoader().probe(Path(sys.argv[1]), SourceOptions())
except SourceRefused as error:
    print(error.detail)
"""


@pytest.mark.parametrize(("what", "spoil", "reason"), MALFORMED, ids=[m[0] for m in MALFORMED])
def test_B16_a_malformed_model_is_refused_with_its_reason(tmp_path, what, spoil, reason):
    """Read in a process of its own, which the native parser may end; it does not for these."""
    path = put(tmp_path, more=conversion())
    path.write_text(spoil(path.read_text()))
    assert path.stat().st_size <= 10_000
    done = subprocess.run([sys.executable, "-c", READ, path], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert reason in done.stdout
    assert str(tmp_path) not in done.stdout
