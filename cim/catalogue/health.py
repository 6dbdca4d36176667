"""Is a service alive? What is asked of each kind, what an answer says, and when a service is suspended for it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, unquote_plus

from cim.gateway.template import filled, split_template, tile_at

SLOW_MS = 5_000
"""An answer that takes longer makes a service degraded."""
MAX_SEEN = 64 * 1024
"""Bytes of an answer that are looked at."""

RESERVED = ("example", "invalid", "test", "example.com", "example.org", "example.net")
"""Names that stand for nothing (RFC 2606): services of examples are not probed."""

SHARES = {"unconditional": 1.0, "conditional": 1.0, "not_shared": 4.0}
"""Share class → how many intervals lie between two probes."""


@dataclass(frozen=True, slots=True)
class Probe:
    """One question, beneath the service's address. `expects`: xml, json, image, tile, or any."""

    query: str = ""
    tail: str = ""
    method: str = "GET"
    expects: str = "any"


@dataclass(frozen=True, slots=True)
class Answer:
    """What came: `status` 0 where nothing did, `head` the first bytes."""

    status: int
    media_type: str = ""
    head: bytes = b""
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """`state`: up, degraded or down; `detail`: what went wrong."""

    state: str
    latency_ms: int | None
    detail: str | None = None


def is_reserved(host: str) -> bool:
    """True for a host that belongs to nobody."""
    return any(host == name or host.endswith("." + name) for name in RESERVED)


def probes_of(kind: str, *, url: str, facts: Mapping[str, Any], box: Sequence[float] | None) -> tuple[Probe, ...]:
    """What is asked of a service: that it is there, then one piece of its data. `url`: as it is registered.

    `facts`: of its provenance (`layer`, `style`, `version`). `box`: of the service, west, south, east, north.
    """
    path, _, query = url.partition("?")
    template = split_template(path, query)[1]
    if template is None and kind == "xyz" and "." not in path.rpartition("/")[2]:
        template = "/{z}/{x}/{y}"
    if template is not None:
        tail, _, asked = filled(template, tile_at(box)).partition("?")
        return (Probe(asked, tail=tail.removeprefix("/"), expects="tile"),)
    layer = str(facts.get("layer") or _parameter(query, "layers", "layer", "typenames", "typename") or "")
    match kind:
        case "wms" | "wfs" | "wmts":
            first = Probe(f"SERVICE={kind.upper()}&REQUEST=GetCapabilities", expects="xml")
            return (first, *_ows_data(kind, layer, facts, box))
        case "ogcapi" | "features":
            if path.rstrip("/").endswith("/items"):
                return (Probe("limit=1&f=json", expects="json"),)
            items = (Probe("limit=1&f=json", tail="items", expects="json"),) if "/collections/" in path else ()
            return (Probe("f=json", expects="json"), *items)
        case "stac" | "statistics":
            return (Probe(expects="json"),)
        case "arcgis":
            is_layer = path.rstrip("/").rpartition("/")[2].isdigit()
            data = (
                (Probe("f=json&where=1%3D1&resultRecordCount=1&outFields=*", tail="query", expects="json"),)
                if is_layer
                else ()
            )
            return (Probe("f=json", expects="json"), *data)
        case "xyz" | "3dtiles" | "i3s":
            return (Probe(expects="json"),)
    return (Probe(method="HEAD"),)


def _ows_data(kind: str, layer: str, facts: Mapping[str, Any], box: Sequence[float] | None) -> tuple[Probe, ...]:
    """One map of 64 pixels, one feature, or one tile that the capabilities named; where they were not read a tile is not guessed."""
    name = quote(layer, safe=":,")
    if not layer or (kind == "wmts" and not facts.get("tile")):
        return ()
    if kind == "wmts":
        return (_wmts_tile(name, facts),)
    if kind == "wfs":
        version = str(facts.get("version") or "2.0.0")
        names, count = ("TYPENAMES", "COUNT") if version.startswith("2") else ("TYPENAME", "MAXFEATURES")
        return (Probe(f"SERVICE=WFS&VERSION={version}&REQUEST=GetFeature&{names}={name}&{count}=1", expects="any"),)
    west, south, east, north = _middle(box)
    style = quote(str(facts.get("style") or ""), safe="")
    asked = f"SERVICE=WMS&VERSION=1.1.1&REQUEST=GetMap&LAYERS={name}&STYLES={style}&SRS=EPSG:4326&BBOX={west},{south},{east},{north}"
    return (Probe(f"{asked}&WIDTH=64&HEIGHT=64&FORMAT=image/png", expects="image"),)


