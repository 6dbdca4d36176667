"""`Sql`: a small immutable statement of literal text and bound values.

    where = Sql.of("geom && (SELECT ST_MakeEnvelope({}, {}, {}, {}, 4326))", 113.7, 22.4, 114.6, 22.9)
    text, values = where.compile()        # "geom && (SELECT ST_MakeEnvelope($1, $2, $3, $4, 4326))", [...]

Each `{}` takes the next argument: an `Sql` is spliced in, an `Identifier` is quoted, anything else is
bound. The text therefore depends only on the shape of a request, never on its values.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache


@lru_cache(maxsize=4096)
def _pieces(text: str) -> tuple[str, ...]:
    """A statement's literal text between its places; the same texts come with every request."""
    return tuple(text.split("{}"))


@lru_cache(maxsize=1024)
def _numbered(fragments: tuple[str, ...]) -> str:
    """The text with `$1…$n` between fragments: the same object for the same statement, whose hash is known then."""
    text = [fragments[0]]
    for number, fragment in enumerate(fragments[1:], start=1):
        text.append(f"${number}")
        text.append(fragment)
    return "".join(text)


@dataclass(frozen=True, slots=True)
class Identifier:
    """A name of a schema, table or column that comes from the registry (never from a request)."""

    name: str

    def quoted(self) -> str:
        """The name as PostgreSQL takes it, quotes doubled."""
        if "\x00" in self.name:
            raise ValueError("an identifier cannot hold NUL")
        return '"' + self.name.replace('"', '""') + '"'


@dataclass(frozen=True, slots=True)
class Cast:
    """A bound value with the SQL type the driver must be told: `Cast(value, "timestamptz")`."""

    value: object
    type: str


@dataclass(frozen=True, slots=True)
class Sql:
    """Text fragments with one value between each two: `len(values) == len(fragments) - 1`."""

    fragments: tuple[str, ...] = ("",)
    values: tuple[object, ...] = ()

    @staticmethod
    def of(text: str, *arguments: object) -> "Sql":
        """Literal `text` with one argument for each `{}`.

        Raises ValueError when the number of `{}` and of arguments differ.
        """
        pieces = _pieces(text)
        if len(pieces) != len(arguments) + 1:
            raise ValueError(f"{len(pieces) - 1} places for {len(arguments)} arguments in {text!r}")
        fragments: list[str] = []
        values: list[object] = []
        current = pieces[0]
        for argument, piece in zip(arguments, pieces[1:], strict=True):
            kind = type(argument)
            if kind is Sql:
                inner = argument.fragments  # type: ignore[attr-defined]
                if len(inner) == 1:
                    current += inner[0] + piece
                    continue
                fragments.append(current + inner[0])
                fragments += inner[1:-1]
                values += argument.values  # type: ignore[attr-defined]
                current = inner[-1] + piece
            elif kind is Identifier:
                current += argument.quoted() + piece  # type: ignore[attr-defined]
            elif kind is Cast:
                fragments.append(current)
                values.append(argument.value)  # type: ignore[attr-defined]
                current = "::" + argument.type + piece  # type: ignore[attr-defined]
            else:
                fragments.append(current)
                values.append(argument)
                current = piece
        fragments.append(current)
        return Sql(tuple(fragments), tuple(values))

    @staticmethod
    def join(separator: str, parts: Iterable["Sql"]) -> "Sql":
        """`parts` with literal `separator` between them; no parts give the empty statement."""
        listed = list(parts)
        if not listed:
            return Sql()
        return Sql.of(separator.join(["{}"] * len(listed)), *listed)

    def compile(self) -> tuple[str, list[object]]:
        """Text with `$1…$n` (asyncpg, PREPARE) and the values in that order."""
        return _numbered(self.fragments), list(self.values)

    def compile_psycopg(self) -> tuple[str, list[object]]:
        """Text with `%s` for psycopg (literal `%` doubled) and the values in that order."""
        return "%s".join(fragment.replace("%", "%%") for fragment in self.fragments), list(self.values)

    def __bool__(self) -> bool:
        return self.fragments != ("",)
