"""Services as DCAT 3 in JSON-LD, with the properties that DCAT-AP asks for: titles in zh and en, vocabularies of the EU."""

from collections.abc import Mapping, Sequence
from typing import Any

from cim.catalogue.licence import licence_url
from cim.catalogue.shown import Row, called_at, endpoints_of, external_id_of, in_both, is_dataset, themes_of
from cim.interval import instant_text

CONTEXT = {
    "dcat": "http://www.w3.org/ns/dcat#",
    "dct": "http://purl.org/dc/terms/",
    "foaf": "http://xmlns.com/foaf/0.1/",
    "vcard": "http://www.w3.org/2006/vcard/ns#",
    "rdfs": "http://www.w3.org/2000/01/rdf-schema#",
    "xsd": "http://www.w3.org/2001/XMLSchema#",
    "geo": "http://www.opengis.net/ont/geosparql#",
    "adms": "http://www.w3.org/ns/adms#",
    "hydra": "http://www.w3.org/ns/hydra/core#",
}

_AUTHORITY = "http://publications.europa.eu/resource/authority"
_FREQUENCY = {
    "continual": "UPDATE_CONT",
    "daily": "DAILY",
    "weekly": "WEEKLY",
    "monthly": "MONTHLY",
    "quarterly": "QUARTERLY",
    "yearly": "ANNUAL",
    "irregular": "IRREG",
    "once": "NEVER",
}
_ACCESS = {"unconditional": "PUBLIC", "conditional": "RESTRICTED", "not_shared": "NON_PUBLIC"}
_LANGUAGES = {"zh": f"{_AUTHORITY}/language/ZHO", "en": f"{_AUTHORITY}/language/ENG"}
_CONFORMS = {
    "wms": "http://www.opengis.net/def/serviceType/ogc/wms",
    "wfs": "http://www.opengis.net/def/serviceType/ogc/wfs",
    "wmts": "http://www.opengis.net/def/serviceType/ogc/wmts",
    "features": "http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/core",
    "tiles": "http://www.opengis.net/spec/ogcapi-tiles-1/1.0/conf/core",
    "stac": "https://api.stacspec.org/v1.0.0/core",
    "3dtiles": "http://www.opengis.net/spec/3dtiles/1.1",
    "i3s": "http://www.opengis.net/spec/i3s/1.3",
}

Node = dict[str, Any]


def one_document(row: Row, base: str) -> Node:
    """One service as a document of its own."""
    return {"@context": CONTEXT, **node_of(row, base)}


def catalogue_document(
    rows: Sequence[Row], base: str, *, here: str, following: str | None, titles: Mapping[str, str]
) -> Node:
    """The catalogue with the services of one page; `here` and `following` are the pages' addresses."""
    services = [node_of(row, base) for row in rows if not is_dataset(row)]
    datasets = [node_of(row, base) for row in rows if is_dataset(row)]
    view: Node = {"@id": here, "@type": "hydra:PartialCollectionView"}
    if following is not None:
        view["hydra:next"] = {"@id": following}
    return {
        "@context": CONTEXT,
        "@id": f"{base}/catalogue",
        "@type": "dcat:Catalog",
        "dct:title": [_said(lang, text) for lang, text in titles.items()],
        "dct:description": [_said(lang, text) for lang, text in titles.items()],
        "dct:publisher": {"@id": f"{base}/", "@type": "foaf:Agent", "foaf:name": "OpenCIM"},
        "dct:language": [{"@id": uri} for uri in _LANGUAGES.values()],
        "foaf:homepage": {"@id": f"{base}/catalogue?f=html"},
        "dcat:service": services,
        "dcat:dataset": datasets,
        "hydra:view": view,
    }


