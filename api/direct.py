"""Plain endpoints called without the framework's layers, which cost more than the endpoints themselves.

The framework keeps the same routes: it answers methods that are not offered, and whatever is no plain endpoint.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI
from starlette.convertors import PathConvertor
from starlette.requests import Request
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from api.context import Context
from api.documents import Whole
from api.gateway.door import Gateway
from api.gateway.metered import Metered
from api.hot import HotAnswers

MAX_PARTS = 64
"""A longer path is left to the framework."""


@dataclass(frozen=True, slots=True)
class Door:
    """A route as it is matched: the path's pattern, the convertors of its parts, the methods it takes."""

    pattern: re.Pattern[str]
    convertors: Mapping[str, Any]
    methods: frozenset[str]
    endpoint: Any


class Doors:
    """The plain routes by the first part of their paths and the number of parts, in the order they were added."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self._doors: dict[tuple[str, int], list[Door]] = {}
        for route in routes:
            door = Door(route.path_regex, route.param_convertors, frozenset(route.methods or ()), route.endpoint)
            long = any(isinstance(one, PathConvertor) for one in route.param_convertors.values())
            for parts in range(route.path.count("/"), MAX_PARTS if long else route.path.count("/") + 1):
                self._doors.setdefault((_first_part(route.path), parts), []).append(door)

    def opened(self, scope: Scope) -> bool:
        """True when a plain endpoint answers the request; then `scope` names it and the parts of the path."""
        path: str = scope["path"]
        for door in self._doors.get((_first_part(path), path.count("/")), ()):
            match = door.pattern.match(path)
            if match is None:
                continue
            if scope["method"] not in door.methods:
                continue
            scope["endpoint"] = door.endpoint
            scope["path_params"] = {
                name: door.convertors[name].convert(text) for name, text in match.groupdict().items()
            }
            return True
        return False


def _first_part(path: str) -> str:
    return path[1:].partition("/")[0]


class Endpoint:
    """Calls the endpoint that `Doors` found; what it raises is answered by the application's own handlers.

    `compressed` is the layer of content codings around `respond`. What it would leave as it is does not pass through it.
    """

    def __init__(self, app: FastAPI, compressed: ASGIApp) -> None:
        self._app = app
        self._compressed = compressed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        request = Request(scope, receive, send)
        try:
            response = await scope["endpoint"](request)
        except Exception as error:
            handler = self._handler_of(error)
            if handler is None:
                raise
            response = await handler(request, error)
        sent = response.inner if type(response) is Metered else response
        if type(sent) is Whole and not _wants_coding(scope["headers"]):
            await response(scope, receive, send)
        else:
            scope["response"] = response.joined() if type(response) is Whole and response.parts else response
            await self._compressed(scope, receive, send)

    @staticmethod
    async def respond(scope: Scope, receive: Receive, send: Send) -> None:
        """Send what the endpoint answered."""
        await scope["response"](scope, receive, send)

    def _handler_of(self, error: Exception) -> Any:
        handlers = self._app.exception_handlers
        return next((handlers[kind] for kind in type(error).__mro__ if kind in handlers), None)


def _wants_coding(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    return b"accept-encoding" in dict(headers)


class Application(FastAPI):
    """FastAPI with a short way in for plain endpoints: `short_way` leads to `Endpoint` through our own layers only.

    `hot` is the shortest, which `api.protocol` takes.
    """

    doors = Doors(())
    short_way: ASGIApp
    hot: HotAnswers
    context: Context
    gateway: Gateway

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "http" and self.doors.opened(scope):
            scope["app"] = self
            await self.short_way(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)
