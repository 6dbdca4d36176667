"""What a harvest finds: a service elsewhere, its metadata as members of a registration, and facts beside them."""

import hashlib
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any
from urllib.parse import quote, urljoin

import orjson

TITLE, DESCRIPTION, THEME, LICENCE, CONTACT = 200, 4000, 60, 200, 300
"""Characters that members have room for."""

_HAN = re.compile("[\u3400-\u9fff\uf900-\ufaff]")
_OTHER_SCRIPTS = re.compile("[\u3040-\u30ff\uac00-\ud7af]")
_TAGS = re.compile(r"<[a-zA-Z/!][^<>]{0,2000}>")
_PLAIN = "".join(chr(code) for code in range(0x21, 0x7F))
_NOTHING = ("none", "no", "n/a", "null", "unknown", "无", "no conditions apply", "no limitations")
_DAY = re.compile(r"(\d{4})(?:-(\d{2})(?:-(\d{2}))?)?")


@dataclass(frozen=True, slots=True)
class Found:
    """One layer, collection or record. `values`: members of a registration but for id and owner; `facts`: what has no member
    (CRS, formats, fees, the layer's name), kept with the provenance."""

    remote_id: str
    values: Mapping[str, Any]
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """sha256 of what was found, hex."""
        text = orjson.dumps([self.remote_id, self.values, self.facts], option=orjson.OPT_SORT_KEYS)
        return hashlib.sha256(text).hexdigest()


@dataclass(frozen=True, slots=True)
class Unusable:
    """An entry that is no service, and why."""

    remote_id: str
    reason: str


def found(
    remote_id: str,
    kind: str,
    *,
    url: str,
    titles: Sequence[str | None],
    descriptions: Sequence[str | None] = (),
    themes: Iterable[str | None] = (),
    bbox: Sequence[Any] | None = None,
    licence: str | None = None,
    contact: str | None = None,
    times: tuple[Any, Any] = (None, None),
    update_cycle: str | None = None,
    endpoints: Sequence[Mapping[str, str]] = (),
    facts: Mapping[str, Any] | None = None,
) -> Found:
    """A Found of texts as they come: cut to what members hold, Chinese told from other languages by its script."""
    values: dict[str, Any] = {"kind": kind}
    values |= by_language("title", titles or [remote_id], TITLE)
    if len(values) == 1:
        values["title_en"] = clipped(remote_id, TITLE)
    values |= by_language("description", descriptions, DESCRIPTION)
    values["themes"] = list(dict.fromkeys(filter(None, (clipped(word, THEME) for word in themes))))[:20]
    values["endpoints"] = [dict(one) for one in endpoints][:20] or [{"url": url, "kind": kind}]
    begin, end = day_of(times[0]), day_of(times[1])
    if begin and end and begin > end:
        begin = end = None
    optional = {
        "bbox": box_of(bbox) if bbox is not None else None,
        "licence": clipped(licence, LICENCE) if (licence or "").strip().lower() not in _NOTHING else None,
        "contact": clipped(contact, CONTACT),
        "time_from": begin,
        "time_to": end,
        "update_cycle": update_cycle,
    }
    values |= {name: value for name, value in optional.items() if value}
    kept = {name: value for name, value in (facts or {}).items() if value not in (None, "", [], {})}
    return Found(remote_id, values, kept)


def by_language(member: str, texts: Iterable[str | None], most: int) -> dict[str, str]:
    """`member`_zh of the first Chinese text and `member`_en of the first that is none."""
    values: dict[str, str] = {}
    for text in texts:
        plain = clipped(text, most)
        if plain:
            values.setdefault(f"{member}_{'zh' if is_chinese(plain) else 'en'}", plain)
    return values


def is_chinese(text: str) -> bool:
    """True for a text with Chinese characters and no Japanese or Korean ones."""
    return bool(_HAN.search(text)) and not _OTHER_SCRIPTS.search(text)


def clipped(text: Any, most: int) -> str | None:
    """A text on one line without markup and control characters, cut at `most` characters; None for none."""
    if not isinstance(text, str):
        return None
    plain = "".join(c if c.isprintable() else " " for c in _TAGS.sub(" ", text))
    plain = " ".join(plain.split())
    return (plain if len(plain) <= most else plain[: most - 1].rstrip() + "…") or None


def box_of(numbers: Sequence[Any]) -> list[float] | None:
    """West, south, east, north in degrees within the world; None for what is no such box (projected, empty, turned around)."""
    try:
        west, south, east, north = (float(v) for v in numbers[:4])
    except (TypeError, ValueError):
        return None
    if not all(map(math.isfinite, (west, south, east, north))):
        return None
    west, east = max(west, -180.0), min(east, 180.0)
    south, north = max(south, -90.0), min(north, 90.0)
    return [west, south, east, north] if west <= east and south <= north else None


def day_of(text: Any) -> str | None:
    """A date of what is written as one, its first day where it is a month or a year."""
    match = _DAY.match(text.strip()) if isinstance(text, str) else None
    if match is None:
        return None
    try:
        return date(int(match[1]), int(match[2] or 1), int(match[3] or 1)).isoformat()
    except ValueError:
        return None


def address(base: str, href: Any) -> str | None:
    """An absolute http(s) address without a fragment; None where it is none."""
    if not isinstance(href, str) or not href.strip():
        return None
    try:
        absolute = urljoin(base, href.strip()).partition("#")[0]
    except ValueError:
        return None
    return quote(absolute, safe=_PLAIN) if absolute.startswith(("http://", "https://")) else None


def service_id(harvest_id: str, remote_id: str) -> str:
    """The id of what was found: the harvest's id, and the remote one as far as it can be part of a path."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", remote_id).strip("-.")[:36]
    if plain != remote_id:
        plain = f"{plain}-{hashlib.sha256(remote_id.encode()).hexdigest()[:8]}".lstrip("-")
    return f"{harvest_id}.{plain}"
