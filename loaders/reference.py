"""The coordinate reference system of a source: its own, its format's rule, or the caller's; never a guess."""

import pyproj
from pyproj.exceptions import CRSError

from cim.errors import SourceRefused
from loaders.base import SourceOptions

CRS84 = "OGC:CRS84"

HOW = "state it by --crs, e.g. --crs EPSG:4547"


def settle(found: str | None, options: SourceOptions, what: str) -> tuple[str, list[str]]:
    """(CRS as an authority code or WKT, notes) of a source that itself says `found`.

    The caller's CRS counts where the source has none or one that PROJ does not know. Raises SourceRefused
    when there is none, when the two differ, and when a code is unknown. `what` names the source for messages.
    """
    stated = _known(options.crs) if options.crs else None
    if options.crs and stated is None:
        raise SourceRefused(
            f"--crs '{options.crs[:80]}' is not a CRS that PROJ knows; write e.g. --crs EPSG:4547", parameter="crs"
        )
    own = _known(found) if found else None
    if own is None and stated is None:
        said = f"states the CRS '{found[:120]}', which has no known place on Earth" if found else "does not state a CRS"
        raise SourceRefused(f"{what} {said}; {HOW}", parameter="crs")
    if own is None:
        assert stated is not None
        assert options.crs is not None
        said = f"the source's CRS '{found[:60]}' is unknown" if found else "the source has no CRS"
        return _name(stated, options.crs), [f"CRS {options.crs} as stated by --crs: {said}", *_units(stated)]
    assert found is not None
    if stated is not None and not own.equals(stated, ignore_axis_order=True) and not _same(own, stated):
        raise SourceRefused(
            f"{what} is in {_title(own)}, --crs says {options.crs}: leave --crs out, or mend the CRS of the source",
            parameter="crs",
        )
    return _name(own, found), _units(own)


def by_rule(rule: str, options: SourceOptions, what: str) -> tuple[str, list[str]]:
    """(CRS, notes) of a source whose format gives the CRS `rule` where nothing is stated (RFC 7946 section 4)."""
    if options.crs is None:
        return rule, []
    crs, notes = settle(None, options, what)
    return crs, notes


def _known(text: str) -> pyproj.CRS | None:
    """The CRS, or None when PROJ does not know it or it is tied to no place."""
    try:
        crs = pyproj.CRS.from_user_input(text)
    except CRSError:
        return None
    horizontal = crs.sub_crs_list[0] if crs.is_compound else crs
    if crs.name.lower().startswith("undefined") or not (
        horizontal.is_geographic or horizontal.is_projected or horizontal.is_derived or horizontal.is_bound
    ):
        return None
    return crs


def _same(one: pyproj.CRS, other: pyproj.CRS) -> bool:
    """True for two writings of one CRS: WKT of a .prj and its code, CRS84 and EPSG:4326."""
    names = {one.to_authority(min_confidence=60), other.to_authority(min_confidence=60)}
    return (len(names) == 1 and None not in names) or names == {("OGC", "CRS84"), ("EPSG", "4326")}


def _name(crs: pyproj.CRS, text: str) -> str:
    """`text` where it is a short code, else the code that the definition has, else WKT."""
    if len(text) < 40 and ":" in text and "urn" not in text and "/" not in text:
        return text
    authority = crs.to_authority(min_confidence=100)
    return ":".join(authority) if authority else crs.to_wkt()


def _title(crs: pyproj.CRS) -> str:
    authority = crs.to_authority(min_confidence=70)
    return f"{crs.name} ({':'.join(authority)})" if authority else crs.name


def _units(crs: pyproj.CRS) -> list[str]:
    """A note where lengths are not in metres or angles not in degrees."""
    units = {axis.unit_name for axis in crs.axis_info[:2]}
    odd = sorted(units - {"metre", "meter", "degree", "unknown"})
    return [f"CRS {_title(crs)} is in {', '.join(odd)}; coordinates are converted"] if odd else []
