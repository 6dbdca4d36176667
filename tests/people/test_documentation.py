"""The guide to people and grants, its blocks run in their order as they stand there."""

import re
import shlex
import subprocess
import sys

from tests.conftest import ROOT, environment
from tests.people.conftest import ADMIN

GUIDE = (ROOT / "docs" / "people.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```sh\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL)


def test_the_guide_runs_as_it_stands(module_database_url, make_node, tmp_path):
    node = make_node(module_database_url, is_populated=False)
    program = shlex.join([sys.executable, "-m", "cim.cli.main"])
    script = "\n".join(["set -euo pipefail", f'cim() {{ {program} "$@"; }}', *BLOCKS])
    env = environment(DATABASE_URL=module_database_url, NODE=node.url, ADMIN=ADMIN, PYTHONPATH=str(ROOT))
    done = subprocess.run(
        ["bash", "-c", script], env=env, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert '"FeatureCollection"' in done.stdout
    assert "城市内涝模拟" in done.stdout
    assert '"revoked_why":"the project has ended"' in done.stdout


def test_five_calls_lead_from_a_service_to_its_meter():
    assert len(re.findall(r"curl -sf|^cim load", BLOCKS[1], re.M)) == 5


def test_people_are_made_and_listed_on_the_machine(cim):
    assert cim("people", "organisation", "city", "--name", "市局").code == 0
    made = cim("people", "add", "mayor", "--organisation", "city", "--duties", "city_admin")
    assert made.code == 0, made.err
    assert "inv_" in made.out
    assert cim("people", "add", "mayor", "--organisation", "city").code == 1
    assert cim("people", "add", "other", "--organisation", "none").code == 1
    assert "city_admin" in cim("people", "list").out
