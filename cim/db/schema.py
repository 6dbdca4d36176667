"""The schema that every table of OpenCIM is in, and the type of keys and codes."""

from sqlalchemy import MetaData, Text

SCHEMA = "cim"

metadata = MetaData(schema=SCHEMA)


def code_text() -> Text:
    """Text compared byte by byte: keys, codes and everything that is paged or searched by prefix."""
    return Text(collation="C")
