"""What is in the repository: no address of an index, no path of one machine, locks that pin, words that exist."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from cim.cli.main import app
from tests.conftest import ROOT
from tests.platform.test_cli import commands

HOSTS = [a + b for a, b in (("pypi", ".org"), ("files.python", "hosted"), ("registry.npm", "js"), ("cdn.js", "delivr"))]
UNWANTED = [*HOSTS, "unpkg" + ".com", "/wo" + "rk/", "/root/" + "."]


def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def in_a_checkout() -> bool:
    done = subprocess.run(
        ["git", "-C", ROOT, "rev-parse", "--show-toplevel"], capture_output=True, text=True, check=False
    )
    return done.returncode == 0 and Path(done.stdout.strip()).resolve() == ROOT


@pytest.mark.skipif(not in_a_checkout(), reason="these files are no git checkout")
@pytest.mark.parametrize("word", UNWANTED)
def test_no_file_names_a_package_index_or_a_path_of_one_machine(word):
    done = subprocess.run(["git", "-C", ROOT, "grep", "-InF", word], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")


def test_every_python_package_is_pinned_with_hashes_and_no_index():
    for name in ("requirements/all.txt", "requirements/node.txt"):
        lock = text(name)
        options = [line for line in lock.splitlines() if line.startswith("-")]
        assert options == [], name
        packages = re.findall(r"^[a-z0-9].*", lock.replace("\\\n", " "), re.M)
        assert packages, name
        assert [p.split()[0] for p in packages if "==" not in p or "--hash=sha256:" not in p] == [], name


def test_the_lock_holds_every_declared_package():
    declared = re.findall(r'^  "([A-Za-z0-9-]+)(?:\[[a-z]+\])?(?:>=[^"]*)?",?$', text("pyproject.toml"), re.M)
    locked = set(re.findall(r"^([a-z0-9-]+)(?:\[[a-z,]+\])?==", text("requirements/all.txt"), re.M))
    assert len(declared) > 30
    assert {name.lower() for name in declared} - locked == set()


def test_the_page_s_packages_are_pinned_with_hashes_and_no_address():
    packages = json.loads(text("web/package-lock.json"))["packages"]
    installed = {name: facts for name, facts in packages.items() if name and not facts.get("link")}
    assert installed
    assert [name for name, facts in installed.items() if "resolved" in facts] == []
    assert [name for name, facts in installed.items() if not facts.get("integrity", "").startswith("sha512-")] == []


def test_the_containers_are_described():
    described = yaml.safe_load(text("docker-compose.yml"))
    services = described["services"]
    assert {"database", "migrate", "api"} <= set(services)
    # the city's uploads waiting to be loaded are not the district's
    assert services["district-api"]["volumes"] != services["api"]["volumes"]
    mounted = {volume.partition(":")[0] for service in services.values() for volume in service.get("volumes", [])}
    assert mounted == set(described["volumes"])
    assert services["api"]["depends_on"]["migrate"]["condition"] == "service_completed_successfully"


def has_compose() -> bool:
    if not shutil.which("docker"):
        return False
    return subprocess.run(["docker", "compose", "version"], capture_output=True, check=False).returncode == 0


@pytest.mark.skipif(not has_compose(), reason="docker's compose plugin is not here")
def test_compose_takes_the_description():
    env = {**os.environ, "POSTGRES_PASSWORD": "word", "CIM_ADMIN_KEY": "key"}
    for profile in ([], ["--profile", "district"]):
        done = subprocess.run(
            ["docker", "compose", *profile, "config", "-q"],
            cwd=ROOT,
            env=env,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr


def test_the_layers_import_each_other_as_declared():
    code = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    done = subprocess.run(
        [sys.executable, "-c", code, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 kept, 0 broken" in done.stdout


def readmes() -> str:
    return "\n".join(
        text(str(p.relative_to(ROOT))) for p in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    )


def test_every_make_verb_of_the_documents_is_in_the_makefile():
    verbs = set(re.findall(r"(?:^|`)make ([a-z-]+)", readmes(), re.M))
    assert {"run", "test"} <= verbs
    assert verbs - set(re.findall(r"^([a-z-]+):", text("Makefile"), re.M)) == set()


def test_every_cim_command_of_the_documents_exists_with_its_options():
    from typer.main import get_command

    known = dict(commands(get_command(app)))
    called = re.findall(r"(?:^\.venv/bin/|`|^)cim ((?:[a-z]+ ?)+)([^`\n#]*)", readmes(), re.M)
    assert called
    for words, rest in called:
        name = next(
            (n for n in sorted(known, key=len, reverse=True) if (words.strip() + " ").startswith(n + " ")), None
        )
        groups = {n.rpartition(" ")[0] for n in known}
        assert name or words.strip() in groups, f"cim {words}"
        if name:
            options = {o for p in known[name].params for o in (*p.opts, *p.secondary_opts)} | {"--help"}
            assert set(re.findall(r"(?<!\S)--[a-z-]+", rest)) - options == set(), f"cim {words}{rest}"


def test_every_link_between_documents_leads_somewhere():
    for path in [ROOT / "README.md", ROOT / "sample_data" / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]:
        for target in re.findall(r"\]\((?!https?:|#|mailto:)([^)#\s]+)", path.read_text(encoding="utf-8")):
            assert (path.parent / target).exists(), f"{path.relative_to(ROOT)} → {target}"
