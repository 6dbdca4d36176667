"""Which field fills which property: the guess, what a user states, and what is refused."""

import pytest

from cim.collections.areas import AREAS
from cim.collections.buildings import BUILDINGS
from cim.collections.cameras import CAMERAS
from cim.collections.sensors import SENSORS
from cim.errors import InvalidParameter, SourceRefused, UnknownProperty
from cim.model import Collection, Kind
from loaders.base import SourceField, SourceInfo
from loaders.mapping import guess, merged, parse, words_of_yaml


def info(**fields: tuple[Kind, str] | Kind) -> SourceInfo:
    """A source with these fields; a tuple gives kind and one sample."""
    listed = []
    for name, value in fields.items():
        kind, sample = value if isinstance(value, tuple) else (value, "")
        listed.append(SourceField(name, kind, (sample,) if sample else ()))
    return SourceInfo("test", None, (), tuple(listed), "Polygon", "EPSG:4326")


@pytest.mark.parametrize(
    ("collection", "field", "expected"),
    [
        (BUILDINGS, "层数", "floors_above"),
        (BUILDINGS, "高度", "height_m"),
        (BUILDINGS, "用途", "use"),
        (BUILDINGS, "建成年代", "year_built"),
        (BUILDINGS, "name:zh", "name"),
        (BUILDINGS, "building:levels", "floors_above"),
        (BUILDINGS, "Height", "height_m"),
        (BUILDINGS, "num_floors", "floors_above"),
        (BUILDINGS, "num_floors_underground", "floors_below"),
        (BUILDINGS, "names.primary", "name"),
        (AREAS, "行政区划代码", "code"),
        (AREAS, "ADMINCODE", "code"),
        (AREAS, "NAME", "name"),
        (CAMERAS, "bearing", "direction_deg"),
        (CAMERAS, "方位角", "direction_deg"),
        (SENSORS, "站点名称", "name"),
    ],
)
def test_names_in_chinese_and_english_are_recognised(collection: Collection, field: str, expected: str) -> None:
    found = guess(collection, info(**{field: Kind.TEXT}))
    assert {name: rule.field for name, rule in found.rules.items()} == {expected: field}


def test_a_field_serves_one_property_and_the_id_comes_first() -> None:
    found = guess(BUILDINGS, info(osm_id=Kind.TEXT, building=(Kind.TEXT, "yes"), type=(Kind.TEXT, "house")))
    assert found.id_field == "osm_id"
    assert found.rules["use"].field == "building"


def test_a_numeric_property_is_not_guessed_from_words() -> None:
    found = guess(BUILDINGS, info(height=(Kind.TEXT, "tall")))
    assert "height_m" not in found.rules


def test_areas_are_identified_by_their_code() -> None:
    found = guess(AREAS, info(code=(Kind.TEXT, "440305"), name=Kind.TEXT))
    assert found.id_field == "code"
    assert found.rules["code"].field == "code"


def test_stated_words_scale_set_constants_and_name_the_id() -> None:
    source = info(hgt=(Kind.NUMBER, "100"), key=Kind.TEXT, 层数=Kind.INTEGER)
    found = merged(guess(BUILDINGS, source), parse(["height_m=hgt*0.3048", "use==office", "id=key"], BUILDINGS, source))
    assert found.to_dict() == {"id": "key", "height_m": "hgt*0.3048", "use": "=office", "floors_above": "层数"}
    again = parse([f"{name}={value}" for name, value in found.to_dict().items()], BUILDINGS, source)
    assert again.to_dict() == found.to_dict()


def test_an_unknown_property_names_the_close_one() -> None:
    with pytest.raises(UnknownProperty, match="height_m"):
        parse(["hight_m=h"], BUILDINGS, info(h=Kind.NUMBER))


def test_an_unknown_field_names_the_close_one_and_the_others() -> None:
    with pytest.raises(SourceRefused, match=r"did you mean 'height'.*height, name"):
        parse(["height_m=heigth"], BUILDINGS, info(height=Kind.NUMBER, name=Kind.TEXT))


@pytest.mark.parametrize("word", ["height_m", "=x", ""])
def test_a_word_that_is_no_mapping_is_refused(word: str) -> None:
    with pytest.raises(InvalidParameter, match="property=field"):
        parse([word], BUILDINGS, info(x=Kind.NUMBER))


def test_yaml_gives_the_same_words() -> None:
    assert words_of_yaml("height_m: 高度\nuse: =office\n") == ["height_m=高度", "use==office"]
    with pytest.raises(InvalidParameter, match="mapping"):
        words_of_yaml("- a\n- b\n")
