"""GeoJSON geometries as WKT: text only, no library looks at what may be broken."""

from typing import Any


def wkt_of(geometry: Any) -> str | None:
    """WKT of a GeoJSON geometry as it stands, valid or not; None for none. A dict with `wkt` is given back."""
    if not isinstance(geometry, dict):
        return None
    if "wkt" in geometry:
        return str(geometry["wkt"])
    kind = str(geometry.get("type", "")).upper()
    if kind == "GEOMETRYCOLLECTION":
        parts = [wkt_of(part) for part in geometry.get("geometries") or []]
        return f"{kind} ({', '.join(part for part in parts if part)})" if any(parts) else f"{kind} EMPTY"
    coordinates = geometry.get("coordinates")
    if not coordinates:
        return f"{kind} EMPTY"
    return f"{kind} {_text([coordinates] if kind == 'POINT' else coordinates)}"


def _text(coordinates: list[Any]) -> str:
    if coordinates and not isinstance(coordinates[0], list):
        return " ".join(str(number) for number in coordinates)
    inner = ", ".join(_text(part) for part in coordinates)
    return f"({inner})"
