"""Logs: one line an event, key=value on a terminal, JSON for machines."""

import json
import logging
import re
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

import orjson
import structlog

from cim.settings import Settings

_PLAIN = re.compile(r"[^\s\"=\x00-\x1f\x7f]+")


def key_values(_: object, __: str, event: structlog.typing.EventDict) -> str:
    """`timestamp=… level=… event=… key=value`, values quoted where they need it; one line whatever they hold."""
    parts = []
    for key, value in event.items():
        text = str(value)
        parts.append(f"{key}={text if _PLAIN.fullmatch(text) else json.dumps(text, ensure_ascii=False)}")
    return " ".join(parts)


def json_line(_: object, __: str, event: structlog.typing.EventDict) -> str:
    """The event as one line of JSON."""
    return orjson.dumps(event, default=str).decode()


def _written(text: str) -> str:
    return text if _PLAIN.fullmatch(text) else json.dumps(text, ensure_ascii=False)


class Answered(NamedTuple):
    """What is noted of one answer."""

    request_id: str
    method: str
    path: str
    route: str
    status: int
    bytes: int
    ms: float


def request_log(settings: Settings) -> Callable[[Sequence[Answered]], None]:
    """Writes the lines of some requests to stderr, as `configure_logs` has other events written.

    Past structlog, whose way to the same line takes ten times as long.
    """

    def write_text(answered: Sequence[Answered]) -> None:
        stamp = datetime.now(UTC).isoformat()[:-6]
        sys.stderr.write(
            "".join(
                [
                    f"request_id={one.request_id} method={_written(one.method)} path={_written(one.path)} "
                    f"route={one.route} status={one.status} bytes={one.bytes} ms={one.ms:.1f} event=request "
                    f"timestamp={stamp}Z level=info\n"
                    for one in answered
                ]
            )
        )

    def write_json(answered: Sequence[Answered]) -> None:
        stamp = datetime.now(UTC).isoformat()[:-6] + "Z"
        event = {"event": "request", "timestamp": stamp, "level": "info"}
        lines = [{**one._asdict(), "ms": round(one.ms, 1), **event} for one in answered]
        sys.stderr.write("".join([orjson.dumps(line).decode() + "\n" for line in lines]))

    return write_json if settings.log_json else write_text


def configure_logs(settings: Settings) -> None:
    """Write events of this process to stderr; called by entry points only."""
    structlog.configure(
        processors=[
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.add_log_level,
            structlog.processors.format_exc_info,
            json_line if settings.log_json else key_values,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(
        level=logging.WARNING, stream=sys.stderr, format="timestamp=%(asctime)s level=%(levelname)s event=%(message)s"
    )
