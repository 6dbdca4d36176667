"""Buildings of CityGML become footprints with heights; entities and other documents are never read."""

import time

import pyproj
import pytest
import shapely

from cim.errors import SourceRefused
from tests.formats.reading import read

HEAD = """<?xml version="1.0" encoding="UTF-8"?>{doctype}
<CityModel xmlns="http://www.opengis.net/citygml/2.0" xmlns:bldg="http://www.opengis.net/citygml/building/2.0"
 xmlns:gml="http://www.opengis.net/gml" xmlns:gen="http://www.opengis.net/citygml/generics/2.0" xmlns:xlink="http://www.w3.org/1999/xlink">
<gml:boundedBy><gml:Envelope srsName="{srs}" srsDimension="3"/></gml:boundedBy>
"""


def ring(*points):
    text = " ".join(f"{x} {y} {z}" for x, y, z in [*points, points[0]])
    return f"<gml:exterior><gml:LinearRing><gml:posList>{text}</gml:posList></gml:LinearRing></gml:exterior>"


def square(x, y, size, z, identity=""):
    name = f' gml:id="{identity}"' if identity else ""
    points = [(x, y, z), (x + size, y, z), (x + size, y + size, z), (x, y + size, z)]
    return f"<gml:Polygon{name}>{ring(*points)}</gml:Polygon>"


def surfaces(*polygons):
    return (
        "<gml:MultiSurface>"
        + "".join(f"<gml:surfaceMember>{p}</gml:surfaceMember>" for p in polygons)
        + "</gml:MultiSurface>"
    )


def building(identity, content, attributes=""):
    return f'<cityObjectMember><bldg:Building gml:id="{identity}">{attributes}{content}</bldg:Building></cityObjectMember>\n'


def house(identity, x=0, attributes=""):
    body = surfaces(square(458_875 + x, 5_438_350, 10, 112), square(458_875 + x, 5_438_350, 10, 118))
    return building(identity, f"<bldg:lod1MultiSurface>{body}</bldg:lod1MultiSurface>", attributes)


def put(tmp_path, *members, doctype="", srs="urn:ogc:def:crs:EPSG::25832"):
    path = tmp_path / "city.gml"
    path.write_text(HEAD.format(doctype=doctype, srs=srs) + "".join(members) + "</CityModel>\n", encoding="utf-8")
    return path


def test_the_lod3_house_has_its_ground_slab(shared_data):
    """The ground slab of the file: 10 × 5 m at 458875, 5438350; the compound CRS's first part is EPSG:25832."""
    reading = read(shared_data / "citymodel" / "Building_LOD3-EPSG25832_CityGML2.gml")
    assert (reading.loader, reading.info.driver, reading.info.crs) == ("CityGML", "CityGML 2.0", "EPSG:25832")
    assert reading.geometry[0].equals(shapely.MultiPolygon([shapely.box(458875, 5438350, 458885, 5438355)]))
    row = reading.records[0]
    assert row["id"] == "GML_7b1a5a6f-ddad-4c3d-a507-3eb9ee0a8e68"
    assert (row["name"], row["height_m"], row["height_source"]) == (
        "Example Building LOD3",
        5.0,
        "source: measuredHeight",
    )
    assert (row["floors_above"], row["year_built"], row["function_code"]) == (1, 1985, "1000")
    assert "Hermann-von-Helmholtz-Platz" in row["address"]
    assert any("1 ReliefFeature" in note for note in reading.info.notes)


def test_the_garage_is_part_of_its_house_in_citygml_3(shared_data):
    """House 10 × 5 m and garage 2.5 × 4 m."""
    reading = read(shared_data / "citymodel" / "Building_and_garage_LOD2-EPSG25832_CityGML3.gml")
    assert (reading.info.driver, len(reading.records), reading.rejections) == ("CityGML 3.0", 1, [])
    assert reading.geometry[0].area == pytest.approx(60.0)
    row = reading.records[0]
    assert (row["height_m"], row["year_built"], row["floors_above"]) == (6.0, 1985, 1)


