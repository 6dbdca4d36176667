"""OpenAPI 3.1 (JSON Schema 2020-12) → 3.0.3: what 3.0 says in another way is said that way."""

from typing import Any

_DROPPED = frozenset({"$schema", "$id", "contentEncoding", "propertyNames", "prefixItems", "patternProperties"})


def to_30(node: Any) -> Any:
    """`node` with every schema in it rewritten; nothing else is touched."""
    if isinstance(node, list):
        return [to_30(member) for member in node]
    if not isinstance(node, dict):
        return node
    if "properties" in node and isinstance(node["properties"], dict):
        named = {name: to_30(one) for name, one in node["properties"].items()}
        rest = _schema({name: value for name, value in node.items() if name != "properties"})
        return {**rest, "properties": named}
    return _schema(node)


def _schema(node: dict[str, Any]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for name, value in node.items():
        if name in _DROPPED:
            continue
        if name == "const":
            result["enum"] = [value]
        elif name == "contentMediaType":
            result["format"] = "binary"
        elif name == "examples" and isinstance(value, list):
            result["example"] = value[0] if value else None
        elif name in ("exclusiveMinimum", "exclusiveMaximum") and not isinstance(value, bool):
            result["minimum" if name == "exclusiveMinimum" else "maximum"] = value
            result[name] = True
        elif name == "type" and isinstance(value, list):
            kinds = [kind for kind in value if kind != "null"]
            if len(kinds) == 1:  # of several 3.0 cannot tell
                result["type"] = kinds[0]
            result["nullable"] = "null" in value
        elif name == "anyOf" and isinstance(value, list) and {"type": "null"} in value:
            _without_null(result, [to_30(one) for one in value if one != {"type": "null"}])
        else:
            result[name] = to_30(value)
    if "prefixItems" in node and "items" not in result:
        result["items"] = {}
    return result


def _without_null(result: dict[str, Any], others: list[Any]) -> None:
    result["nullable"] = True
    if len(others) == 1 and "$ref" not in others[0]:
        result.update(others[0])
    elif len(others) == 1:
        result["allOf"] = others
    else:
        result["anyOf"] = others
