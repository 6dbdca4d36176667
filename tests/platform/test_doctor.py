"""`cim doctor`: all well here; what is not well comes with the line that mends it."""

import json
import os
import socket
from typing import Any

import pytest

from tests.conftest import free_port
from tests.platform.programs import run_cim, short_folder


def told(**settings: str) -> tuple[int, dict[str, dict[str, Any]]]:
    """The exit code and the findings by name."""
    ran = run_cim("doctor", "--json", **{"CIM_PORT": str(free_port()), **settings})
    assert "Traceback" not in ran.err
    return ran.code, {finding["name"]: finding for finding in json.loads(ran.out)}


def test_all_is_well_on_this_machine(database_url):
    code, findings = told(DATABASE_URL=database_url)
    assert [f for f in findings.values() if not f["is_well"]] == []
    assert code == 0
    assert {"python", "packages", "database", "port", "page"} <= set(findings)
    assert "the audit is guarded by a role of its own" in findings["database"]["detail"]


def test_all_is_well_for_a_node_with_its_own_cluster():
    with short_folder() as folder:
        code, findings = told(CIM_DATA_DIR=str(folder))
        assert not (folder / "postgres").exists()
    assert [f for f in findings.values() if not f["is_well"]] == []
    assert code == 0
    assert {"postgresql", "postgis", "account", "locale", "data folder", "socket path", "cluster"} <= set(findings)


def test_a_busy_port_is_told_in_words_with_the_setting_that_mends_it(database_url):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = str(listener.getsockname()[1])
        ran = run_cim("doctor", DATABASE_URL=database_url, CIM_PORT=port)
    assert ran.code == 1
    assert f"fix  port: 127.0.0.1:{port} is in use" in ran.out
    assert "CIM_PORT=" in ran.out
    assert ran.out.count("fix  ") == 1


def test_a_port_that_this_node_serves_is_well(module_server, module_database_url):
    port = module_server.url.rpartition(":")[2]
    code, findings = told(DATABASE_URL=module_database_url, CIM_PORT=port)
    assert (code, findings["port"]["is_well"], findings["port"]["mend"]) == (0, True, "")
    assert "served by OpenCIM" in findings["port"]["detail"]


@pytest.mark.parametrize(
    ("data_dir", "name"),
    [("/dev/null/city", "data folder"), ("/tmp/" + "d" * 120, "socket path")],
    ids=["not a folder", "too long"],
)
def test_a_data_folder_that_cannot_be_is_told(data_dir, name):
    code, findings = told(CIM_DATA_DIR=data_dir)
    assert code == 1
    assert not findings[name]["is_well"]
    assert "set CIM_DATA_DIR" in findings[name]["mend"]


def test_a_data_folder_that_the_account_of_postgresql_cannot_enter_is_told(tmp_path):
    tmp_path.chmod(0o600)
    if os.geteuid() != 0:
        tmp_path.chmod(0o400)
    code, findings = told(CIM_DATA_DIR=str(tmp_path / "city"))
    tmp_path.chmod(0o700)
    assert code == 1
    assert not findings["data folder"]["is_well"]
    assert "set CIM_DATA_DIR" in findings["data folder"]["mend"]


@pytest.mark.parametrize("url", ["postgresql://cim:secret@127.0.0.1:1/cim", "nonsense"])
def test_a_database_that_is_not_there_is_told_without_the_password(url):
    code, findings = told(DATABASE_URL=url)
    assert code == 1
    assert not findings["database"]["is_well"]
    assert findings["database"]["mend"]
    assert "secret" not in json.dumps(findings)