def test_plateau_is_latitude_longitude_height(shared_data):
    """The envelope of the file is 35.6746…35.6836 N, 139.7118…139.7250 E, in that order."""
    reading = read(shared_data / "citymodel" / "plateau_53394517_bldg_6697_CityGML2.gml")
    assert (reading.info.crs, len(reading.records)) == ("EPSG:6668", 1)
    assert shapely.box(139.71176, 35.67463, 139.72504, 35.68364).contains(reading.geometry[0])
    row = reading.records[0]
    assert (row["height_m"], row["footprint_source"]) == (31.7, "LoD 0, roof edge")
    assert (row["建物ID"], row["address"]) == ("13104-bldg-53", "日本 東京都新宿区霞ヶ丘町")
    # 2,870 m² by pyproj from the file's one posList of lod0RoofEdge
    area, _ = pyproj.Geod(ellps="GRS80").geometry_area_perimeter(shapely.orient_polygons(reading.geometry[0]))
    assert area == pytest.approx(2869.8, abs=0.5)


@pytest.mark.parametrize(
    ("name", "held"),
    [
        ("plateau_kawasaki_533915_urf_6668_yoto.gml", "4 UseDistrict"),
        ("plateau_numazu_52385721_fld_6697.gml", "3 WaterBody"),
    ],
)
def test_city_models_without_buildings_say_what_they_hold_and_what_to_do(shared_data, name, held):
    with pytest.raises(SourceRefused) as refused:
        read(shared_data / "citymodel" / name)
    assert held in refused.value.detail
    assert "ogr2ogr out.gpkg in.gml" in refused.value.detail


def test_B07_an_external_entity_is_refused_unread(tmp_path):
    canary = tmp_path / "canary.txt"
    canary.write_text("CANARY-7b1a")
    doctype = f'<!DOCTYPE CityModel [<!ENTITY secret SYSTEM "file://{canary}">]>'
    path = put(tmp_path, house("a", attributes="<gml:name>&secret;</gml:name>"), doctype=doctype)
    with pytest.raises(SourceRefused, match="document type declaration") as refused:
        read(path)
    assert "CANARY" not in refused.value.detail


@pytest.mark.parametrize(
    "doctype",
    [
        '<!DOCTYPE CityModel SYSTEM "http://127.0.0.1:9/x.dtd">',
        '<!DOCTYPE CityModel [<!ENTITY % p SYSTEM "http://127.0.0.1:9/x">%p;]>',
        "<!-- <CityModel> --><!DOCTYPE CityModel>",
        "<?pi <CityModel> ?><!DOCTYPE CityModel [<!ENTITY a 'b'>]>",
        "<?pi <!-- ?><!DOCTYPE CityModel><!-- -->",
        "<!-- ?> <? --><!DOCTYPE CityModel>",
    ],
)
def test_B07_no_document_type_passes_whatever_stands_before_it(tmp_path, doctype):
    with pytest.raises(SourceRefused, match="document type declaration"):
        read(put(tmp_path, house("a"), doctype=doctype))


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32", "utf-7"])
def test_B07_encodings_in_which_one_could_hide_are_refused(tmp_path, encoding):
    text = HEAD.format(doctype="<!DOCTYPE CityModel [<!ENTITY a 'b'>]>", srs="EPSG:25832") + house("a") + "</CityModel>"
    path = tmp_path / "city.gml"
    path.write_bytes(text.replace("UTF-8", encoding.upper()).encode(encoding))
    with pytest.raises(SourceRefused):
        read(path)


def test_B08_an_entity_bomb_is_refused_at_once(tmp_path):
    entities = '<!ENTITY a "ha">' + "".join(f'<!ENTITY {chr(98 + i)} "{f"&{chr(97 + i)};" * 10}">' for i in range(7))
    path = put(
        tmp_path, house("x", attributes="<gml:name>&h;</gml:name>"), doctype=f"<!DOCTYPE CityModel [{entities}]>"
    )
    assert path.stat().st_size < 5000
    started = time.monotonic()
    with pytest.raises(SourceRefused, match="document type declaration"):
        read(path)
    assert time.monotonic() - started < 2


