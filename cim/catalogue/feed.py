"""What is new in the catalogue: Atom (RFC 4287) with tombstones for what was taken off the shelf (RFC 6721), and RSS 2.0."""

from collections.abc import Sequence
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

from cim.catalogue.shown import Row, in_language, themes_of
from cim.catalogue.xml import Element, document
from cim.interval import instant_text

ATOM = {"": "http://www.w3.org/2005/Atom", "at": "http://purl.org/atompub/tombstones/1.0"}
RSS = {"atom": "http://www.w3.org/2005/Atom", "dc": "http://purl.org/dc/elements/1.1/"}
_NEVER = datetime(1970, 1, 1, tzinfo=UTC)

GONE = ("withdrawn", "suspended", "archived")
"""States of what was on the shelf and is not."""


def _latest(rows: Sequence[Row]) -> datetime:
    return max((row["updated_at"] for row in rows), default=_NEVER)


def _address(row: Row, base: str) -> str:
    return f"{base}/catalogue/items/{row['id']}"


def atom_feed(rows: Sequence[Row], base: str, lang: str, *, title: str, here: str) -> bytes:
    """The services of `rows`, the latest change first; those that are gone as deleted entries with their id and time only."""
    entries = [_gone(row, base) if row["state"] in GONE else _entry(row, base, lang) for row in rows]
    root = Element(
        "feed",
        [
            Element("id", f"{base}/catalogue/feed"),
            Element("title", title),
            Element("updated", instant_text(_latest(rows)) or ""),
            Element("author", [Element("name", "OpenCIM")]),
            Element("link", (), {"rel": "self", "type": "application/atom+xml", "href": here}),
            Element("link", (), {"rel": "alternate", "type": "text/html", "href": f"{base}/catalogue/items?f=html"}),
            *entries,
        ],
        {"xml:lang": lang},
    )
    return document(root, ATOM)


def _gone(row: Row, base: str) -> Element:
    return Element("at:deleted-entry", (), {"ref": _address(row, base), "when": instant_text(row["updated_at"]) or ""})


def _entry(row: Row, base: str, lang: str) -> Element:
    home = _address(row, base)
    return Element(
        "entry",
        [
            Element("id", home),
            Element("title", in_language(row, "title", lang) or row["id"]),
            Element("published", instant_text(row["published_at"] or row["created_at"]) or ""),
            Element("updated", instant_text(row["updated_at"]) or ""),
            Element("author", [Element("name", in_language(row, "organisation", lang) or "OpenCIM")]),
            *(Element("category", (), {"term": theme}) for theme in themes_of(row)),
            Element("link", (), {"rel": "alternate", "type": "text/html", "href": f"{home}?f=html"}),
            Element("link", (), {"rel": "related", "type": "application/geo+json", "href": home}),
            Element("summary", in_language(row, "description", lang)),
        ],
    )


def rss_feed(rows: Sequence[Row], base: str, lang: str, *, title: str, here: str) -> bytes:
    """The services of `rows` that are on the shelf: RSS has no word for what is gone."""
    items = [_item(row, base, lang) for row in rows if row["state"] not in GONE]
    channel = Element(
        "channel",
        [
            Element("title", title),
            Element("link", f"{base}/catalogue/items?f=html"),
            Element("description", title),
            Element("language", "en" if lang == "en" else "zh-cn"),
            Element("lastBuildDate", _rfc822(_latest(rows))),
            Element("atom:link", (), {"rel": "self", "type": "application/rss+xml", "href": here}),
            *items,
        ],
    )
    return document(Element("rss", [channel], {"version": "2.0"}), RSS)


def _item(row: Row, base: str, lang: str) -> Element:
    home = _address(row, base)
    return Element(
        "item",
        [
            Element("title", in_language(row, "title", lang) or row["id"]),
            Element("link", f"{home}?f=html"),
            Element("description", in_language(row, "description", lang)),
            *(Element("category", theme) for theme in themes_of(row)),
            Element("guid", f"{home}#{row['version']}", {"isPermaLink": "false"}),
            Element("pubDate", _rfc822(row["updated_at"])),
            Element("dc:creator", in_language(row, "organisation", lang) or "OpenCIM"),
        ],
    )


def _rfc822(instant: Any) -> str:
    return format_datetime(instant.astimezone(UTC), usegmt=True)
