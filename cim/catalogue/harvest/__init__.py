"""Harvests: services elsewhere, found in their own capabilities and catalogues. `HARVESTERS` is all kinds of sources."""

from cim.catalogue.harvest import arcgis, ckan, csw, dcat, iso, ogcapi, wfs, wms, wmts
from cim.catalogue.harvest.document import Document
from cim.catalogue.harvest.found import Found, Unusable
from cim.catalogue.harvest.source import Fetch, Harvester
from cim.errors import InvalidParameter, SourceRefused

HARVESTERS = (
    wms.HARVESTER,
    wfs.HARVESTER,
    wmts.HARVESTER,
    csw.HARVESTER,
    iso.HARVESTER,
    ogcapi.STAC,
    ogcapi.RECORDS,
    ogcapi.HARVESTER,
    arcgis.HARVESTER,
    ckan.HARVESTER,
    dcat.HARVESTER,
)
"""Each kind of source, the first that knows a document reads it."""

KINDS = ("auto", *(one.kind for one in HARVESTERS))


def harvester_for(document: Document, kind: str) -> Harvester:
    """The harvester of that kind, or for `auto` the first that knows the document. Raises SourceRefused where none does."""
    if kind not in KINDS:
        raise InvalidParameter("kind", kind, f"one of {', '.join(KINDS)}")
    for one in HARVESTERS:
        if kind in ("auto", one.kind) and one.is_ours(document):
            return one
    expected = "capabilities or a catalogue of a known kind" if kind == "auto" else f"a document of the kind {kind}"
    raise SourceRefused(f"what {document.url[:200]} gave is not {expected} ({', '.join(KINDS[1:])})")


def entries_of(harvester: Harvester, document: Document, fetch: Fetch | None) -> list[Found | Unusable]:
    """All that the harvester finds, in its order. Raises SourceRefused for a source whose members are not what they should be."""
    try:
        return list(harvester.read(document, fetch))
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise SourceRefused(f"a document of the source is malformed as {harvester.kind}: {str(error)[:100]}") from error
