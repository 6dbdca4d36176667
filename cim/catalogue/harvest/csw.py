"""CSW 2.0.2 (OGC 07-006r1): its ISO records, a page at a time; of an address that has none to give, the catalogue itself."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

from cim.catalogue.harvest.document import Document, attribute, path_of, text_at, texts_at
from cim.catalogue.harvest.found import Found, Unusable, address, found
from cim.catalogue.harvest.iso import record_found
from cim.catalogue.harvest.source import Fetch, Harvester
from cim.errors import UpstreamRefused

PAGE = 50
MAX_PAGES = 400
_ISO = "http://www.isotc211.org/2005/gmd"


def _is_ours(document: Document) -> bool:
    return document.is_xml and "/cat/csw/" in str(document.xml.tag)


def _read(document: Document, fetch: Fetch | None) -> Iterator[Found | Unusable]:
    if document.root != "Capabilities":
        yield from _records(document)
        return
    root = document.xml
    url = _get_records(root, document.url)
    yield found(
        "csw",
        "rest",
        url=url,
        titles=[text_at(root, "ServiceIdentification/Title") or "CSW"],
        descriptions=[text_at(root, "ServiceIdentification/Abstract")],
        themes=texts_at(root, "ServiceIdentification/Keywords/Keyword"),
        licence=text_at(root, "ServiceIdentification/AccessConstraints"),
        contact=text_at(
            root,
            "ServiceProvider/ServiceContact/ContactInfo/Address/ElectronicMailAddress",
            "ServiceProvider/ProviderName",
        ),
        facts={"version": root.get("version"), "fees": text_at(root, "ServiceIdentification/Fees")},
    )
    if fetch is None:
        return
    try:
        yield from _pages(url, fetch)
    except UpstreamRefused:  # a server behind another, which tells its inner address
        yield from _pages(document.url.partition("?")[0], fetch)


def _pages(url: str, fetch: Fetch) -> Iterator[Found | Unusable]:
    start = 1
    for _ in range(MAX_PAGES):
        asked = {
            "service": "CSW", "version": "2.0.2", "request": "GetRecords", "typeNames": "gmd:MD_Metadata", "resultType": "results",
            "elementSetName": "full", "outputSchema": _ISO, "startPosition": start, "maxRecords": PAGE,
            "namespace": f"xmlns(gmd={_ISO})",
        }  # fmt: skip
        page = fetch(f"{url.rstrip('?&')}{'&' if '?' in url.rstrip('?&') else '?'}{urlencode(asked)}")
        results = next(page.xml.iter("{*}SearchResults"), None) if page.is_xml else None
        if results is None:
            yield Unusable("csw", "the catalogue answers GetRecords by no records of ISO 19139")
            return
        yield from _records(page)
        follows = (
            int(attribute(results, "nextRecord") or 0) if (attribute(results, "nextRecord") or "0").isdigit() else 0
        )
        if follows <= start or not len(results):
            return
        start = follows


def _records(document: Document) -> Iterator[Found | Unusable]:
    for record in document.xml.iter("{*}MD_Metadata", "{*}MI_Metadata"):
        yield record_found(record, document.url)


def _get_records(root: Any, base: str) -> str:
    for operation in root.iterfind(path_of("OperationsMetadata/Operation")):
        if operation.get("name") == "GetRecords":
            href = next((attribute(one, "href") for one in operation.iter("{*}Get")), None)
            return address(base, href) or base
    return base


HARVESTER = Harvester("csw", "service=CSW&version=2.0.2&request=GetCapabilities", _is_ours, _read)
