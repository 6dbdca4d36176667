"""A visitor: Chromium on the real server, who notices every error and every request that leaves this machine."""

from typing import Any, Self
from urllib.parse import quote, urlsplit

from playwright.sync_api import Browser, ConsoleMessage, Page, Request

from .office import PASSWORD

LOOPBACK = {"127.0.0.1", "localhost", "::1"}
CHROMIUM = "/usr/bin/chromium"
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
)
"""For a browser as root, in software, that starts nothing by itself and finds no other host."""

_MAP_IS_STILL = """new Promise((done) => {
  const look = () => {
    if (!window.cim?.map) return setTimeout(look, 50);
    window.cim.map.once("idle", () => done(true));
    return window.cim.map.triggerRepaint();
  };
  look();
})"""


class Visit:
    """One page in a context of its own. `check()` fails on what must never happen on any page."""

    def __init__(
        self, browser: Browser, base: str, *, width: int = 900, height: int = 540, locale: str = "zh-CN", **options: Any
    ):
        options.setdefault("reduced_motion", "reduce")  # flights of the map and fading names are drawn in software here
        self.base = base
        self.context = browser.new_context(viewport={"width": width, "height": height}, locale=locale, **options)
        self.context.set_default_timeout(30_000)
        self.outside: list[str] = []
        self.errors: list[str] = []
        self.context.on("request", self._note)
        self.page: Page = self.context.new_page()
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("response", lambda r: self.errors.append(f"{r.status} {r.url}") if r.status >= 400 else None)

    def _note(self, request: Request) -> None:
        address = urlsplit(request.url)
        if address.scheme not in ("data", "blob") and address.hostname not in LOOPBACK:
            self.outside.append(request.url)

    def _console(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.errors.append(message.text)

    def open(self, path: str = "/") -> Self:
        """Goes to `path`; gives the visit."""
        answer = self.page.goto(self.base + path)
        assert answer is not None
        self.headers = answer.headers
        return self

    def log_in(self, login: str, onward: str = "/desk") -> Self:
        """Logs in by the page's form and is led on; gives the visit."""
        self.open(f"/login?next={quote(onward)}")
        self.page.fill("[name=login]", login)
        self.page.fill("[name=password]", PASSWORD)
        self.page.click("button[type=submit]")
        self.page.wait_for_url(f"**{onward}*")
        return self

    def map_is_still(self) -> None:
        """Waits until everything that is to be drawn is drawn."""
        assert self.page.evaluate(_MAP_IS_STILL)

    def look_at(self, lon: float, lat: float, zoom: float, pitch: float = 0) -> None:
        """Puts the map there, without a flight, and waits for it."""
        view = {"center": [lon, lat], "zoom": zoom, "pitch": pitch, "bearing": 0}
        self.page.evaluate("(view) => { window.cim.map.jumpTo(view); }", view)
        self.map_is_still()

    def drawn(self, layer: str) -> list[dict[str, Any]]:
        """Properties of the features that the map has drawn in `layer`."""
        found: list[dict[str, Any]] = self.page.evaluate(
            "(layer) => window.cim.map.queryRenderedFeatures({layers: [layer]}).map((one) => one.properties)", layer
        )
        return found

    def drawn_in_time(self, layer: str, name: str, wanted: set[Any]) -> set[Any]:
        """Values of a property in what is drawn in `layer`, as soon as the wanted ones are; it has five seconds."""
        for _ in range(100):
            found = {one.get(name) for one in self.drawn(layer)}
            if found >= wanted:
                break
            self.page.wait_for_timeout(50)
        return found

    def click(self, lon: float, lat: float, *, count: int = 1) -> None:
        """Clicks the map at a place."""
        x, y = self.page.evaluate("(at) => { const p = window.cim.map.project(at); return [p.x, p.y]; }", [lon, lat])
        self.page.mouse.click(x, y, click_count=count)

    def figure(self, name: str) -> str:
        """One number of the answer, as written."""
        return self.page.locator(f"[data-figure={name}]").inner_text()

    def value(self, name: str) -> float:
        """The exact number behind it."""
        return float(self.page.locator(f"[data-figure={name}]").get_attribute("data-value") or "nan")

    def check(self) -> None:
        """No request left this machine, no error was logged, no script failed."""
        assert self.outside == []
        assert not self.errors, str(self.errors)[:1500]

    def close(self) -> None:
        """Ends the context."""
        self.context.close()
