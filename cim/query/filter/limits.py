"""How large a filter may be, and the walk that holds it to that without recursion (catalogue B20)."""

from typing import Any

from cim.errors import FilterTooComplex

MAX_BYTES = 16_384
"""A filter as text: what a query string may have."""
MAX_DEPTH = 60
"""Expressions inside expressions, parentheses and lists among them."""
MAX_NODES = 2_000
"""Operations, property names and literals in all. A geometry is one; its vertices have a limit of their own."""
MAX_ITEMS = 1_000
"""Members of one list: of `IN`, of an array, or operands of one `and` or `or`."""

STATED = (
    f"at most {MAX_BYTES:,} bytes of text, {MAX_DEPTH} expressions inside one another, {MAX_NODES:,} operations, names "
    f"and values, and {MAX_ITEMS:,} members of a list"
)
"""The limits in words, for messages and descriptions."""

Node = Any
"""A part of the CQL2-JSON tree: bool, int, float, str, list or dict, as OGC 21-065r2 (schema cql2.json) has it."""


def too_complex(reason: str) -> FilterTooComplex:
    """The error that names `reason` and every limit."""
    return FilterTooComplex(f"filter: {reason}; {STATED} are taken")


def is_geometry(node: Node) -> bool:
    """True for a GeoJSON geometry or a box: its numbers are coordinates, not nodes."""
    return isinstance(node, dict) and "op" not in node and ("type" in node or "bbox" in node)


def check_size(tree: Node) -> Node:
    """`tree` as it is. Raises FilterTooComplex."""
    waiting: list[tuple[Node, int]] = [(tree, 1)]
    nodes = 0
    while waiting:
        node, depth = waiting.pop()
        nodes += 1
        if nodes > MAX_NODES:
            raise too_complex(f"it has more than {MAX_NODES:,} operations, names and values")
        if depth > MAX_DEPTH:
            raise too_complex(f"it is more than {MAX_DEPTH} expressions deep")
        if is_geometry(node):
            continue
        children = _children(node)
        if len(children) > MAX_ITEMS:
            raise too_complex(f"a list has {len(children):,} members")
        waiting.extend((child, depth + 1) for child in children)
    return tree


def _children(node: Node) -> list[Node]:
    if isinstance(node, list):
        return node
    if not isinstance(node, dict):
        return []
    listed = [node.get("args"), node.get("interval")]
    # the list itself is no level of its own: `args` belongs to its operation
    return [child for part in listed if isinstance(part, list) for child in part]
