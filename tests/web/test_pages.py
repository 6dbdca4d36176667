"""What the server sends for people: the page's head, the built files, the API's documentation."""

import gzip
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

from api.portal.built import SOURCES, is_stale

from .conftest import REPOSITORY

DIST = REPOSITORY / "web/dist"


def test_a_browser_gets_the_page_and_a_program_the_landing_page(visit):
    visitor = visit()
    browser = visitor.context.request.get(visitor.base + "/", headers={"Accept": "text/html,*/*;q=0.8"})
    assert browser.headers["content-type"].startswith("text/html")
    program = visitor.context.request.get(visitor.base + "/", headers={"Accept": "*/*"})
    assert program.headers["content-type"].startswith("application/json")


def test_hashed_files_are_kept_for_good_and_others_are_asked_for_again(visit, built):
    visitor = visit()
    for name in built["files"].values():
        answer = visitor.context.request.get(f"{visitor.base}/static/{name}")
        assert answer.status == 200
        assert "immutable" in answer.headers["cache-control"]
        assert re.match(r"text/(javascript|css)", answer.headers["content-type"])
    icon = visitor.context.request.get(f"{visitor.base}/static/icon.svg")
    assert "immutable" not in icon.headers["cache-control"]
    assert icon.headers["etag"]


def test_static_serves_nothing_outside_its_folder(visit):
    visitor = visit()
    for path in ("/static/../package.json", "/static/%2e%2e/package.json", "/static/..%2fpackage.json", "/static/"):
        assert visitor.context.request.get(visitor.base + path).status in (400, 404)


def test_own_script_and_charts_stay_under_300_kb_compressed(built):
    map_library = {built["files"]["maplibre.js"], built["files"]["worker.js"]}
    own = [path for path in DIST.glob("*.js") if path.name not in map_library]
    assert built["files"]["portal.js"] in {path.name for path in own}
    assert sum(len(gzip.compress(path.read_bytes(), 6)) for path in own) <= 300_000


def test_map_library_and_worker_are_of_the_version_that_is_pinned(visit, built):
    pinned = json.loads((REPOSITORY / "web/package.json").read_text())["dependencies"]
    assert built["versions"] == {name: pinned[name] for name in built["versions"]}
    assert re.fullmatch(r"6\.\d+\.\d+", pinned["maplibre-gl"])
    visitor = visit().open()
    visitor.map_is_still()
    assert visitor.page.evaluate("window.cim.map.version") == pinned["maplibre-gl"]
    workers = [worker.url.rsplit("/", 1)[1] for worker in visitor.page.workers]
    assert set(workers) == {built["files"]["worker.js"]}


def test_the_lock_file_names_no_registry():
    lock = json.loads((REPOSITORY / "web/package-lock.json").read_text())
    assert all("resolved" not in package for package in lock["packages"].values())
    assert all("integrity" in package for path, package in lock["packages"].items() if path)


def test_built_files_ask_for_no_other_host():
    html = (REPOSITORY / "api/templates").rglob("*.html")
    assert not [path.name for path in html if re.search(r"(src|href)=\"(https?:)?//", path.read_text())]
    styles = [*DIST.glob("*.css"), *(DIST / "swagger-ui").glob("*.css")]
    assert styles
    assert not [path.name for path in styles if re.search(r"url\(['\"]?(https?:)?//", path.read_text())]


def test_the_build_is_the_same_twice(built):
    before = (DIST / "manifest.json").read_bytes()
    subprocess.run(["node", "build.mjs"], cwd=REPOSITORY / "web", check=True, capture_output=True, timeout=120)
    assert (DIST / "manifest.json").read_bytes() == before


def test_the_documentation_page_lists_the_operations_without_another_host(visit):
    visitor = visit().open("/api?f=html")
    visitor.page.locator(".opblock").first.wait_for()
    items = visitor.page.locator(".opblock-summary-path[data-path='/collections/buildings/items']")
    for _ in range(100):  # operations are drawn when they come into view
        if items.count():
            break
        visitor.page.mouse.wheel(0, 1500)
        visitor.page.wait_for_timeout(50)
    items.first.wait_for()
    visitor.page.evaluate("scrollTo(0, 0)")
    assert visitor.page.locator(".info .title").inner_text()
    assert "default-src 'none'" in visitor.headers["content-security-policy"]
    visitor.page.locator(".opblock-summary").first.click()
    visitor.page.locator(".opblock-body").first.wait_for()


ASK = """
import asyncio, sys
sys.path.insert(0, sys.argv[1])
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.testclient import TestClient
from api.portal import frame
app = Starlette()
frame.mount_static(app)
print(TestClient(app).get("/static/manifest.json").status_code)
if frame.dist_folder() is None:
    page = asyncio.run(frame.page(Request({"type": "http", "headers": [], "query_string": b""}), "portal.html", "map"))
    print(page.status_code, b"npm run build" in page.body)
"""


def installed(folder: Path, *, is_built: bool) -> str:
    """What the page says when the package lies in `folder`, as a wheel puts it there."""
    for package in ("api", "cim"):
        shutil.copytree(REPOSITORY / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    if is_built:
        shutil.copytree(DIST, folder / "api/static")
    command = [sys.executable, "-W", "ignore", "-c", ASK, str(folder)]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True, timeout=60).stdout.strip()


def test_an_installed_package_finds_its_own_build(built, tmp_path: Path):
    assert installed(tmp_path, is_built=True) == "200"


def test_a_build_knows_the_sources_that_it_was_made_of(built, tmp_path: Path):
    web = tmp_path / "web"
    for name in (*SOURCES, "dist"):
        shutil.copytree(REPOSITORY / "web" / name, web / name)
    assert not is_stale(web / "dist")
    (web / "i18n/en/added.json").write_text("{}")
    assert is_stale(web / "dist")


STALE = """
import asyncio, sys
sys.path.insert(0, sys.argv[1])
from starlette.requests import Request
from api.app import create_app
from api.portal import frame
from cim.settings import Settings
app = create_app(Settings(database_url="postgresql:///nothing"))
scope = {"type": "http", "method": "GET", "path": "/", "headers": [], "query_string": b"", "app": app, "scheme": "http"}
scope |= {"server": ("127.0.0.1", 80), "client": None}
page = asyncio.run(frame.page(Request(scope), "added.html", ""))
print(page.status_code, b"make run" in page.body, page.body.count(b"added message"))
"""


def test_a_page_that_a_stale_build_has_no_file_for_tells_how_to_build_it(built, tmp_path: Path):
    """As after a pull that added a style: no fault of the server. A message that was added needs no build."""
    for name in ("api", "cim", *(f"web/{name}" for name in (*SOURCES, "dist"))):
        shutil.copytree(REPOSITORY / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "web/i18n/zh-CN/added.json").write_text('{"added": "added message"}')
    template = tmp_path / "api/templates/added.html"
    command = [sys.executable, "-W", "ignore", "-c", STALE, str(tmp_path)]
    for text, told in (("{{ t['added'] }}", "200 False 1"), ("{{ files['added.css'] }}", "503 True 0")):
        template.write_text(text)
        answer = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True, timeout=60)
        assert answer.stdout.strip() == told


def test_without_a_build_the_page_tells_how_to_make_one(tmp_path: Path):
    assert installed(tmp_path, is_built=False) == "404\n503 True"
