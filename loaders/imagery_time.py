"""When an image was taken: from its metadata, else from its name, else unknown."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

from cim.errors import SourceRefused

_NAME_DATE = re.compile(
    r"(?<!\d)((?:19|20)\d{2})([-_.]?)(0[1-9]|1[0-2])\2(0[1-9]|[12]\d|3[01])"
    r"(?:[T_\- ]?([01]\d|2[0-3])([-_:]?)([0-5]\d)\6([0-5]\d))?(?!\d)"
)
_TIFF_FORMATS = ("%Y:%m:%d %H:%M:%S", "%Y-%m-%d %H:%M:%S", "%Y/%m/%d %H:%M:%S", "%Y:%m:%d")
_ACQUISITION = re.compile(r"ACQUI(?:SITION|RED)|SENSING_?(?:START|TIME)|^DATETIME_?ORIGINAL$|DATE_ACQUIRED", re.I)
_DAY = timedelta(days=1)
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Taken:
    """Instants in UTC; `begin` and `end` are set where only the day is known. `source` says where from."""

    at: datetime
    begin: datetime | None
    end: datetime | None
    source: str
    is_zone_assumed: bool


def taken(tags: Mapping[str, str], name: str, zone_name: str | None) -> Taken | None:
    """The time of acquisition, or None. The order: ACQUISITION… tags, TIFFTAG_DATETIME, a date in the name.

    A time without a zone is in `zone_name` (IANA), in UTC where that is None.
    """
    zone = _zone(zone_name)
    for key in sorted(tags, key=lambda k: (k == "TIFFTAG_DATETIME", k)):
        if not (_ACQUISITION.search(key) or key == "TIFFTAG_DATETIME"):
            continue
        moment = _parse(tags[key])
        if moment is not None:
            return _settled(moment, len(tags[key].strip()) <= 10, key, zone)
    match = _NAME_DATE.search(name)
    if match is None:
        return None
    year, _, month, day, hour, _, minute, second = match.groups()
    try:
        moment = datetime(int(year), int(month), int(day), int(hour or 0), int(minute or 0), int(second or 0))
    except ValueError:
        return None  # the 31st of February
    return _settled(moment, hour is None, "file name", zone)


def _zone(name: str | None) -> tzinfo | None:
    if name is None:
        return None
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise SourceRefused(f"--timezone '{name[:60]}' is not an IANA name such as Asia/Shanghai") from error


def _parse(text: str) -> datetime | None:
    text = text.strip()
    for form in _TIFF_FORMATS:
        try:
            return datetime.strptime(text, form)
        except ValueError:
            continue
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


def _settled(moment: datetime, is_day: bool, source: str, zone: tzinfo | None) -> Taken:
    is_zone_assumed = moment.tzinfo is None and zone is None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=zone or UTC)
    at = moment.astimezone(UTC)
    if not is_day:
        return Taken(at, None, None, source, is_zone_assumed)
    return Taken(at, at, at + _DAY - _MICROSECOND, source, is_zone_assumed)
