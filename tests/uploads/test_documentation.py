"""What `docs/administration.md` says is what the server does."""

import re
import shlex
from pathlib import Path

import httpx2

from api.record_query import CONDITIONS as RECORD_CONDITIONS
from api.record_query import EXPORT_NAMES
from api.routes.loads import FIELDS
from cim.settings import Settings
from tests.conftest import ROOT
from tests.loading.conftest import feature
from tests.uploads.conftest import ADMIN, Sender
from tests.uploads.test_sending import collection_of

_CONDITIONS_OF_RECORDS = {name for one in RECORD_CONDITIONS for name in (one.name, *one.also)}

TEXT = (ROOT / "docs" / "administration.md").read_text(encoding="utf-8")


def called(line: str, folder: Path) -> httpx2.Response:
    """What a `curl` line of the text does."""
    words = iter(shlex.split(line, comments=True)[1:])
    method, address, headers, content = "", "", {}, b""
    fields: dict[str, str] = {}
    files: dict[str, tuple[str, bytes]] = {}
    for word in words:
        if not word.startswith("-"):
            address = word
            continue
        value = next(words)
        name, _, rest = value.partition("=")
        match word:
            case "-X":
                method = value
            case "-H":
                headers[value.partition(": ")[0]] = value.partition(": ")[2]
            case "-d":
                content = value.encode()
            case "--data-binary":
                content = (folder / value.removeprefix("@")).read_bytes()
            case "-F" if rest.startswith("@"):
                files[name] = (rest[1:], (folder / rest[1:]).read_bytes())
            case "-F":
                fields[name] = rest
            case _:
                raise AssertionError(word)
    with httpx2.Client(headers=headers, timeout=30) as client:
        if files:
            return client.post(address, data=fields, files=files)
        return client.request(method or ("POST" if content else "GET"), address, content=content)


def test_its_commands_work(sender: Sender, tmp_path: Path) -> None:
    (tmp_path / "buildings.geojson").write_bytes(collection_of(feature("a")))
    (tmp_path / "stops.csv").write_text("id,lon,lat\n1,114.05,22.54\n", encoding="utf-8")
    made = sender.http.post("/admin/keys", json={"label": "old"}).json()
    run_id, statuses = "17", []
    for line in [line for line in TEXT.splitlines() if line.startswith("    curl ")]:
        command = (
            line.replace("$KEY", ADMIN).replace("$NODE", sender.server.url).replace("cim_xxxxxxxx", made["prefix"])
        )
        answer = called(command.replace("/admin/loads/17", f"/admin/loads/{run_id}"), tmp_path)
        statuses.append(answer.status_code)
        if answer.status_code == 202:
            load = sender.ended(answer)
            assert (load["state"], load["account"]["inserted"]) == ("completed", 1), load
            run_id = str(load["id"])
    assert statuses == [201, 200, 204, 202, 202, 200, 200]


def test_its_settings_fields_and_parameters_are_those_there_are() -> None:
    for name in re.findall(r"`CIM_(\w+)`", TEXT):
        assert name.lower() in Settings.model_fields, name
    fields = re.search(r"options of `cim load`: `([^`]+)`", TEXT)
    assert fields is not None
    assert set(fields[1].split()) == set(FIELDS) - {"filename"}
    found = (ROOT / "docs" / "catalogue.md").read_text(encoding="utf-8").split("## Finding services")[1]
    table = found[found.index("| parameter |") : found.index("`sortby` takes")]
    told = {
        name for line in table.splitlines()[2:] if line for name in re.findall(r"`([A-Za-z-]+)`", line.split("|")[1])
    }
    assert told <= set(EXPORT_NAMES)
    assert told >= _CONDITIONS_OF_RECORDS
