"""The README's questions, asked as they stand there of the sample city that `make run` makes."""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx2
import pytest

from cim.cli.sample import generate_and_load
from cim.settings import Settings
from tests.conftest import ROOT, environment, serving

README = (ROOT / "README.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^## (.*?)\n(.*?)(?=^## |\Z)", README, re.MULTILINE | re.DOTALL))
COMMANDS = re.findall(r"^curl .*?(?=\n\n|\n```)", SECTIONS["The first five questions"], re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def url(module_database_url: str) -> Any:
    """A server over the default sample city."""
    generate_and_load(Settings(DATABASE_URL=module_database_url), buildings=2000)
    with serving(module_database_url) as server:
        yield server.url


def test_the_readme_asks_five_questions() -> None:
    assert len(COMMANDS) == 5


@pytest.mark.parametrize("command", COMMANDS)
def test_each_question_has_an_answer(url: str, command: str) -> None:
    words = shlex.split(command.replace("\n", " "))[1:]
    address = next(word for word in words if word.startswith("http")).replace("http://127.0.0.1:8000", url)
    if "-d" in words:
        body = words[words.index("-d") + 1]
        answer = httpx2.post(address, content=body, headers={"Content-Type": "application/json"})
    else:
        answer = httpx2.get(address)
    assert answer.status_code == 200, answer.text[:300]
    document = json.loads(answer.content)
    found = document.get("features") or document.get("groups") or document.get("collections")
    assert found, document


def test_five_steps_lead_from_a_service_to_its_meter(url: str, module_database_url: str, tmp_path: Path) -> None:
    (block,) = re.findall(
        r"^```sh\n(.*?)^```$", SECTIONS["A service, from the shelf to its meter"], re.MULTILINE | re.DOTALL
    )
    assert [int(n) for n in re.findall(r"(\d)\. [A-Z]", block)] == [1, 2, 3, 4, 5]
    program = shlex.join([sys.executable, "-m", "cim.cli.main"])
    script = f"set -euo pipefail\n{block.replace('.venv/bin/cim', program).replace('http://127.0.0.1:8000', url)}"
    asked = f'curl -sf -H "X-API-Key: $CALLER" {url}/statements'
    booked = f"until {asked} | grep -q '\"calls\":1'; do sleep 0.5; done"
    script = script.replace("sleep 2 ", f"{booked} ")
    env = environment(DATABASE_URL=module_database_url, PYTHONPATH=str(ROOT))
    done = subprocess.run(
        ["bash", "-c", script], env=env, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert '"FeatureCollection"' in done.stdout
    (group,) = json.loads(done.stdout[done.stdout.rindex('{"side"') :])["groups"]
    assert (group["service"], group["calls"]) == ("towers", 1)


def test_the_first_person_is_made_on_the_machine_and_logs_in(url: str, module_database_url: str) -> None:
    (block,) = re.findall(r"^```sh\n(.*?)^```$", SECTIONS["The same in a browser"], re.MULTILINE | re.DOTALL)
    program = shlex.join([sys.executable, "-m", "cim.cli.main"])
    env = environment(DATABASE_URL=module_database_url, PYTHONPATH=str(ROOT))
    words = ["bash", "-euc", block.replace(".venv/bin/cim", program)]
    done = subprocess.run(words, env=env, capture_output=True, text=True, check=False, timeout=60)
    (invitation,) = re.findall(r"inv_[\w-]+", done.stdout)
    with httpx2.Client(base_url=url) as client:
        form = {"token": invitation, "password": "correct horse battery"}
        assert client.post("/invitation", data=form).status_code == 303
        desk = client.get("/desk", headers={"Accept": "text/html"})
    assert desk.status_code == 200
    assert "mayor" in desk.text
