"""Organisations of the city and the data services they describe, with the columns of `cim.service`."""

from pathlib import Path
from typing import Any

import numpy as np
import yaml

from sample_data.areas import Area
from sample_data.names import CITY
from sample_data.plan import CityPlan
from sample_data.plane import generator

BUREAUS = (
    ("planning", "规划和自然资源局", "Bureau of Planning and Natural Resources"),
    ("housing", "住房和建设局", "Bureau of Housing and Construction"),
    ("transport", "交通运输局", "Bureau of Transport"),
    ("water", "水务局", "Bureau of Water Affairs"),
    ("ecology", "生态环境局", "Bureau of Ecology and Environment"),
    ("police", "公安局", "Public Security Bureau"),
    ("urban", "城市管理局", "Bureau of Urban Management"),
    ("digital", "政务服务和数据管理局", "Bureau of Government Services and Data"),
    ("emergency", "应急管理局", "Bureau of Emergency Management"),
    ("meteorology", "气象局", "Meteorological Bureau"),
    ("education", "教育局", "Bureau of Education"),
    ("health", "卫生健康委员会", "Health Commission"),
    ("development", "发展和改革委员会", "Development and Reform Commission"),
    ("culture", "文化广电旅游体育局", "Bureau of Culture, Tourism and Sport"),
    ("metro", "轨道交通集团", "Metro Group"),
    ("energy", "燃气集团", "Gas Group"),
    ("survey", "勘测设计院", "Survey and Design Institute"),
)

SUBJECTS: tuple[tuple[str, str, str, str, str, str | None, int, str], ...] = (
    ("buildings", "建筑物轮廓", "Building footprints", "planning", "features", "buildings", 2, "monthly"),
    ("areas", "行政区划", "Administrative areas", "planning", "features", "areas", 1, "yearly"),
    ("sensors", "物联感知通道", "Sensor channels", "digital", "features", "sensors", 4, "continual"),
    ("cameras", "视频监控点位", "Camera places", "police", "features", "cameras", 4, "daily"),
    ("imagery", "正射影像", "Orthophotos", "planning", "stac", "imagery", 1, "yearly"),
    ("terrain", "地形高程", "Terrain", "survey", "ogcapi", None, 1, "yearly"),
    ("land-use", "国土空间用地", "Land use plan", "planning", "wms", None, 1, "yearly"),
    ("basemap", "电子地图", "Base map", "planning", "wmts", None, 1, "quarterly"),
    ("road-network", "道路网", "Road network", "transport", "wfs", None, 2, "monthly"),
    ("traffic", "实时路况", "Live traffic", "transport", "rest", None, 4, "continual"),
    ("bus-stops", "公交站点", "Bus stops", "transport", "features", None, 2, "monthly"),
    ("metro-model", "轨道站点模型", "Metro station models", "metro", "3dtiles", None, 5, "yearly"),
    ("city-model", "城市三维白模", "City massing model", "planning", "3dtiles", None, 3, "yearly"),
    ("bim", "建筑信息模型", "Building information models", "housing", "file", None, 6, "irregular"),
    ("construction", "在建工地", "Construction sites", "housing", "features", None, 2, "weekly"),
    ("drainage", "排水管网", "Drainage network", "water", "wfs", None, 4, "quarterly"),
    ("water-level", "水位监测", "Water levels", "water", "rest", None, 4, "continual"),
    ("air", "空气质量监测", "Air quality", "ecology", "rest", None, 4, "continual"),
    ("noise", "噪声监测", "Noise", "ecology", "rest", None, 4, "continual"),
    ("weather", "气象观测", "Weather observations", "meteorology", "rest", None, 2, "continual"),
    ("video", "公共视频通道组", "Public video channels", "police", "video", None, 4, "continual"),
    ("manholes", "井盖设施", "Manhole covers", "urban", "features", None, 3, "monthly"),
    ("lamps", "路灯杆件", "Street lamps", "urban", "features", None, 3, "monthly"),
    ("shelters", "应急避难场所", "Emergency shelters", "emergency", "features", None, 2, "yearly"),
    ("hazards", "危险源", "Hazard sites", "emergency", "features", None, 2, "monthly"),
    ("schools", "学校分布", "Schools", "education", "features", None, 2, "yearly"),
    ("hospitals", "医疗机构", "Medical institutions", "health", "features", None, 2, "quarterly"),
    ("energy-use", "建筑能耗", "Energy use of buildings", "development", "rest", None, 4, "daily"),
    ("heritage", "文物古迹", "Heritage sites", "culture", "features", None, 2, "yearly"),
    ("gas", "燃气管网", "Gas network", "energy", "wfs", None, 4, "quarterly"),
)
"""Key, titles, bureau, kind, collection of this node that serves it, CIM level, update cycle."""