def _wmts_tile(name: str, facts: Mapping[str, Any]) -> Probe:
    matrix, row, column = (quote(part, safe="") for part in str(facts["tile"]).rsplit("/", 2))
    grid = quote(str((facts.get("tileMatrixSets") or [""])[0]), safe="")
    style, media_type = str(facts.get("style") or ""), str((facts.get("formats") or ["image/png"])[0])
    asked = (
        f"SERVICE=WMTS&VERSION=1.0.0&REQUEST=GetTile&LAYER={name}&STYLE={quote(style, safe='')}&TILEMATRIXSET={grid}"
    )
    tile = f"TILEMATRIX={matrix}&TILEROW={row}&TILECOL={column}&FORMAT={quote(media_type, safe='/')}"
    return Probe(f"{asked}&{tile}", expects="image" if media_type.startswith("image/") else "any")


def _middle(box: Sequence[float] | None) -> tuple[float, float, float, float]:
    """A square of at most a degree in the middle of the box, degrees."""
    west, south, east, north = box or (-1.0, -1.0, 1.0, 1.0)
    half = max(min(east - west, north - south, 1.0), 1e-4) / 2
    lon, lat = (west + east) / 2, (south + north) / 2
    return (round(lon - half, 7), round(lat - half, 7), round(lon + half, 7), round(lat + half, 7))


def _parameter(query: str, *names: str) -> str | None:
    for part in query.split("&"):
        name, _, value = part.partition("=")
        if name.lower() in names:
            return unquote_plus(value)
    return None


def wrong_with(probe: Probe, answer: Answer) -> str | None:
    """What is wrong with an answer; None for a good one. An exception that comes with status 200 is none (OGC 06-121r9, 8)."""
    if answer.trouble:
        return answer.trouble
    if answer.status in (401, 403, 407):
        return f"the service does not accept this node ({answer.status})"
    if not 200 <= answer.status < 300:
        return f"the service answers {answer.status}"
    head = answer.head.lstrip(b"\xef\xbb\xbf \t\r\n")
    is_xml = head.startswith(b"<")
    if is_xml and any(word in head[:2000] for word in (b"ExceptionReport", b"ServiceException")):
        return "the service answers by an exception"
    if probe.expects == "xml" and not is_xml:
        return "the service does not answer by XML"
    if probe.expects == "json":
        if not head.startswith((b"{", b"[")):
            return "the service does not answer by JSON"
        if head.replace(b" ", b"").startswith(b'{"error":'):
            return "the service answers by an error"
    if probe.expects == "tile" and (answer.media_type.startswith(("text/", "application/json")) or is_xml):
        return "the service does not answer by a tile"
    if probe.expects == "image" and not answer.media_type.startswith("image/"):
        return "the service does not answer by an image"
    return None


def verdict(results: Sequence[tuple[str | None, int]]) -> Verdict:
    """What probes say together, each what was wrong and how long it took in ms: down where the first fails, degraded where only a
    later one does, or where one was slow. The latency is the longest."""
    wrong = [trouble for trouble, _ in results]
    latency = max(ms for _, ms in results)
    if wrong[0] is not None:
        return Verdict("down", latency, wrong[0])
    later = next((trouble for trouble in wrong if trouble is not None), None)
    if later is not None:
        return Verdict("degraded", latency, later)
    if latency > SLOW_MS:
        return Verdict("degraded", latency, f"an answer took {latency:,} ms")
    return Verdict("up", latency)
