"""CQL2 text → the CQL2-JSON tree, by operator precedence (OGC 21-065r2, annex B).

Binding, weakest first: OR · AND · NOT · comparisons, LIKE, BETWEEN, IN, IS NULL · + - · * / % div · ^ · sign.
"""

from typing import Any

from cim.query.filter.document import parse_json
from cim.query.filter.limits import MAX_DEPTH, MAX_ITEMS, Node, too_complex
from cim.query.filter.names import ARRAY, COMPARISON, canonical
from cim.query.filter.tokens import Kind, Token, Tokens, number_of
from cim.query.filter.wkt import read_box, read_geometry, starts_geometry

_OR, _AND, _NOT, _PREDICATE, _SUM, _PRODUCT, _POWER = range(1, 8)

_BINDING = {
    "OR": _OR,
    "AND": _AND,
    **dict.fromkeys((*COMPARISON, "IS", "NOT", "LIKE", "BETWEEN", "IN"), _PREDICATE),
    **dict.fromkeys("+-", _SUM),
    **dict.fromkeys(("*", "/", "%", "DIV"), _PRODUCT),
    "^": _POWER,
}
_RESERVED = ("AND", "OR", "IS", "NULL", "LIKE", "BETWEEN", "IN", "DIV")


def parse_text(text: str) -> Node:
    """The tree of a filter in CQL2 text, whole numbers exact.

    Raises InvalidParameter that says at which character, FilterTooComplex.
    """
    reader = _Reader(Tokens(text))
    tree = reader.expression(_OR)
    if reader.tokens.peek().kind is not Kind.END:
        reader.tokens.fail("expected AND, OR or the end")
    return parse_json(tree)


def parse_geometry(text: str) -> dict[str, Any]:
    """The GeoJSON of one geometry in well-known text. Raises InvalidParameter, FilterTooComplex."""
    tokens = Tokens(text)
    geometry = read_geometry(tokens)
    if tokens.peek().kind is not Kind.END:
        tokens.fail("expected the end")
    return geometry


