"""Licences as registers know them: what is stored is a text, which may be an SPDX identifier or anything else."""

SPDX = (
    *("CC0-1.0", "CC-BY-1.0", "CC-BY-2.0", "CC-BY-2.5", "CC-BY-3.0", "CC-BY-4.0"),
    *(
        "CC-BY-SA-2.0",
        "CC-BY-SA-3.0",
        "CC-BY-SA-4.0",
        "CC-BY-ND-4.0",
        "CC-BY-NC-4.0",
        "CC-BY-NC-SA-4.0",
        "CC-BY-NC-ND-4.0",
    ),
    *(
        "ODbL-1.0",
        "ODC-By-1.0",
        "PDDL-1.0",
        "OGL-UK-3.0",
        "OGL-Canada-2.0",
        "etalab-2.0",
        "DL-DE-BY-2.0",
        "DL-DE-ZERO-2.0",
    ),
    *("MulanPSL-2.0", "Apache-2.0", "MIT", "BSD-3-Clause", "GPL-3.0-only", "CDLA-Permissive-2.0"),
)
"""Identifiers of https://spdx.org/licenses/ that data and services are given under."""

_BY_NAME = {one.lower(): one for one in SPDX}
OTHER = "other"
"""What a record says of a licence without an identifier (OGC 20-004r1, /req/record-core/license B)."""


def spdx_of(text: str) -> str | None:
    """The SPDX identifier that a text is, None for any other licence."""
    return _BY_NAME.get("-".join(text.split()).lower())


def licence_url(text: str) -> str | None:
    """Where the licence can be read, None where the text does not say."""
    known = spdx_of(text)
    if known is not None:
        return f"https://spdx.org/licenses/{known}.html"
    return text if text.startswith(("https://", "http://")) and " " not in text else None