def test_an_undeclared_entity_breaks_the_file(tmp_path):
    path = put(tmp_path, house("a"), house("b", attributes="<gml:name>&secret;</gml:name>"))
    reading = read(path)
    assert "breaks off: line" in reading.trouble.detail


def test_a_cut_file_gives_its_whole_buildings_and_says_the_line(tmp_path):
    path = put(tmp_path, house("a"), house("b", 20), house("c", 40))
    text = path.read_text()
    path.write_text(text[: text.index('gml:id="c"') + 100])
    reading = read(path)
    assert reading.column("id") == ["a", "b"]
    assert "breaks off: line" in reading.trouble.detail


def test_without_a_crs_the_message_names_the_option(tmp_path):
    path = put(tmp_path, house("a"))
    path.write_text(path.read_text().replace(' srsName="urn:ogc:def:crs:EPSG::25832"', ""))
    with pytest.raises(SourceRefused, match="state it by --crs"):
        read(path)
    assert read(path, crs="EPSG:25832").info.crs == "EPSG:25832"


def test_names_of_german_states_for_their_crs_are_known(tmp_path):
    assert read(put(tmp_path, house("a"), srs="urn:adv:crs:ETRS89_UTM32*DE_DHHN2016_NH")).info.crs == "EPSG:25832"


def test_a_bad_building_is_rejected_and_its_siblings_are_stored(tmp_path):
    odd = house("b").replace("458875 5438350 112 ", "458875 5438350 ", 1)
    words = house("c").replace("458875 5438350 112 ", "458875 x 112 ", 1)
    infinite = house("d").replace("458875 5438350 112 ", "458875 inf 112 ", 1)
    nameless = house("e").replace(' gml:id="e"', "")
    reading = read(put(tmp_path, house("a"), odd, words, infinite, nameless, building("f", ""), house("g", 20)))
    assert reading.column("id") == ["a", "g"]
    assert [(r.row, r.code) for r in reading.rejections] == [
        (2, "citygml/coordinates"),
        (3, "citygml/coordinates"),
        (4, "citygml/coordinates"),
        (5, "id/missing"),
        (6, "geometry/missing"),
    ]


def test_heights_are_derived_where_none_is_measured_and_feet_are_converted(tmp_path):
    feet = '<bldg:measuredHeight uom="ft">100</bldg:measuredHeight>'
    unknown = '<bldg:measuredHeight uom="m">-9999</bldg:measuredHeight>'
    reading = read(put(tmp_path, house("a"), house("b", 20, feet), house("c", 40, unknown)))
    assert reading.column("height_m") == pytest.approx([6.0, 30.48, 6.0])
    assert reading.column("height_source")[0] == "derived: highest minus lowest vertex of LoD 1"


def links(*names):
    return "".join(f'<gml:surfaceMember xlink:href="#{name}"/>' for name in names)


def test_a_solid_of_links_is_followed(tmp_path):
    roof = surfaces(square(458_875, 5_438_350, 8, 118, "p1"))
    bounded = f"<bldg:lod2MultiSurface>{roof}</bldg:lod2MultiSurface>"
    bounded = f"<bldg:boundedBy><bldg:RoofSurface>{bounded}</bldg:RoofSurface></bldg:boundedBy>"
    linked = f"<gml:MultiSurface>{links('p1', 'nowhere')}</gml:MultiSurface>"
    reading = read(put(tmp_path, building("a", f"{bounded}<bldg:lod1MultiSurface>{linked}</bldg:lod1MultiSurface>")))
    assert reading.geometry[0].area == pytest.approx(64.0)


def test_links_in_a_circle_end(tmp_path):
    circle = f'<gml:CompositeSurface gml:id="s">{links("s")}</gml:CompositeSurface>'
    circle = f"<bldg:lod2MultiSurface>{circle}</bldg:lod2MultiSurface>"
    reading = read(put(tmp_path, building("a", circle), house("b")))
    assert (reading.column("id"), reading.codes) == (["b"], ["geometry/missing"])
