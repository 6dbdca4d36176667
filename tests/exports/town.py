"""Features with everything that formats stumble over, and how an export is fetched."""

import time
from datetime import UTC, date, datetime
from typing import Any

from shapely import wkt

from cim.model import Kind, Property
from tests.city import City

NAMES = [
    "深圳市民中心",
    'say "hi", twice',
    "two\nlines",
    "=1+1",
    "+86 755",
    "-5",
    "@sum",
    "'=kept",
    "",
    None,
]
"""Texts by row; the fourth to the eighth look like formulas."""

PROPERTIES = (
    Property("name", Kind.TEXT, "名称", "Name"),
    Property("registration_code", Kind.INTEGER, "登记号", "Registration code"),
    Property("registration_note", Kind.TEXT, "登记备注", "Registration note"),
    Property("height_m", Kind.NUMBER, "高度", "Height", unit="m"),
    Property("built", Kind.DATE, "建成日期", "Built"),
    Property("seen", Kind.INSTANT, "巡查时间", "Seen"),
    Property("is_open", Kind.BOOLEAN, "开放", "Open"),
    Property("more", Kind.JSON, "更多", "More"),
)

POLYGON = "POLYGON((114.05 22.54, 114.06 22.54, 114.06 22.55, 114.05 22.54))"
MULTI = "MULTIPOLYGON(((114.1 22.6, 114.11 22.6, 114.11 22.61, 114.1 22.6)),((114.2 22.6,114.21 22.6,114.21 22.61,114.2 22.6)))"


def values(number: int) -> dict[str, Any]:
    """What row `number` holds; the last one holds nothing."""
    if NAMES[number] is None:
        return {}
    return {
        "name": NAMES[number],
        "registration_code": 440300000000000001 + number,
        "registration_note": f"备注 {number}",
        "height_m": 3.3 * number,
        "built": date(1999, 12, 31 - number),
        "seen": datetime(2024, 5, 1, 12, number, tzinfo=UTC),
        "is_open": number % 2 == 0,
        "more": {"楼层": number},
    }


def town(city: City, collection: str, geometry_type: str) -> dict[str, Any]:
    """A collection of ten features; ids and geometries (None for the last)."""
    city.dataset(collection, *PROPERTIES, geometry_type=geometry_type)
    made = {}
    for number in range(len(NAMES)):
        shape: Any = None
        if NAMES[number] is not None:
            text = f"POINT({114 + number / 100} 22.5)"
            if geometry_type != "Point":
                text = POLYGON if number % 2 else MULTI
            shape = wkt.loads(text)
        made[city.feature(collection, shape, valid_from="2020-01-01T00:00:00Z", **values(number))] = shape
    return made


def fetched(client: Any, path: str, **parameters: str) -> bytes:
    """The body of an export, waited for where it is made as a job."""
    answer = client.get(path, params=parameters)
    if answer.status_code == 202:
        answer = client.get(enclosure(finished(client, answer)))
    assert answer.status_code == 200, answer.text
    return answer.content


def finished(client: Any, answer: Any, timeout_s: float = 120) -> dict[str, Any]:
    """The status document of a job when it has ended."""
    assert answer.status_code == 202, answer.text
    address = answer.headers["location"]
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        document: dict[str, Any] = client.get(address).json()
        if document["state"] not in ("queued", "running"):
            return document
        time.sleep(0.1)
    raise AssertionError(f"the export did not end: {document}")


def enclosure(document: dict[str, Any]) -> str:
    """Where the file is."""
    assert document["state"] == "completed", document
    return next(str(link["href"]) for link in document["links"] if link["rel"] == "enclosure")
