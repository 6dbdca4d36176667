"""A catalogue of any size, made in the database: services as the reference city has them, in words of both languages.

Values go together as in life: an organisation has a few kinds, themes and districts of its own.
"""

from pathlib import Path

import psycopg

ORGANISATIONS = 53


def fill(url: str, count: int) -> None:
    """Write `count` services and their organisations, the same every time."""
    text = (
        Path(__file__)
        .with_suffix(".sql")
        .read_text(encoding="utf-8")
        .replace("{organisations}", str(ORGANISATIONS))
        .replace("{count}", str(count))
    )
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(text.encode())
        connection.execute("VACUUM ANALYZE cim.service")