def node_of(row: Row, base: str) -> Node:
    """One service as a node: dcat:DataService, or dcat:Dataset with its distributions where it is a file."""
    home = f"{base}/catalogue/items/{row['id']}"
    node: Node = {
        "@id": home,
        "@type": "dcat:Dataset" if is_dataset(row) else "dcat:DataService",
        "dct:identifier": row["id"],
        "dct:title": [_said(*text) for text in in_both(row, "title")],
        "dct:description": [_said(*text) for text in in_both(row, "description")],
        "dcat:keyword": themes_of(row),
        "dct:accessRights": {"@id": f"{_AUTHORITY}/access-right/{_ACCESS[row['share_class']]}"},
        "dct:issued": _instant(row["published_at"] or row["created_at"]),
        "dct:modified": _instant(row["updated_at"]),
        "dcat:landingPage": {"@id": f"{home}?f=html"},
        "dcat:version": str(row["version"]),
        "dct:language": [{"@id": _LANGUAGES[lang]} for lang, _ in in_both(row, "title")],
        **_owner(row, base),
        **_place(row),
        **_time(row),
    }
    licence = _licence(row)
    if licence is not None:
        node["dct:license"] = licence
    if row["update_cycle"]:
        node["dct:accrualPeriodicity"] = {"@id": f"{_AUTHORITY}/frequency/{_FREQUENCY[row['update_cycle']]}"}
    external = external_id_of(row)
    if external is not None:
        node["adms:identifier"] = ":".join(external)
    return {**node, **(_files(row, base, licence) if is_dataset(row) else _endpoints(row, base))}


def _said(lang: str, text: str) -> Node:
    return {"@language": lang, "@value": text}


def _instant(instant: Any) -> Node:
    return {"@type": "xsd:dateTime", "@value": instant_text(instant)}


def _owner(row: Row, base: str) -> Node:
    if not row["organisation_id"]:
        return {}
    names = [_said(*text) for text in in_both(row, "organisation")]
    told = (row["contact"] or "").strip()
    contact: Node = {"@type": "vcard:Organization", "vcard:fn": names}
    if "@" in told and " " not in told:
        contact["vcard:hasEmail"] = {"@id": f"mailto:{told}"}
    elif told:
        contact["vcard:note"] = told
    agent = {
        "@id": f"{base}/catalogue/organisations/{row['organisation_id']}",
        "@type": "foaf:Agent",
        "foaf:name": names,
    }
    return {"dct:publisher": agent, "dcat:contactPoint": contact}


def _place(row: Row) -> Node:
    if row["min_lon"] is None and not row["area_code"]:
        return {}
    place: Node = {"@type": "dct:Location"}
    if row["area_code"]:
        place["dct:identifier"] = row["area_code"]
    if row["min_lon"] is not None:
        west, south, east, north = (row[name] for name in ("min_lon", "min_lat", "max_lon", "max_lat"))
        ring = ", ".join(
            f"{x} {y}" for x, y in ((west, south), (east, south), (east, north), (west, north), (west, south))
        )
        place["dcat:bbox"] = {"@type": "geo:wktLiteral", "@value": f"POLYGON(({ring}))"}
    return {"dct:spatial": place}


def _time(row: Row) -> Node:
    ends = {"dcat:startDate": row["time_from"], "dcat:endDate": row["time_to"]}
    told = {name: {"@type": "xsd:date", "@value": day.isoformat()} for name, day in ends.items() if day is not None}
    return {"dct:temporal": {"@type": "dct:PeriodOfTime", **told}} if told else {}


def _licence(row: Row) -> Node | None:
    if not row["licence"]:
        return None
    address = licence_url(row["licence"])
    return {"@id": address} if address else {"@type": "dct:LicenseDocument", "rdfs:label": row["licence"]}


def _endpoints(row: Row, base: str) -> Node:
    node: Node = {"dcat:endpointURL": [{"@id": address} for address in dict.fromkeys(called_at(row, base))]}
    if row["kind"] in _CONFORMS:
        node["dct:conformsTo"] = {"@id": _CONFORMS[row["kind"]]}
    if row["collection_id"]:
        node["dcat:servesDataset"] = {"@id": f"{base}/collections/{row['collection_id']}"}
    return node


def _files(row: Row, base: str, licence: Node | None) -> Node:
    kept = {"dct:license": licence} if licence else {}
    return {
        "dcat:distribution": [
            {
                "@type": "dcat:Distribution",
                "dct:title": one.get("title") or row["id"],
                "dcat:accessURL": {"@id": address},
                **kept,
            }
            for one, address in zip(endpoints_of(row), called_at(row, base), strict=True)
        ]
    }
