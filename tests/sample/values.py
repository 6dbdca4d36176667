"""Checks of generated rows against the declarations of the built-in collections."""

from datetime import date, datetime

from cim.model import Collection, Kind

TYPES = {
    Kind.TEXT: str,
    Kind.INTEGER: int,
    Kind.NUMBER: float,
    Kind.DATE: date,
    Kind.INSTANT: datetime,
    Kind.JSON: str,
}


def assert_declared(collection: Collection, rows: list[dict], *, beside: set[str]) -> None:
    """Every value has its property's kind, is one of its codes and within its bounds."""
    assert set(rows[0]) - beside <= set(collection.names())
    for declared in collection.properties:
        for row in rows:
            value = row.get(declared.name)
            if value is None:
                continue
            assert isinstance(value, TYPES[declared.kind]), (declared.name, value)
            assert declared.codes is None or value in declared.codes, (declared.name, value)
            assert declared.minimum is None or value >= declared.minimum, (declared.name, value)
            assert declared.maximum is None or value <= declared.maximum, (declared.name, value)
