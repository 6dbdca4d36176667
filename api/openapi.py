"""The API's own description: OpenAPI 3.1, and the same as 3.0.3; one concrete path a collection.

The plain endpoints are described here; those made with FastAPI describe themselves and are taken in.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from api import problems
from api.conditions import PAGING, QUERY_NAMES, SHOWING
from api.documents import GEOJSON, HTML, JSON, OPENAPI_30, SCHEMA_JSON
from api.openapi_30 import to_30
from api.openapi_changes import change_paths
from api.openapi_exports import export_paths, format_parameters, job_paths, page_media
from api.openapi_gateway import gateway_paths
from api.openapi_parts import COMPONENTS, parameter, property_parameters, ref
from api.openapi_people import SESSION_SCHEME, people_paths
from api.openapi_records import record_paths
from api.openapi_services import SECURITY_SCHEMES, service_paths
from api.openapi_statements import statement_paths
from api.openapi_tiles import dataset_paths, grid_paths, tile_paths
from api.routes.dataset_tiles import CONDITIONS as DATASET_CONDITIONS
from cim.model import Collection, Scope
from cim.query.grouping import groupable

VERSION = "0.1.0"

Operation = dict[str, Any]


def _answers(media: Mapping[str, Any], description: str) -> dict[str, Any]:
    """The responses of an operation: 200, and a problem document for everything else."""
    content = {kind: {"schema": schema} for kind, schema in media.items()}
    return {
        "200": {"description": description, "content": content},
        "default": {
            "description": "What went wrong (RFC 9457)",
            "content": {problems.MEDIA_TYPE: {"schema": ref("schemas", "problem")}},
        },
    }


def _get(
    operation_id: str, tag: str, summary: str, media: Mapping[str, Any], parameters: Iterable[Any] = ()
) -> dict[str, Operation]:
    operation: Operation = {
        "operationId": operation_id,
        "tags": [tag],
        "summary": summary,
        "parameters": [*parameters, ref("parameters", "f"), ref("parameters", "lang")],
        "responses": _answers(media, summary),
    }
    return {"get": operation}


def _post(operation_id: str, tag: str, summary: str, media: Mapping[str, Any], body: str) -> dict[str, Operation]:
    return {
        "post": {
            "operationId": operation_id,
            "tags": [tag],
            "summary": summary,
            "parameters": [ref("parameters", "f"), ref("parameters", "lang")],
            "requestBody": {"required": True, "content": {JSON: {"schema": ref("schemas", body)}}},
            "responses": _answers(media, summary),
        }
    }


def _formatted(path: dict[str, Operation], method: str) -> dict[str, Operation]:
    """The path with the formats of a page of features in place of the plain `f`."""
    kept = [one for one in path[method]["parameters"] if one != ref("parameters", "f")]
    path[method]["parameters"] = [*kept, *format_parameters(is_page=True)]
    return path


_OBJECT = {"type": "object"}
_PAGE = {"type": "string"}


def _common_paths() -> dict[str, Any]:
    both = {JSON: _OBJECT, HTML: _PAGE}
    plain = {JSON: _OBJECT}
    return {
        "/": _get("landing", "Capabilities", "Landing page", {JSON: ref("schemas", "landing"), HTML: _PAGE}),
        "/conformance": _get(
            "conformance", "Capabilities", "Conformance classes", {JSON: ref("schemas", "conformance"), HTML: _PAGE}
        ),
        "/api": _get("api", "Capabilities", "This description", {OPENAPI_30: _OBJECT, HTML: _PAGE}),
        "/functions": _get("functions", "Capabilities", "Functions that filters may call", both),
        "/collections": _get("collections", "Data", "All collections", both),
        "/health/live": _get("live", "Operation", "Is the process alive?", plain),
        "/health/ready": _get("ready", "Operation", "May it get requests?", plain),
        "/metrics": _get("metrics", "Operation", "Prometheus metrics", {"text/plain": _PAGE}),
    }


def _collection_paths(collection: Collection) -> dict[str, Any]:
    """Everything a collection offers, its id written out."""
    name = collection.id
    home = f"/collections/{name}"
    tag = f"{collection.title_zh} {collection.title_en}"
    described = {SCHEMA_JSON: _OBJECT, HTML: _PAGE}
    filters = property_parameters(collection, Scope())
    where = [ref("parameters", name) for name in QUERY_NAMES]
    paging = [ref("parameters", name) for name in PAGING]
    statistical = [
        parameter(
            "group-by",
            "Up to three keys: properties, area levels, year|quarter|month|day|hour(property), bin(property,width), "
            f"square(metres), hex(metres); as they are: {', '.join(groupable(collection, Scope()))}",
            {"type": "string"},
        ),
        parameter(
            "measures",
            "sum|avg|min|max|median|distinct(property), percentile(property,0 to 100), histogram(property,width); "
            "the sums and averages of everything measured where it is not given",
            {"type": "string"},
        ),
    ]
    numbers = {JSON: ref("schemas", "aggregate"), "text/csv": _PAGE, GEOJSON: ref("schemas", "featureCollection")}
    feature_id = parameter("featureId", "Id of a feature", {"type": "string"}, place="path")
    statistics = _get(
        f"{name}.aggregate", tag, "Statistics over the features that match", numbers, [*where, *statistical, *filters]
    )
    statistics |= _post(f"{name}.aggregatePosted", tag, "Statistics within a polygon", numbers, "aggregateBody")
    return {
        home: _get(f"{name}.collection", tag, collection.description_en, {JSON: _OBJECT, HTML: _PAGE}),
        f"{home}/schema": _get(f"{name}.schema", tag, "Schema of the features", described),
        f"{home}/queryables": _get(f"{name}.queryables", tag, "What features can be asked for by", described),
        f"{home}/sortables": _get(f"{name}.sortables", tag, "What features can be sorted by", described),
        f"{home}/items": _formatted(
            _get(f"{name}.items", tag, "Features that match", page_media(), [*where, *paging, *filters]), "get"
        ),
        f"{home}/items/{{featureId}}": _get(
            f"{name}.item",
            tag,
            "One feature",
            {GEOJSON: ref("schemas", "feature"), HTML: _PAGE},
            [feature_id, *(ref("parameters", name) for name in (*SHOWING, "areas", "known-at"))],
        ),
        f"{home}/search": _formatted(
            _post(f"{name}.search", tag, "Features that match, within a polygon", page_media(), "searchBody"), "post"
        ),
        **export_paths(collection, [*where, *filters]),
        f"{home}/aggregate": statistics,
        **tile_paths(_get, collection, tag, [*where, *filters]),
    }


def describe(app: FastAPI, collections: Iterable[Collection], base: str) -> dict[str, Any]:
    """The OpenAPI 3.1 document of this node, as it is now."""
    own = get_openapi(title="OpenCIM", version=VERSION, routes=app.routes)
    paths = {**_common_paths(), **grid_paths(_get), **dataset_paths(_get, DATASET_CONDITIONS)}
    for collection in collections:
        paths.update(_collection_paths(collection))
        for path, operations in change_paths(collection).items():
            paths[path] = {**paths.get(path, {}), **operations}
    paths.update(job_paths())
    paths.update(record_paths(_get))
    for path, operations in service_paths().items():
        paths[path] = {**paths.get(path, {}), **operations}
    paths.update(people_paths())
    paths.update(statement_paths())
    paths.update(gateway_paths())
    for path, operations in own.get("paths", {}).items():
        paths.setdefault(path, operations)
    components = {kind: {**COMPONENTS.get(kind, {}), **own.get("components", {}).get(kind, {})} for kind in COMPONENTS}
    components["securitySchemes"] = {**SECURITY_SCHEMES, **SESSION_SCHEME}
    document: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {
            "title": "OpenCIM",
            "version": VERSION,
            "description": "A city's buildings, areas, sensors, cameras and imagery, and services about them. 城市信息模型数据服务。",
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        },
        "servers": [{"url": base}],
        "paths": paths,
        "components": {kind: parts for kind, parts in components.items() if parts},
    }
    return document


def describe_30(document: dict[str, Any]) -> dict[str, Any]:
    """The same document as OpenAPI 3.0.3 (OGC 17-069r4, /req/oas30/oas-definition-1)."""
    return {**to_30(document), "openapi": "3.0.3"}
