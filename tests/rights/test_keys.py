"""Keys carry rights: how they are asked for, listed and refused (catalogue B41)."""

import json

import pytest

from tests.city import feature_collections
from tests.problems import assert_problem

LIMITS = {
    "collections": ["buildings", "cameras"],
    "area_code": "440305",
    "hidden": ["cameras.operator", "height_m"],
    "precision_m": 250,
}


def test_a_key_is_made_with_its_limits_and_listed_with_them(admin):
    made = admin.post("/admin/keys", json={"role": "reader", "label": "街道办", **LIMITS})
    assert made.status_code == 201
    (listed,) = [k for k in admin.get("/admin/keys").json()["keys"] if k["prefix"] == made.json()["prefix"]]
    for document in (made.json(), listed):
        assert {name: document[name] for name in LIMITS} == LIMITS
        assert document["role"] == "reader"


def test_a_city_code_with_zeros_is_the_city(admin):
    assert admin.post("/admin/keys", json={"area_code": "440300000000"}).json()["area_code"] == "4403"


def test_an_empty_list_of_collections_is_no_collection(caller):
    nobody = caller(collections=[])
    assert feature_collections(nobody) == []
    assert_problem(nobody.get("/collections/buildings"), status=404, code="not-found")


@pytest.mark.parametrize(
    ("body", "parameter"),
    [
        ({"role": "root"}, "role"), ({"role": "Admin"}, "role"), ({"role": 1}, "role"),
        ({"collections": "buildings"}, "collections"), ({"collections": ["building"]}, "collections"),
        ({"collections": [None]}, "collections"), ({"collections": [["buildings"]]}, "collections"),
        ({"area_code": 440305}, "area_code"), ({"area_code": "4403%"}, "area_code"), ({"area_code": ""}, "area_code"),
        ({"hidden": ["hight_m"]}, "hidden"), ({"hidden": ["sensors.height_m"]}, "hidden"), ({"hidden": "height_m"}, "hidden"),
        ({"hidden": ["height_m\u0000"]}, "hidden"), ({"hidden": {"height_m": True}}, "hidden"),
        ({"precision_m": 0}, "precision_m"), ({"precision_m": -5}, "precision_m"), ({"precision_m": "100"}, "precision_m"),
        ({"precision_m": True}, "precision_m"), ({"precision_m": 1e9}, "precision_m"),
        ({"role": "admin", "area_code": "440305"}, "area_code"), ({"role": "admin", "collections": ["areas"]}, "collections"),
        ({"role": "editor", "hidden": ["height_m"]}, "hidden"), ({"role": "editor", "precision_m": 100}, "precision_m"),
    ],
)  # fmt: skip
def test_a_key_with_limits_that_mean_nothing_is_not_made(admin, body, parameter):
    before = len(admin.get("/admin/keys").json()["keys"])
    assert_problem(admin.post("/admin/keys", json=body), status=400, code="invalid-parameter", parameter=parameter)
    assert len(admin.get("/admin/keys").json()["keys"]) == before


def test_the_command_line_makes_and_lists_the_same(cim):
    words = ("--role", "editor", "--collections", "buildings", "--area", "440305", "--label", "南山区")
    made = cim("db", "key", "create", *words, "--json")
    assert made.code == 0, made.err
    assert json.loads(made.out)["area_code"] == "440305"
    masked = cim("db", "key", "create", "--hide", "height_m,cameras.name", "--precision-m", "100", "--json")
    assert masked.code == 0, masked.err
    keys = json.loads(cim("db", "key", "list", "--json").out)
    assert [(k["role"], k["collections"], k["area_code"], k["hidden"], k["precision_m"]) for k in keys] == [
        ("editor", ["buildings"], "440305", [], None),
        ("reader", None, None, ["cameras.name", "height_m"], 100.0),
    ]
    assert "area_code: 440305" in cim("db", "key", "list").out
    refused = cim("db", "key", "create", "--hide", "hight_m")
    assert refused.code != 0
    assert "hidden" in refused.err + refused.out
