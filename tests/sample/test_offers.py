"""Organisations and services of the sample city."""

import yaml

from cim.catalogue.service import SHARE_CLASSES, checked, missing_for_the_shelf
from sample_data.areas import found_communities, tree
from sample_data.offers import organisations, services, write_offers
from sample_data.plan import plan_city


def test_the_reference_city_has_53_organisations_and_4512_services():
    plan = plan_city(1_000_000)
    areas = tree(found_communities(plan, 1000.0))
    owners = organisations(plan, areas)
    offered = services(plan, areas, owners)
    assert len({o["id"] for o in owners}) == len({o["name_zh"] for o in owners}) == 53
    assert len({s["id"] for s in offered}) == len(offered) == 4512
    assert {s["organisation_id"] for s in offered} <= {o["id"] for o in owners}
    assert {s["area_code"] for s in offered} <= {a.code for a in areas}


def test_files_hold_what_the_service_table_takes(generated, tmp_path):
    city = generated.founded
    owners, offered = (
        yaml.safe_load(p.read_text(encoding="utf-8")) for p in write_offers(tmp_path, city.plan, city.areas)
    )
    assert len(owners["organisations"]) == 10
    assert len(offered["services"]) == 30
    for row in offered["services"]:
        state = row.pop("state")
        assert state in ("draft", "published")
        assert row["title_en"].isascii()
        assert checked(row)["share_class"] in SHARE_CLASSES
        assert not missing_for_the_shelf(row)


def test_services_of_this_node_name_their_collection(generated):
    city = generated.founded
    offered = services(city.plan, city.areas, organisations(city.plan, city.areas))
    own = {s["collection_id"] for s in offered if s["collection_id"]}
    assert own == {"buildings", "areas", "sensors", "cameras", "imagery"}
