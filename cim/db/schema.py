"""The schema that every table of OpenCIM is in, and the type of keys and codes."""

from typing import Any

from sqlalchemy import MetaData, Text
from sqlalchemy.types import UserDefinedType

SCHEMA = "cim"

metadata = MetaData(schema=SCHEMA)


def code_text() -> Text:
    """Text compared byte by byte: keys, codes and everything that is paged or searched by prefix."""
    return Text(collation="C")


class Xid(UserDefinedType[Any]):
    """Number of a transaction, as `xmin` of a row is one."""

    cache_ok = True

    def get_col_spec(self, **_: Any) -> str:
        """PostgreSQL's name of the type."""
        return "xid"
