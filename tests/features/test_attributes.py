"""Fields of a source that no property took: shown with the single feature, not on every page."""

from typing import Any

from tests.city import City, square


def test_a_single_feature_shows_what_no_property_took(city: City, client: Any) -> None:
    feature_id = city.feature("buildings", square(114.05, 22.54), name="塔楼")
    city.connection.execute('UPDATE cim.building SET attributes = \'{"备注": "x"}\' WHERE id = %s', [feature_id])
    properties = client.get(f"/collections/buildings/items/{feature_id}").json()["properties"]
    assert properties["attributes"] == {"备注": "x"}
    assert properties["name"] == "塔楼"
    page = client.get("/collections/buildings/items").json()
    assert "attributes" not in page["features"][0]["properties"]
    assert "attributes" in client.get("/collections/buildings/schema").json()["properties"]
    assert "备注" in client.get(f"/collections/buildings/items/{feature_id}", params={"f": "html"}).text
