"""The `cim` program: what it says, how it ends, and that it starts quickly."""

import csv
import io
import json
import os
import pty
import re
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest
from typer.main import get_command

from cim.cli.main import app
from tests.conftest import Ran, environment
from tests.loading.conftest import feature, write_geojson
from tests.platform.programs import CIM, run_cim

HEAVY = ("numpy", "pandas", "geopandas", "pyogrio", "pyarrow", "rasterio", "shapely", "fastapi", "sqlalchemy")
COUNTS = ("read", "inserted", "updated", "unchanged", "rejected")
COLOUR = re.compile(rb"\x1b\[[0-9;]*3[0-7]m")

Program = Callable[..., Ran]


@pytest.fixture(scope="module")
def city(module_database_url: str) -> Program:
    """`city("status")`: the program on a database that this file's tests share."""
    return partial(run_cim, DATABASE_URL=module_database_url)


@pytest.fixture(scope="module")
def loaded(city: Program, tmp_path_factory: pytest.TempPathFactory) -> tuple[Ran, int]:
    """A load of three buildings, one of them twice: how it ended, and the number of its run."""
    path = tmp_path_factory.mktemp("load") / "three.geojson"
    write_geojson(path, [feature("a"), feature("b", 114.06), feature("b", 114.07, name="=1+1")])
    ran = city("load", "buildings", path, "--map", "id=id", "--json")
    return ran, json.loads(ran.out.splitlines()[-1])["sources"][0]["run_id"]


