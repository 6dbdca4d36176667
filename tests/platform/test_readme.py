"""The README's questions, asked as they stand there of the sample city that `make run` makes."""

import json
import re
import shlex
from typing import Any

import httpx2
import pytest

from cim.cli.sample import generate_and_load
from cim.settings import Settings
from tests.conftest import ROOT, serving

README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^curl .*?(?=\n\n|\n```)", README, re.MULTILINE | re.DOTALL)


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