THEMES = {
    "planning": ["planning", "base-geography"],
    "housing": ["construction", "housing"],
    "transport": ["transport"],
    "water": ["water", "utilities"],
    "ecology": ["environment"],
    "police": ["public-safety"],
    "urban": ["city-management"],
    "digital": ["sensing"],
    "emergency": ["public-safety", "emergency"],
    "meteorology": ["weather"],
    "education": ["education"],
    "health": ["health"],
    "development": ["energy", "economy"],
    "culture": ["culture"],
    "metro": ["transport"],
    "energy": ["utilities", "energy"],
    "survey": ["base-geography"],
}
SHARE_CLASSES = ("unconditional", "conditional", "not_shared")
LICENCES = {
    "unconditional": "CC0-1.0",
    "conditional": "政务数据共享协议 Government data sharing agreement",
    "not_shared": "不予共享 Not shared",
}
_NOT_SHARED = {"gas", "hazards", "video"}
_OPEN = {"buildings", "areas", "imagery", "basemap", "weather", "air", "bus-stops", "schools", "hospitals", "shelters"}


def organisations(plan: CityPlan, areas: list[Area]) -> list[dict[str, Any]]:
    """Rows of `cim.organisation`: city bureaus first, then bureaus of districts."""
    places = [("city", CITY[0], CITY[1])]
    places += [(a.code, a.name, a.name_en) for a in areas if a.level == "district"]
    rows = [
        {
            "id": key if place == "city" else f"{key}-{place}",
            "name_zh": place_zh + zh,
            "name_en": f"{place_en} {en}",
            "contact": f"{key}@{'' if place == 'city' else place + '.'}lanwan.example",
        }
        for place, place_zh, place_en in places
        for key, zh, en in BUREAUS
    ]
    return rows[: plan.organisations]


def services(plan: CityPlan, areas: list[Area], owners: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows of `cim.service`: every subject for the city, then for districts, streets and communities."""
    known = {row["id"] for row in owners}
    random = generator(plan.seed, 60)
    rows = []
    for number in range(plan.services):
        place, turn = areas[(number // len(SUBJECTS)) % len(areas)], number // (len(SUBJECTS) * len(areas))
        subject = SUBJECTS[number % len(SUBJECTS)]
        owner = f"{subject[3]}-{place.code[:6]}"
        fallback = subject[3] if subject[3] in known else "planning"
        rows.append(_service(subject, place, turn, owner if owner in known else fallback, random))
    return rows


def _service(
    subject: tuple[str, str, str, str, str, str | None, int, str],
    place: Area,
    turn: int,
    owner: str,
    random: np.random.Generator,
) -> dict[str, Any]:
    key, zh, en, bureau, kind, collection, level, cycle = subject
    west, south, east, north = place.geometry.bounds
    is_own = collection is not None and place.level == "city" and turn == 0
    share = "not_shared" if key in _NOT_SHARED else "unconditional" if key in _OPEN else "conditional"
    edition = f" {turn + 1}" if turn else ""
    identity = f"{key}-{place.code}" + (f"-{turn + 1}" if turn else "")
    path = f"/stac/collections/{collection}" if kind == "stac" else f"/collections/{collection}/items"
    draw = random.random()
    return {
        "id": identity,
        "state": "published" if is_own or draw < 0.88 else "draft",
        "kind": kind,
        "organisation_id": owner,
        "title_zh": f"{place.name}{zh}服务{edition}",
        "title_en": f"{en} of {place.name_en}{edition}",
        "description_zh": f"{place.name}范围内的{zh}数据，示例数据，非真实。",
        "description_en": f"{en} within {place.name_en}. Sample data of an invented city.",
        "themes": THEMES[bureau],
        "endpoints": [{"url": path if is_own else f"https://{bureau}.lanwan.example/{kind}/{identity}", "kind": kind}],
        "collection_id": collection if is_own else None,
        "share_class": share,
        "cim_level": level,
        "area_code": place.code,
        "bbox": [west, south, east, north],
        "licence": LICENCES[share],
        "contact": f"{owner}@lanwan.example",
        "update_cycle": cycle,
    }


def write_offers(folder: Path, plan: CityPlan, areas: list[Area]) -> tuple[Path, Path]:
    """organisations.yaml and services.yaml in `folder`."""
    owners = organisations(plan, areas)
    paths = folder / "organisations.yaml", folder / "services.yaml"
    for path, key, rows in ((paths[0], "organisations", owners), (paths[1], "services", services(plan, areas, owners))):
        text = yaml.dump({key: rows}, Dumper=_Dumper, allow_unicode=True, sort_keys=False, width=120)
        path.write_text(text, encoding="utf-8")
    return paths


class _Dumper(getattr(yaml, "CSafeDumper", yaml.SafeDumper)):  # type: ignore[misc]
    """Rows of one list each on lines of their own; a list that several rows share is written each time."""

    def ignore_aliases(self, data: Any) -> bool:
        return True