def commands(group: Any, words: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    """Every command with the words that call it."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, (*words, name))
        else:
            yield " ".join((*words, name)), command


ALL = dict(commands(get_command(app)))


def one_line(ran: Ran) -> str:
    """What was said of a failure, in one line (beneath the progress of a load)."""
    assert ran.code == 1, ran
    lines = [line for line in ran.err.strip().splitlines() if "━" not in line]
    assert len(lines) == 1, ran.err
    return lines[0]


def test_help_fits_a_screen_and_names_every_command():
    ran = run_cim("--help", COLUMNS="100")
    assert ran.code == 0
    lines = ran.out.splitlines()
    assert len(lines) <= 40
    assert max(map(len, lines)) <= 100
    for name in {name.split()[0] for name in ALL}:
        assert re.search(rf"^│ {name} ", ran.out, re.M), name


def test_help_needs_two_seconds_at_most_and_none_of_the_heavy_packages():
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-X", "importtime", *CIM[1:], "--help"], capture_output=True, text=True, check=True, cwd="/"
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime <= 2
    imported = {line.rpartition("|")[2].strip().split(".")[0] for line in done.stderr.splitlines()}
    assert "typer" in imported
    assert imported & set(HEAVY) == set()


def test_version():
    ran = run_cim("--version")
    assert (ran.code, bool(re.fullmatch(r"cim \d+\.\d+\.\d+\n", ran.out))) == (0, True)


@pytest.mark.parametrize("words", ["--nonsense", "nonsense", "load", "sample --buildings many", "db nonsense"])
def test_wrong_usage_ends_with_two(words):
    ran = run_cim(*words.split())
    assert ran.code == 2
    assert "Traceback" not in ran.err
    assert "Usage" in ran.err


@pytest.mark.parametrize("name", ALL)
def test_every_command_says_what_it_does_and_gives_an_example(name):
    text = ALL[name].help or ""
    assert f"Example: cim {name}" in text
    for parameter in ALL[name].params:
        assert getattr(parameter, "help", None), f"{parameter.name} of {name} has no help"


@pytest.mark.parametrize(
    "url", ["postgresql://cim:secret@127.0.0.1:1/cim", "postgresql://cim:secret@127.0.0.1:x/cim", "nonsense"]
)
def test_a_database_that_is_not_there_is_one_line_without_the_password(url):
    assert "secret" not in one_line(run_cim("status", DATABASE_URL=url))


@pytest.mark.parametrize(("name", "value"), [("CIM_PORT", "abc"), ("CIM_POOL_SIZE", "1.5")])
def test_a_malformed_setting_is_one_line_that_names_it(name, value):
    for words in ("status", "serve", "doctor"):
        said = one_line(run_cim(words, **{name: value}))
        assert f"{name}='{value}'" in said
        assert "valid integer" in said


def test_a_database_that_gives_up_is_one_line(city, module_database_url):
    with psycopg.connect(module_database_url, autocommit=True) as connection:
        connection.execute(f'ALTER DATABASE "{connection.info.dbname}" SET lock_timeout = 100'.encode())
        try:
            connection.execute("BEGIN")
            connection.execute("LOCK cim.api_key")
            said = one_line(city("db", "key", "create"))
            connection.execute("ROLLBACK")
        finally:
            connection.execute(f'ALTER DATABASE "{connection.info.dbname}" RESET lock_timeout'.encode())
    assert "lock timeout" in said


def test_psql_opens_on_the_database(module_database_url):
    done = subprocess.run(
        [*CIM, "db", "psql"],
        input="SELECT 6 * 7 AS answer;",
        env=environment(DATABASE_URL=module_database_url),
        capture_output=True,
        text=True,
        check=True,
    )
    assert "42" in done.stdout


def test_a_file_that_is_not_there_is_one_line(city):
    ran = city("load", "buildings", "/nowhere/missing.geojson")
    assert "missing.geojson" in one_line(ran)


def test_an_unknown_kind_and_a_bad_datum_are_one_line(city, tmp_path):
    path = write_geojson(tmp_path / "one.geojson", [feature("a")])
    assert "buildings" in one_line(city("load", "houses", path))
    assert "dataset" in one_line(city("load", "videos", "/nowhere/missing.xml"))
    assert "gcj02" in one_line(city("load", "buildings", "/nowhere/missing.geojson", "--datum", "mars"))


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_shell_completes_commands_kinds_and_datums(shell):
    """As the script of `cim --show-completion` asks."""

    def offered(*words: str) -> str:
        line = " ".join(words)
        asks = {
            "bash": {"COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1)},
            "zsh": {"_TYPER_COMPLETE_ARGS": line},
            "fish": {"_TYPER_COMPLETE_ARGS": line, "_TYPER_COMPLETE_FISH_ACTION": "get-args"},
        }[shell]
        done = subprocess.run(
            [sys.executable, "-c", "import sys; sys.argv = ['cim']; from cim.cli.main import run; run()"],
            env={**environment(), "_CIM_COMPLETE": f"complete_{shell}", **asks},
            capture_output=True,
            text=True,
            check=False,
        )
        return done.stdout

    assert {"collections"} <= set(re.findall(r"\w+", offered("cim", "col")))
    assert {"buildings", "dataset", "imagery"} <= set(re.findall(r"\w+", offered("cim", "load", "")))
    assert {"gcj02", "bd09"} <= set(re.findall(r"\w+", offered("cim", "load", "buildings", "x.shp", "--datum", "")))


def test_a_pipe_gets_each_row_of_a_table_on_one_line(city, loaded):
    _, run = loaded
    (row,) = [line.split() for line in city("status").out.splitlines() if line.split()[:1] == [str(run)]]
    assert row == [str(run), "buildings", "three", "completed", "3", "2", "0", "0", "1"]
    narrow = city("status", COLUMNS="60").out
    assert max(map(len, narrow.splitlines()[1:])) <= 60
    assert "…" not in narrow


def test_a_load_with_rejected_rows_ends_with_three_and_its_counts_as_json(loaded):
    ran, _ = loaded
    assert ran.code == 3
    total = json.loads(ran.out.splitlines()[-1])
    assert [total[name] for name in COUNTS] == [3, 2, 0, 0, 1]
    assert "Traceback" not in ran.err
    assert "cim load buildings mended.csv --source three" in ran.err


def test_an_error_with_json_is_json_too(city):
    ran = city("collections", "show", "nothing", "--json")
    assert ran.code == 1
    assert json.loads(ran.out)["error"]["code"] == "not-found"


def test_rejections_come_as_csv_geojson_and_json(city, loaded):
    _, run = loaded
    rows = list(csv.DictReader(io.StringIO(city("db", "rejections", run).out.removeprefix("\ufeff"))))
    assert len(rows) == 1
    assert "duplicate-id" in rows[0].values()
    features = json.loads(city("db", "rejections", run, "--format", "geojson").out)["features"]
    assert [f["geometry"]["type"] for f in features] == ["Polygon"]
    records = json.loads(city("db", "rejections", run, "--format", "json").out)
    assert "duplicate-id" in json.dumps(records)
    assert "json" in one_line(city("db", "rejections", run, "--format", "pdf"))


def test_status_tells_counts_and_loads(city, loaded):
    _, run = loaded
    told = json.loads(city("status", "--json").out)
    assert {c["id"]: c["features"] for c in told["collections"]}["buildings"] == 2
    load = next(r for r in told["loads"] if r["id"] == run)
    assert [load[name] for name in COUNTS] == [3, 2, 0, 0, 1]
    assert load["state"] == "completed"
    shown = city("status")
    assert shown.code == 0
    assert "buildings" in shown.out


def test_a_dataset_is_listed_shown_and_deleted_and_a_built_in_collection_stays(city, tmp_path):
    path = write_geojson(tmp_path / "trees.geojson", [feature(n, species="榕树", girth_cm=n * 10) for n in range(1, 4)])
    assert city("load", "dataset", path, "--collection", "trees", "--json").code == 0
    listed = {c["id"]: c["count"] for c in json.loads(city("collections", "list", "--json").out)}
    assert listed["trees"] == 3
    declared = json.loads(city("collections", "show", "trees", "--json").out)
    assert {"species", "girth_cm"} <= {p["name"] for p in declared["properties"]}
    assert "species" in city("collections", "show", "trees").out
    assert city("collections", "delete", "trees", "--yes").code == 0
    assert "trees" not in city("collections", "list").out
    assert "trees" in one_line(city("collections", "show", "trees"))
    assert "built in" in one_line(city("collections", "delete", "buildings", "--yes"))


def test_a_key_is_shown_once_listed_by_prefix_and_revoked(city):
    made = json.loads(city("db", "key", "create", "--role", "admin", "--label", "规划局", "--json").out)["key"]
    listed = city("db", "key", "list", "--json").out
    assert made not in listed
    entry = next(k for k in json.loads(listed) if made.startswith(k["prefix"]))
    assert (entry["role"], entry["label"], entry["revoked_at"]) == ("admin", "规划局", None)
    assert city("db", "key", "revoke", entry["prefix"]).code == 0
    after = next(k for k in json.loads(city("db", "key", "list", "--json").out) if k["prefix"] == entry["prefix"])
    assert after["revoked_at"]
    one_line(city("db", "key", "revoke", entry["prefix"]))
    assert "reader" in one_line(city("db", "key", "create", "--role", "king"))


def on_a_terminal(*words: str, **settings: str) -> bytes:
    """What a command writes on a terminal."""
    leader, follower = pty.openpty()
    env = {**environment(**settings), "TERM": "xterm-256color"}
    if not settings.get("NO_COLOR"):
        del env["NO_COLOR"]
    with subprocess.Popen([*CIM, *words], stdout=follower, stderr=follower, stdin=follower, env=env, cwd="/"):
        os.close(follower)
        written = b""
        try:
            while piece := os.read(leader, 65536):
                written += piece
        except OSError:  # Linux says so at the end of a terminal
            pass
    os.close(leader)
    return written


def test_no_color_is_obeyed():
    url = "postgresql://cim@127.0.0.1:1/cim"
    assert COLOUR.search(on_a_terminal("status", DATABASE_URL=url))
    plain = on_a_terminal("status", DATABASE_URL=url, NO_COLOR="1")
    assert plain
    assert not COLOUR.search(plain)


def test_a_small_sample_city_is_made_anywhere(tmp_path: Path):
    ran = run_cim("sample", "--buildings", 60, "--out", tmp_path / "city", "--json")
    assert ran.code == 0, ran.err
    report = json.loads(ran.out.splitlines()[-1])
    assert report["buildings"] == 60
    assert (tmp_path / "city" / "buildings.parquet").stat().st_size > 0
