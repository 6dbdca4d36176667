"""A service as ISO 19115-3 XML (mdb 2.0, srv 2.1), for catalogues that harvest metadata.

The order of elements is that of the schemas. Chinese is the default locale; English texts stand beside as
`lan:PT_FreeText`. What has no value is left out, but for what the schemas ask for.
"""

from collections.abc import Sequence
from typing import Any

from cim.catalogue.licence import licence_url
from cim.catalogue.service import KINDS
from cim.catalogue.shown import Row, called_at, external_id_of, in_language, is_dataset, themes_of
from cim.catalogue.xml import Element, document
from cim.interval import instant_text

_ISO = "http://standards.iso.org/iso/19115/-3"
NAMESPACES = {
    "mdb": f"{_ISO}/mdb/2.0",
    "cit": f"{_ISO}/cit/2.0",
    "gco": f"{_ISO}/gco/1.0",
    "gex": f"{_ISO}/gex/1.0",
    "lan": f"{_ISO}/lan/1.0",
    "mcc": f"{_ISO}/mcc/1.0",
    "mco": f"{_ISO}/mco/1.0",
    "mmi": f"{_ISO}/mmi/1.0",
    "mrd": f"{_ISO}/mrd/1.0",
    "mri": f"{_ISO}/mri/1.0",
    "mrl": f"{_ISO}/mrl/2.0",
    "mrs": f"{_ISO}/mrs/1.0",
    "srv": f"{_ISO}/srv/2.1",
    "gml": "http://www.opengis.net/gml/3.2",
    "xlink": "http://www.w3.org/1999/xlink",
}
_CODES = f"{_ISO}/resources/Codelist/cat/codelists.xml"

_FREQUENCY = {
    "continual": "continual",
    "daily": "daily",
    "weekly": "weekly",
    "monthly": "monthly",
    "quarterly": "quarterly",
    "yearly": "annually",
    "irregular": "irregular",
    "once": "notPlanned",
}
_STATUS = {"published": "onGoing", "withdrawn": "withdrawn", "archived": "historicalArchive", "suspended": "onGoing"}
_ACCESS = {"unconditional": "unrestricted", "conditional": "license", "not_shared": "restricted"}

Content = str | Sequence[Element | None]


def iso_document(row: Row, base: str) -> bytes:
    """The record as one `mdb:MD_Metadata` document."""
    home = f"{base}/catalogue/items/{row['id']}"
    root = _e(
        "mdb:MD_Metadata",
        _e("mdb:metadataIdentifier", _identifier(row["id"], f"{base}/catalogue")),
        _e("mdb:defaultLocale", _locale("zho")),
        _e(
            "mdb:metadataScope",
            _e("mdb:MD_MetadataScope", _e("mdb:resourceScope", _code("mcc:MD_ScopeCode", _scope(row)))),
        ),
        _e("mdb:contact", _responsibility(row, "pointOfContact")),
        _e("mdb:dateInfo", _date(row["updated_at"], "revision")),
        _e("mdb:dateInfo", _date(row["created_at"], "creation")),
        _e("mdb:metadataStandard", _e("cit:CI_Citation", _text("cit:title", "ISO 19115-3"))),
        _e("mdb:otherLocale", _locale("eng", number="EN")),
        _e("mdb:metadataLinkage", _online(home, "record", "This record")),
        _e("mdb:referenceSystemInfo", _crs()),
        _e("mdb:identificationInfo", _identification(row, base)),
        _e("mdb:distributionInfo", _distribution(row, base)),
        _e("mdb:resourceLineage", _lineage(row)),
    )
    return document(root, NAMESPACES)


def _e(name: str, *content: Element | str | None, **attributes: str) -> Element:
    """An element; without content of its own it is left to the schema's optional ones."""
    plain = {key.replace("__", ":"): value for key, value in attributes.items()}
    if len(content) == 1 and isinstance(content[0], str):
        return Element(name, content[0], plain)
    return Element(name, [one for one in content if not isinstance(one, str)], plain)


def _text(name: str, text: str | None, english: str | None = None) -> Element | None:
    """A text, with its English words where there are any beside; None for none."""
    if not text:
        return None
    said = _e("gco:CharacterString", text)
    if not english or english == text:
        return _e(name, said)
    local = _e("lan:LocalisedCharacterString", english, locale="#EN")
    return Element(
        name,
        [said, _e("lan:PT_FreeText", _e("lan:textGroup", local))],
        {"xsi:type": "lan:PT_FreeText_PropertyType", "xmlns:xsi": "http://www.w3.org/2001/XMLSchema-instance"},
    )


