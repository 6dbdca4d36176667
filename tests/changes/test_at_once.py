"""Edits at the same time: each is one change, in the order of the collection's versions, and the statistics add up."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import shapely

from tests.changes.conftest import ITEMS, feature
from tests.city import City

GEOJSON = {"Content-Type": "application/geo+json"}
PATCH = {"Content-Type": "application/merge-patch+json"}


def test_changes_at_once_are_each_one_version_and_none_is_lost(admin: Any, city: City) -> None:
    ids = [
        admin.post(ITEMS, json=feature(114.01 + n * 1e-3), headers=GEOJSON).json()["id"]
        for n in range(6)
    ]  # fmt: skip
    first = int(
        city.run_text("SELECT version FROM cim.collection_stats WHERE collection_id = 'buildings'").fetchone()[0]
    )

    def edit(number: int) -> tuple[str, int]:
        one = f"{ITEMS}/{ids[number % len(ids)]}"
        match number % 4:
            case 0:
                return "made", admin.post(
                    ITEMS, json=feature(114.02, 22.51 + number * 1e-3), headers=GEOJSON
                ).status_code
            case 1:
                moved = feature(114.03, 22.51 + number * 1e-3, name=f"moved {number}")
                return "moved", admin.put(one, json=moved, headers={**GEOJSON, "If-Match": "*"}).status_code
            case 2:
                tag = admin.get(one).headers["etag"]
                named = {"properties": {"name": f"name {number}"}}
                return "named", admin.patch(one, json=named, headers={**PATCH, "If-Match": tag}).status_code
        same = {**feature(114.04, 22.51), "id": f"twin-{number // 8}"}
        return "twin", admin.post(ITEMS, json=same, headers=GEOJSON).status_code

    with ThreadPoolExecutor(12) as pool:
        done = list(pool.map(edit, range(80)))
    good = [what for what, status in done if status < 300]
    assert {status for _, status in done} <= {200, 201, 409, 412}
    assert good.count("made") == 20
    assert good.count("twin") == 10  # of two that bring the same id one is first

    changes = city.run_text(
        f"SELECT version, recorded_at FROM cim.change WHERE collection_id = 'buildings' AND version > {first} ORDER BY version"
    ).fetchall()
    assert [row[0] for row in changes] == list(range(first + 1, first + 1 + len(good)))
    instants = [row[1] for row in changes]
    assert instants == sorted(set(instants))

    written = city.run_text(
        "SELECT (SELECT count(*) FROM cim.building), (SELECT feature_count FROM cim.collection_stats WHERE "
        "collection_id = 'buildings'), (SELECT count(*) FROM cim.building_history WHERE superseded_at IN "
        f"(SELECT recorded_at FROM cim.change WHERE collection_id = 'buildings' AND version > {first}))"
    ).fetchone()
    assert written[0] == written[1]
    assert written[2] == good.count("moved") + good.count("named")
    for one in ids:  # every version begins when the one before it ends
        versions = admin.get(f"{ITEMS}/{one}/history").json()["versions"]
        ends = [version["supersededAt"] for version in versions[1:]]
        assert ends == [version["recordedAt"] for version in versions[:-1]]


def test_bounds_are_those_of_the_features_after_many_left_the_edge_at_once(admin: Any, city: City) -> None:
    far = [admin.post(ITEMS, json=feature(113.0 + n * 1e-2, 22.0), headers=GEOJSON).json()["id"] for n in range(8)]
    with ThreadPoolExecutor(8) as pool:
        gone = list(
            pool.map(lambda one: admin.delete(f"{ITEMS}/{one}", headers={"If-Match": "*"}).status_code, far)
        )  # fmt: skip
    assert gone == [204] * 8
    told, true = city.run_text(
        "SELECT ST_AsText(bounds), ST_AsText(ST_Envelope((SELECT ST_Collect(geom) FROM cim.building))) "
        "FROM cim.collection_stats WHERE collection_id = 'buildings'"
    ).fetchone()
    assert shapely.from_wkt(told).equals_exact(shapely.from_wkt(true), 1e-12, normalize=True)
    by_hand = {"properties": {"name": "as it is"}}
    edge = admin.post(ITEMS, json=feature(113.5, 22.0), headers=GEOJSON).json()["id"]
    assert admin.patch(f"{ITEMS}/{edge}", json=by_hand, headers={**PATCH, "If-Match": "*"}).status_code == 200
    again = city.run_text(
        "SELECT ST_XMin(bounds) FROM cim.collection_stats WHERE collection_id = 'buildings'"
    ).fetchone()
    assert again[0] == 113.5
