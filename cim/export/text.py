"""The text outputs as a file."""

from pathlib import Path

from cim.export.request import ExportRequest
from cim.export.rows import Source


def write_text(source: Source, request: ExportRequest, path: Path) -> None:
    """Head, features, tail, as the database wrote them."""
    separator = request.separator.encode()
    with path.open("wb") as file:
        file.write(request.head.encode())
        is_first = True
        for batch in source.texts():
            if not is_first:
                file.write(separator)
            file.write(separator.join(batch))
            is_first = False
        file.write(request.tail.encode())
