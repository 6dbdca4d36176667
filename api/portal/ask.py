"""Pages ask the API in this process, as the person who looks at them: one way for data to flow, one place for rights."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

import orjson
from starlette.requests import ClientDisconnect, Request
from starlette.types import Message

from api.context import context_of
from api.sessions import csrf_of

_CHECKED = "cim.form_is_checked"
_PASSED = (b"host", b"cookie", b"authorization", b"x-api-key", b"accept-language", b"user-agent")


class Refused(Exception):
    """The API said no. `problem` is its document (RFC 9457)."""

    def __init__(self, status: int, problem: Mapping[str, Any]) -> None:
        super().__init__(problem.get("detail") or problem.get("title") or str(status))
        self.status, self.problem = status, problem

    @property
    def code(self) -> str:
        """The last part of the problem's `type`: a key of the messages, `problem.<code>`."""
        return str(self.problem.get("type", "")).rpartition("/")[2]

    def in_words(self, t: Mapping[str, str]) -> str:
        """What is wrong in the reader's language, with the field that it is about; empty where the API gave no rule for it.

        Code words among the facts are said by their messages, `<fact>.<code>`.
        """
        message = t.get(f"rule.{self.problem.get('rule')}")
        if message is None:
            return ""
        try:
            said = message.format_map({name: _said(name, value, t) for name, value in self.problem.items()})
        except KeyError:  # a fact that the API left out: its own words say more
            return ""
        parameter = self.problem.get("parameter")
        if parameter == "id":  # called otherwise on each page
            return said
        keys = (f"{group}.{parameter}" for group in ("member", "condition", "person"))
        field = next((t[key] for key in keys if key in t), "")
        return t["problem.of-field"].format(field=field, said=said) if field else said

    @property
    def detail(self) -> str:
        """What was received and what is allowed, in English."""
        return str(self.problem.get("detail", ""))


def _said(name: str, value: Any, t: Mapping[str, str]) -> str:
    values = value if isinstance(value, list) else [value]
    return t["problem.between"].join(t.get(f"{name}.{one}") or str(one) for one in values)


@dataclass(frozen=True, slots=True)
class Answer:
    """What the API answered: its document where it is JSON, else None; header fields by lower-case name."""

    status: int
    document: Any
    headers: Mapping[str, str]
    body: bytes


async def ask(
    request: Request,
    method: str,
    path: str,
    *parts: str,
    query: Mapping[str, Any] | None = None,
    body: Any = None,
    headers: Mapping[str, str] | None = None,
) -> Answer:
    """Ask the API for `path`, its `{}` filled with `parts`, as the caller of the page. Raises Refused for 4xx and 5xx.

    `query`: names and values, those that are None or empty left out, lists repeated. `body` is sent as JSON, bytes as they
    are, or piece by piece (say what they are in `headers`). A change carries the session's token once that of the page's
    form was checked (`forms.form_of`, `forms.file_form_of`), so a handler that forgets it is refused by the API.
    """
    target = path.format(*(quote(part, safe="") for part in parts))
    pairs = [(name, one) for name, value in (query or {}).items() for one in _values(value)]
    is_raw = body is None or isinstance(body, bytes | AsyncIterator)
    sent: bytes | AsyncIterator[bytes] | None = body if is_raw else orjson.dumps(body)
    scope = {
        **{name: request.scope[name] for name in ("type", "asgi", "http_version", "scheme", "client", "server")},
        "root_path": request.scope.get("root_path", ""),
        "method": method,
        "path": path.format(*parts),
        "raw_path": target.encode(),
        "query_string": urlencode(pairs).encode(),
        "headers": _fields(request, method, sent, headers or {}),
        "state": {},
    }
    received: list[Message] = []

    async def receive() -> Message:
        if not isinstance(sent, AsyncIterator):
            return {"type": "http.request", "body": sent or b"", "more_body": False}
        try:
            return {"type": "http.request", "body": await anext(sent), "more_body": True}
        except StopAsyncIteration:
            return {"type": "http.request", "body": b"", "more_body": False}
        except ClientDisconnect:
            return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        received.append(message)

    await request.scope["app"](scope, receive, send)
    return _answer(received)


def _values(value: Any) -> list[str]:
    values = value if isinstance(value, list | tuple) else [value]
    return [str(one) for one in values if one is not None and one != ""]


def checked(request: Request, token: str) -> None:
    """Note that the page's form carries the session's token. Raises Forbidden where it does not, or comes from another site."""
    context_of(request).callers.sessions.check_token(request, token)
    request.scope[_CHECKED] = True


def _fields(
    request: Request, method: str, sent: bytes | AsyncIterator[bytes] | None, more: Mapping[str, str]
) -> list[tuple[bytes, bytes]]:
    fields = {name: value for name, value in request.scope["headers"] if name in _PASSED}
    fields[b"accept"] = b"application/json"
    fields[b"x-request-id"] = str(request.scope.get("state", {}).get("request_id", "")).encode()
    if isinstance(sent, bytes):
        fields |= {b"content-type": b"application/json", b"content-length": str(len(sent)).encode()}
    token = context_of(request).callers.sessions.token_of(request)
    if method != "GET" and token is not None and request.scope.get(_CHECKED):
        fields[b"x-csrf-token"] = csrf_of(token).encode()
    fields |= {name.lower().encode(): value.encode() for name, value in more.items()}
    return list(fields.items())


def _answer(received: list[Message]) -> Answer:
    status = received[0]["status"]
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in received[0]["headers"]}
    body = b"".join(message.get("body", b"") for message in received[1:])
    is_json = "json" in headers.get("content-type", "")
    document = orjson.loads(body) if is_json and body else None
    if status >= 400:
        raise Refused(
            status, document if isinstance(document, dict) else {"detail": body.decode("utf-8", "replace")[:500]}
        )
    return Answer(status, document, headers, body)