def _code(name: str, value: str) -> Element:
    return Element(name, value, {"codeList": f"{_CODES}#{name.partition(':')[2]}", "codeListValue": value})


def _locale(language: str, number: str | None = None) -> Element:
    parts = (
        _e("lan:language", _code("lan:LanguageCode", language)),
        _e("lan:characterEncoding", _code("lan:MD_CharacterSetCode", "utf8")),
    )
    return Element("lan:PT_Locale", parts, {"id": number} if number else {})


def _identifier(code: str, space: str) -> Element:
    return _e("mcc:MD_Identifier", _text("mcc:code", code), _text("mcc:codeSpace", space))


def _scope(row: Row) -> str:
    return "dataset" if is_dataset(row) else "service"


def _date(instant: Any, kind: str) -> Element:
    return _e(
        "cit:CI_Date",
        _e("cit:date", _e("gco:DateTime", instant_text(instant) or "")),
        _e("cit:dateType", _code("cit:CI_DateTypeCode", kind)),
    )


def _responsibility(row: Row, role: str) -> Element:
    told = (row["contact"] or "").strip()
    is_mail = "@" in told and " " not in told
    address = _e("cit:address", _e("cit:CI_Address", _text("cit:electronicMailAddress", told))) if is_mail else None
    instructions = None if is_mail else _text("cit:contactInstructions", told)
    contact = _e("cit:contactInfo", _e("cit:CI_Contact", address, instructions)) if told else None
    name = in_language(row, "organisation", "zh-CN") or row["organisation_id"] or "OpenCIM"
    return _e(
        "cit:CI_Responsibility",
        _e("cit:role", _code("cit:CI_RoleCode", role)),
        _e("cit:party", _e("cit:CI_Organisation", _text("cit:name", name, row["organisation_en"]), contact)),
    )


def _online(address: str, name: str, description: str | None, protocol: str = "WWW:LINK") -> Element:
    return _e(
        "cit:CI_OnlineResource",
        _text("cit:linkage", address),
        _text("cit:protocol", protocol),
        _text("cit:name", name),
        _text("cit:description", description),
        _e("cit:function", _code("cit:CI_OnLineFunctionCode", "information" if protocol == "WWW:LINK" else "download")),
    )


def _crs() -> Element:
    return _e(
        "mrs:MD_ReferenceSystem",
        _e("mrs:referenceSystemIdentifier", _identifier("OGC:CRS84", "http://www.opengis.net/def/crs/OGC/1.3")),
    )


def _identification(row: Row, base: str) -> Element:
    shared = (
        _e("mri:citation", _citation(row, base)),
        _text("mri:abstract", in_language(row, "description", "zh-CN") or row["id"], row["description_en"]),
        _e("mri:status", _code("mcc:MD_ProgressCode", _STATUS.get(row["state"], "planned"))),
        _e("mri:pointOfContact", _responsibility(row, "publisher")),
        None if not is_dataset(row) else _e("mri:topicCategory", _e("mri:MD_TopicCategoryCode", "location")),
        _extent(row),
        _maintenance(row),
        _keywords(row),
        _e("mri:resourceConstraints", _constraints(row)),
    )
    if is_dataset(row):
        return _e("mri:MD_DataIdentification", *shared, _e("mri:defaultLocale", _locale("zho")))
    points = [
        _e("srv:connectPoint", _online(address, row["id"], None, row["kind"].upper()))
        for address in dict.fromkeys(called_at(row, base))
    ]
    operation = _e(
        "srv:SV_OperationMetadata",
        _text("srv:operationName", "GetCapabilities" if row["kind"] in ("wms", "wfs", "wmts") else "Get"),
        _e("srv:distributedComputingPlatform", _code("srv:DCPList", "WebServices")),
        *points,
    )
    return _e(
        "srv:SV_ServiceIdentification",
        *shared,
        _e("srv:serviceType", _e("gco:ScopedName", row["kind"])),
        _e("srv:couplingType", _code("srv:SV_CouplingType", "tight" if row["collection_id"] else "loose")),
        _e("srv:containsOperations", operation) if points else None,
    )


