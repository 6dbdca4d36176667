"""CQL2-JSON as it arrives → the same tree, its form checked (OGC 21-065r2, schema cql2.json)."""

import math
from typing import Any, NoReturn

from cim.errors import InvalidParameter
from cim.query.filter.limits import Node, check_size, is_geometry
from cim.query.filter.names import OPERANDS, canonical
from cim.query.filter.tokens import MAX_DIGITS

_BRANCHES = ("op", "property", "date", "timestamp", "interval", "type", "bbox")


def parse_json(document: Any) -> Node:
    """The tree of a decoded CQL2-JSON document, operators spelt as the schema spells them.

    Raises InvalidParameter for what is no CQL2, FilterTooComplex. Geometries are checked when they are compiled.
    """
    check_size(document)
    waiting = [document]
    while waiting:
        node = waiting.pop()
        waiting.extend(_checked(node))
    return _spelt(document)


def _checked(node: Node) -> list[Node]:
    """The parts of a node whose own form is right."""
    if isinstance(node, list):
        return node
    if not isinstance(node, dict):
        return _scalar(node)
    if is_geometry(node):
        return []
    if "op" in node:
        return _operation(node)
    if "property" in node:
        return [] if isinstance(node["property"], str) else _refuse(node, "'property' must be a name")
    if "date" in node or "timestamp" in node:
        name = "date" if "date" in node else "timestamp"
        return [] if isinstance(node[name], str) else _refuse(node, f"'{name}' must be a text")
    if "interval" in node:
        ends = node["interval"]
        if isinstance(ends, list) and len(ends) == 2:
            return ends
        return _refuse(node, "'interval' must be a list of two instants")
    return _refuse(node, f"an object must have one of the members {', '.join(_BRANCHES)}")


def _scalar(node: Node) -> list[Node]:
    if isinstance(node, bool | str):
        return []
    if isinstance(node, int) and abs(node) < 10**MAX_DIGITS:
        return []
    if isinstance(node, float) and math.isfinite(node):
        return []
    return _refuse(node, "null is asked for by isNull" if node is None else "it is no value that CQL2 has")


def _operation(node: dict[str, Any]) -> list[Node]:
    name, operands = node["op"], node.get("args")
    if not isinstance(name, str):
        return _refuse(node, "'op' must be a text")
    if not isinstance(operands, list):
        return _refuse(node, "'args' must be the list of operands")
    operator = canonical(name)
    if operator is None:
        return operands
    least, most = OPERANDS[operator]
    if len(operands) < least or (most is not None and len(operands) > most):
        wanted = f"{least} operands" if least == most else f"{least} or more operands"
        return _refuse(node, f"'{operator}' takes {wanted.replace('1 operands', 'one operand')}")
    if operator == "in" and not isinstance(operands[1], list):
        return _refuse(node, "the second operand of 'in' must be a list")
    return operands


def _spelt(node: Node) -> Node:
    """The same tree with canonical operators; no deeper than `check_size` lets pass."""
    if isinstance(node, list):
        return [_spelt(member) for member in node]
    if not isinstance(node, dict) or is_geometry(node):
        return node
    if "op" in node:
        return {"op": canonical(node["op"]) or node["op"], "args": [_spelt(operand) for operand in node["args"]]}
    if "interval" in node:
        return {"interval": [_spelt(end) for end in node["interval"]]}
    return node


def _refuse(node: Node, reason: str) -> NoReturn:
    """Raise InvalidParameter that shows the outermost part of `node` only: what is inside may be of any size."""
    if isinstance(node, dict):
        raise InvalidParameter(
            "filter", f"{{{', '.join(list(map(str, node))[:5])}}} {node.get('op', '')}".strip(), reason
        )
    raise InvalidParameter("filter", node, reason)