class _Reader:
    """Reads one text; `_depth` counts expressions under way, so that the stack of calls stays small."""

    def __init__(self, tokens: Tokens) -> None:
        self.tokens = tokens
        self._depth = 0

    def expression(self, binding: int) -> Node:
        """What follows, as far as it binds at least as strongly as `binding`."""
        self._depth += 1
        if self._depth > 2 * MAX_DEPTH:  # parentheses around one expression are none in the tree
            raise too_complex(f"it is more than {MAX_DEPTH} expressions deep")
        left = self._operand()
        used = _POWER + 1
        while (found := _BINDING.get(self.tokens.peek().keyword, 0)) >= max(binding, 1):
            if found == used and found in (_PREDICATE, _POWER):
                self.tokens.fail("parentheses must say what belongs together")
            left = self._joined(left, self.tokens.take(), found, is_chain=found == used)
            used = found
        self._depth -= 1
        return left

    def _joined(self, left: Node, token: Token, binding: int, *, is_chain: bool) -> Node:
        keyword = token.keyword
        if binding == _PREDICATE and keyword not in COMPARISON:
            return self._predicate(left, token)
        right = self.expression(binding + 1)
        if binding in (_OR, _AND) and is_chain:
            left["args"].append(right)
            return left
        return {"op": keyword.lower(), "args": [left, right]}

    def _predicate(self, left: Node, token: Token) -> Node:
        """IS NULL, LIKE, BETWEEN and IN, with or without NOT."""
        tokens = self.tokens
        if token.keyword == "IS":
            is_not = tokens.takes("NOT")
            tokens.expect("NULL")
            made: Node = {"op": "isNull", "args": [left]}
            return {"op": "not", "args": [made]} if is_not else made
        is_not = token.keyword == "NOT"
        word = tokens.take() if is_not else token
        match word.keyword:
            case "LIKE":
                made = {"op": "like", "args": [left, self.expression(_SUM)]}
            case "BETWEEN":
                low = self.expression(_SUM)
                tokens.expect("AND")
                made = {"op": "between", "args": [left, low, self.expression(_SUM)]}
            case "IN":
                made = {"op": "in", "args": [left, self._listed()]}
            case _:
                tokens.fail("expected LIKE, BETWEEN or IN", word)
        return {"op": "not", "args": [made]} if is_not else made

    def _operand(self) -> Node:
        token = self.tokens.peek()
        match token.kind:
            case Kind.NUMBER:
                return self._number(1)
            case Kind.STRING:
                return self.tokens.take().text
            case Kind.QUOTED:
                return {"property": self.tokens.take().text}
            case Kind.NAME:
                return self._named()
            case Kind.SIGN if token.text == "(":
                return self._grouped()
            case Kind.SIGN if token.text in "+-":
                return self._signed()
        return self.tokens.fail("expected a property, a value, a function or (")

    def _number(self, sign: int) -> int | float:
        token = self.tokens.take()
        value = number_of(token.text)
        if value is None:
            self.tokens.fail("the number is too large, or a whole one has more than 40 digits", token)
        return sign * value

    def _signed(self) -> Node:
        sign = self.tokens.take()
        if self.tokens.peek().kind is Kind.NUMBER:
            return self._number(-1 if sign.text == "-" else 1)
        if sign.text == "+" or self.tokens.peek().keyword in ("+", "-"):
            self.tokens.fail("expected a number")
        return {"op": "*", "args": [-1, self._operand()]}

    def _grouped(self) -> Node:
        """An expression in parentheses, or an array of none, or of two or more."""
        members = self._listed()
        return members[0] if len(members) == 1 else members

    def _listed(self) -> list[Node]:
        """Expressions between parentheses, commas between them; there may be none."""
        self.tokens.expect("(")
        found: list[Node] = []
        if self.tokens.takes(")"):
            return found
        found.append(self.expression(_OR))
        while self.tokens.takes(","):
            found.append(self.expression(_OR))
            if len(found) > MAX_ITEMS:
                raise too_complex(f"a list has more than {MAX_ITEMS:,} members")
        if self.tokens.peek().keyword != ")":
            self.tokens.fail("expected AND, OR, a comma or )")
        self.tokens.take()
        return found

    def _named(self) -> Node:
        """A literal that begins with a word, a function, or a property."""
        tokens = self.tokens
        if starts_geometry(tokens):
            return read_geometry(tokens)
        token = tokens.take()
        keyword = token.keyword
        if keyword == "NOT":
            return {"op": "not", "args": [self.expression(_PREDICATE)]}
        if tokens.peek().keyword == "(":
            return self._called(token)
        if keyword in ("TRUE", "FALSE"):
            return keyword == "TRUE"
        if keyword in _RESERVED:
            tokens.fail(f'expected a value; a property of that name is written "{token.text}"', token)
        return {"property": token.text}

    def _called(self, token: Token) -> Node:
        """What a word in front of a parenthesis means."""
        match token.keyword:
            case "BBOX":
                return read_box(self.tokens)
            case "DATE" | "TIMESTAMP":
                return {token.keyword.lower(): self._one_string(token)}
            case "INTERVAL":
                ends = self._listed()
                if len(ends) != 2:
                    self.tokens.fail("INTERVAL takes two instants", token)
                return {"interval": ends}
            case word if word in _RESERVED or word in ("TRUE", "FALSE"):
                self.tokens.fail("expected a value", token)
        operator = canonical(token.text)
        if operator in ARRAY:
            return {"op": operator, "args": self._array_operands()}
        return {"op": operator or token.text, "args": self._listed()}

    def _one_string(self, token: Token) -> str:
        self.tokens.expect("(")
        if self.tokens.peek().kind is not Kind.STRING:
            self.tokens.fail(f"{token.keyword} takes one text in single quotes")
        text = self.tokens.take().text
        self.tokens.expect(")")
        return text

    def _array_operands(self) -> list[Node]:
        """Operands of A_CONTAINS and its like: here ('a') is an array of one."""
        self.tokens.expect("(")
        found = [self._array_operand()]
        while self.tokens.takes(","):
            found.append(self._array_operand())
        self.tokens.expect(")")
        return found

    def _array_operand(self) -> Node:
        return self._listed() if self.tokens.peek().keyword == "(" else self.expression(_OR)
