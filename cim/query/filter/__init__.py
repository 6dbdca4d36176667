"""CQL2 (OGC 21-065r2): a filter as text or JSON → one tree → bound SQL over the rows of a collection. No I/O."""

from cim.query.filter.compile import FIXED, compile_filter
from cim.query.filter.document import parse_json
from cim.query.filter.functions import FUNCTIONS, Argument, Context, Function, Resolve
from cim.query.filter.limits import MAX_BYTES, MAX_DEPTH, MAX_ITEMS, MAX_NODES, STATED, Node
from cim.query.filter.spatial import literal_geometries
from cim.query.filter.text import parse_geometry, parse_text
from cim.query.filter.values import Type

__all__ = [
    "FIXED",
    "FUNCTIONS",
    "MAX_BYTES",
    "MAX_DEPTH",
    "MAX_ITEMS",
    "MAX_NODES",
    "STATED",
    "Argument",
    "Context",
    "Function",
    "Node",
    "Resolve",
    "Type",
    "compile_filter",
    "literal_geometries",
    "parse_geometry",
    "parse_json",
    "parse_text",
]
