"""Administrative division codes (行政区划代码) as a request writes them."""

import re

from cim.collections.areas import CODE_LENGTHS
from cim.errors import InvalidParameter

_LENGTHS = tuple(sorted(CODE_LENGTHS.values()))
_DIGITS = re.compile(r"\d{2,12}", re.ASCII)

AFTER_DIGITS = ":"
"""The character after 9: `code <= x < code + AFTER_DIGITS` holds for exactly the codes that begin with `code`."""


def parse_area_code(text: str, *, parameter: str = "area") -> str:
    """The code without its trailing zero groups: 440300000000 and 440300 name the city 4403, as 4403 does.

    Raises InvalidParameter.
    """
    if not _DIGITS.fullmatch(text):
        raise InvalidParameter(
            parameter, text, "must be a division code of 2 to 12 digits, such as 4403 or 440305001", rule="area-code"
        )
    code = text
    for shorter, length in zip((2, *_LENGTHS[:-1]), _LENGTHS, strict=True):
        if len(code) >= length and not code[shorter:].strip("0"):
            return code[:shorter]
    return code