def _citation(row: Row, base: str) -> Element:
    return _e(
        "cit:CI_Citation",
        _text("cit:title", in_language(row, "title", "zh-CN") or row["id"], row["title_en"]),
        _e("cit:date", _date(row["published_at"] or row["created_at"], "publication")),
        _text("cit:edition", str(row["version"])),
        _e("cit:identifier", _identifier(f"{base}/catalogue/items/{row['id']}", base)),
    )


def _extent(row: Row) -> Element | None:
    parts = []
    if row["area_code"]:
        described = _e(
            "gex:EX_GeographicDescription", _e("gex:geographicIdentifier", _identifier(row["area_code"], "GB/T 2260"))
        )
        parts.append(_e("gex:geographicElement", described))
    if row["min_lon"] is not None:
        edges = (
            ("west", "Longitude", "min_lon"),
            ("east", "Longitude", "max_lon"),
            ("south", "Latitude", "min_lat"),
            ("north", "Latitude", "max_lat"),
        )
        box = [_e(f"gex:{side}Bound{axis}", _e("gco:Decimal", str(row[name]))) for side, axis, name in edges]
        parts.append(_e("gex:geographicElement", _e("gex:EX_GeographicBoundingBox", *box)))
    if row["time_from"] or row["time_to"]:
        period = Element(
            "gml:TimePeriod",
            [_position("begin", row["time_from"]), _position("end", row["time_to"])],
            {"gml:id": "time"},
        )
        parts.append(_e("gex:temporalElement", _e("gex:EX_TemporalExtent", _e("gex:extent", period))))
    return _e("mri:extent", _e("gex:EX_Extent", *parts)) if parts else None


def _position(end: str, day: Any) -> Element:
    if day is None:
        return Element(f"gml:{end}Position", "", {"indeterminatePosition": "unknown"})
    return _e(f"gml:{end}Position", day.isoformat())


def _maintenance(row: Row) -> Element | None:
    if not row["update_cycle"]:
        return None
    frequency = _code("mmi:MD_MaintenanceFrequencyCode", _FREQUENCY[row["update_cycle"]])
    return _e(
        "mri:resourceMaintenance",
        _e("mmi:MD_MaintenanceInformation", _e("mmi:maintenanceAndUpdateFrequency", frequency)),
    )


def _keywords(row: Row) -> Element | None:
    words = [_text("mri:keyword", word) for word in (*themes_of(row), KINDS[row["kind"]])]
    kind = _e("mri:type", _code("mri:MD_KeywordTypeCode", "theme"))
    return _e("mri:descriptiveKeywords", _e("mri:MD_Keywords", *words, kind))


def _constraints(row: Row) -> Element:
    access = _e("mco:accessConstraints", _code("mco:MD_RestrictionCode", _ACCESS[row["share_class"]]))
    if not row["licence"]:
        return _e("mco:MD_LegalConstraints", access)
    address = licence_url(row["licence"])
    reference = _e(
        "mco:reference",
        _e(
            "cit:CI_Citation",
            _text("cit:title", row["licence"]),
            _e("cit:onlineResource", _online(address, row["licence"], None)) if address else None,
        ),
    )
    return _e(
        "mco:MD_LegalConstraints",
        reference,
        access,
        _e("mco:useConstraints", _code("mco:MD_RestrictionCode", "license")),
        _text("mco:otherConstraints", row["licence"]),
    )


def _distribution(row: Row, base: str) -> Element:
    title = in_language(row, "title", "zh-CN")
    lines = [
        _e("mrd:onLine", _online(address, title, None, row["kind"].upper()))
        for address in dict.fromkeys(called_at(row, base))
    ]
    options = _e("mrd:transferOptions", _e("mrd:MD_DigitalTransferOptions", *lines)) if lines else None
    return _e("mrd:MD_Distribution", options)


def _lineage(row: Row) -> Element:
    external = external_id_of(row)
    said = row["quality"] or (": ".join(external) if external else in_language(row, "organisation", "zh-CN"))
    return _e(
        "mrl:LI_Lineage",
        _text("mrl:statement", said or row["id"]),
        _e("mrl:scope", _e("mcc:MD_Scope", _e("mcc:level", _code("mcc:MD_ScopeCode", _scope(row))))),
    )
