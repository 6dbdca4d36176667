"""The town of these tests: two districts, things in and between them, and a few without a code or a place."""

from dataclasses import dataclass

from shapely.geometry import Point, Polygon

from tests.city import City, square

NANSHAN, FUTIAN = "440305", "440304"


@dataclass(frozen=True, slots=True)
class Town:
    """Ids by what they are; `places` are the true geometries of the buildings."""

    nanshan: tuple[str, ...]
    futian: tuple[str, ...]
    nowhere: str
    placeless: str
    places: dict[str, Polygon]
    sensor: str
    camera: str
    scene: str
    foreign_scene: str

    @property
    def all(self) -> set[str]:
        """Every building."""
        return {*self.nanshan, *self.futian, self.nowhere, self.placeless}


def build(city: City) -> Town:
    """Write the town."""
    for code, name in ((NANSHAN, "南山区"), ("440305001", "南头街道"), (FUTIAN, "福田区"), ("4403", "深圳市")):
        lon = {"4403": 113.8}.get(code, 113.92 if code.startswith(NANSHAN) else 114.04)
        level = {4: "city", 6: "district", 9: "street"}[len(code)]
        city.feature("areas", square(lon, 22.5, 0.08), area_code=code, code=code, name=name, level=level)
    places = {}

    def building(n: int, code: str | None, lon: float) -> str:
        road = "深南大道" if lon < 114 else "福华路"
        place = square(lon + 0.0031 * n, 22.53 + 0.0017 * n)
        made = city.building(
            place,
            area_code=code,
            use="office",
            height_m=10.0 + n,
            name=f"楼{n}",
            address=f"{road}{n}号",
            floors_above=n,
        )
        places[made] = place
        return made

    nanshan = tuple(building(n, f"{NANSHAN}00100{n}", 113.93) for n in range(5))
    futian = tuple(building(n, f"{FUTIAN}00200{n}", 114.05) for n in range(7))
    nowhere = building(8, None, 113.99)
    placeless = city.feature("buildings", None, area_code=f"{NANSHAN}001001", use="office")
    sensor = city.feature(
        "sensors",
        Point(113.9312345, 22.5312345),
        area_code=f"{NANSHAN}001001",
        name="南头站",
        kind="weather",
        status="active",
    )
    camera = city.feature(
        "cameras", Point(114.0512345, 22.5312345), area_code=f"{FUTIAN}002001", name="福田口", kind="dome"
    )
    scene, foreign = (
        city.feature(
            "imagery", square(lon, 22.5, 0.01), area_code=code, stac_collection="drone", title=f"scene {lon}",
            datetime="2024-05-01T00:00:00Z", assets={"visual": {"href": "https://imagery.example/a.tif"}},
            stac_properties={"proj:bbox": [lon, 22.5, lon + 0.01, 22.51]},
        )
        for lon, code in ((113.93, NANSHAN), (114.05, FUTIAN))
    )  # fmt: skip
    return Town(nanshan, futian, nowhere, placeless, places, sensor, camera, scene, foreign)
