"""Forms of the pages: what they sent, whether it came from our page, where to go afterwards. They work without JavaScript."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from functools import wraps
from typing import Any
from urllib.parse import parse_qs, quote, urlencode

import orjson
from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from api.forms import is_form
from api.portal.ask import Refused, checked
from api.portal.frame import page, root_of, who_of
from api.problems import problem_response
from cim.errors import CimError, InvalidBody, TooLarge

MAX_FORM = 1_000_000
MAX_FIELDS = 1_000

Handler = Callable[..., Awaitable[Response]]
"""Of a page: takes the request, and where it is shown again the form and what the API refused (`sent`)."""


class Form(dict[str, list[str]]):
    """Fields by name, each with its values in order."""

    def text(self, name: str) -> str:
        """The first value without blanks around it; empty when it was not sent."""
        return self.get(name, [""])[0].strip()

    def texts(self, name: str) -> list[str]:
        """Every value that is not blank."""
        return [value.strip() for value in self.get(name, []) if value.strip()]

    def filled(self, *names: str) -> dict[str, str]:
        """The named fields that hold something: a body in which an empty field is absent."""
        return {name: self.text(name) for name in names if self.text(name)}


async def form_of(request: Request) -> Form:
    """What the page's form sent. Raises Forbidden when it lacks the session's token (`csrf`) or comes from another site."""
    if not is_form(request):
        raise InvalidBody("the page's form is sent as application/x-www-form-urlencoded")
    received = bytearray()
    async for chunk in request.stream():
        received += chunk
        if len(received) > MAX_FORM:
            raise TooLarge(f"the form has more than {MAX_FORM:,} bytes")
    try:
        form = Form(
            parse_qs(received.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=MAX_FIELDS)
        )
    except ValueError as error:
        raise InvalidBody("the body is not a form in percent-encoded UTF-8") from error
    checked(request, form.text("csrf"))
    return form


class FileForm(Form):
    """A form with a file: the fields that stand before the file. `body` is the form without its token, the file as it
    comes in, to be passed on: `ask(request, "POST", path, body=form.body, headers=form.headers)`."""

    def __init__(self, fields: Form, body: AsyncIterator[bytes], headers: Mapping[str, str]) -> None:
        super().__init__(fields)
        self.body, self.headers = body, headers


class _Head:
    """Callbacks of the multipart parser: the fields up to the first file."""

    def __init__(self) -> None:
        self.fields, self.has_file, self.is_first_done = Form(), False, False
        self._header, self._value, self._text, self._name = bytearray(), bytearray(), bytearray(), ""

    def on_part_begin(self) -> None:
        self._text.clear()

    def on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def on_header_end(self) -> None:
        if self._header.lower() == b"content-disposition":
            _, options = parse_options_header(bytes(self._value))
            self._name = options.get(b"name", b"").decode("utf-8", "replace")
            self.has_file = self.has_file or b"filename" in self._value.lower()
        self._header.clear()
        self._value.clear()

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        if not self.has_file:
            self._text += data[start:end]

    def on_part_end(self) -> None:
        if not self.has_file:
            self.fields.setdefault(self._name, []).append(self._text.decode("utf-8", "replace"))
        self.is_first_done = True

    def callbacks(self) -> Any:
        """What the parser calls."""
        return {name: getattr(self, name) for name in dir(self) if name.startswith("on_")}


async def file_form_of(request: Request) -> FileForm:
    """A form of the page with a file (multipart), its token (`csrf`, the first field) checked before the file is read on.

    Raises Forbidden as `form_of` does, InvalidBody for what is no such form, TooLarge for endless fields before the file.
    """
    content_type = request.headers.get("content-type", "")
    kind, options = parse_options_header(content_type)
    boundary = options.get(b"boundary", b"")
    if kind != b"multipart/form-data" or not 1 <= len(boundary) <= 70:
        raise InvalidBody("the page's form with a file is sent as multipart/form-data")
    head, received, is_checked = _Head(), bytearray(), False
    parser, chunks = MultipartParser(boundary, head.callbacks()), request.stream()
    async for chunk in chunks:
        received += chunk
        try:
            parser.write(chunk)
        except MultipartParseError as error:
            raise InvalidBody("the multipart form is malformed") from error
        if not is_checked and (head.is_first_done or head.has_file):
            checked(request, head.fields.text("csrf") if next(iter(head.fields), "") == "csrf" else "")
            is_checked = True
        if head.has_file:
            break
        if len(received) > MAX_FORM:
            raise TooLarge(f"the form has more than {MAX_FORM:,} bytes before its file")
    if not is_checked:
        raise InvalidBody("the multipart form ends before its first field does")
    rest = received[received.index(b"\r\n--" + boundary, len(boundary)) + 2 :]

    async def body() -> AsyncIterator[bytes]:
        yield bytes(rest)
        async for chunk in chunks:
            yield chunk

    return FileForm(head.fields, body(), {"content-type": content_type})


def onward(request: Request, path: str, *parts: str, said: str = "", **query: str) -> Response:
    """See another page (303): `path` from the root, its `{}` filled with `parts`; it shows the message `said.<said>`."""
    pairs = {**query, **({"said": said} if said else {})}
    target = root_of(request) + path.format(*(quote(part, safe="") for part in parts))
    return RedirectResponse(f"{target}?{urlencode(pairs)}" if pairs else target, 303)


def a_page(place: str, *, needs_login: bool = False) -> Callable[[Handler], Handler]:
    """A handler of a page: what it or the API refuses becomes a page too; who is not logged in goes to the log-in first."""

    def around(handler: Handler) -> Handler:
        @wraps(handler)
        async def handled(request: Request, *again: Any, **told: str) -> Response:
            try:
                if needs_login and (await who_of(request)).is_anonymous:
                    return _to_login(request)
                return await handler(request, *again, **told)
            except Refused as refused:
                if refused.status == 401 and (await who_of(request)).is_anonymous:
                    return _to_login(request)
                return await page(request, "refused.html", place, status=refused.status, refused=refused)
            except CimError as error:
                return await page(request, "refused.html", place, **_as_refused(request, error))

        return handled

    return around


def sent(
    shown: Handler, read: Callable[[Request], Awaitable[Any]] = form_of, **told: str
) -> Callable[[Callable[[Request, Any], Awaitable[Response]]], Handler]:
    """A handler of a form that was sent, `do(request, form)`, the form checked and read by `read`.

    What the API refuses shows the page of the form again, with what was typed: `shown(request, form, refused, **told)`.
    Where that page is not for the caller, or not there, its own refusal is the answer.
    """

    def around(do: Callable[[Request, Any], Awaitable[Response]]) -> Handler:
        @wraps(do)
        async def done(request: Request) -> Response:
            form = await read(request)
            try:
                return await do(request, form)
            except Refused as refused:
                return await shown(request, form, refused, **told)

        return done

    return around


def _as_refused(request: Request, error: CimError) -> dict[str, Any]:
    answer = problem_response(request, error)
    refused = Refused(answer.status_code, orjson.loads(answer.body))
    return {"status": refused.status, "refused": refused}


def _to_login(request: Request) -> Response:
    here = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    onward_to = here if request.method == "GET" else "/desk"
    return RedirectResponse(f"{root_of(request)}login?{urlencode({'next': onward_to})}", 303)


def changes_of(form: Form, stored: Mapping[str, Any], *names: str) -> dict[str, str | None]:
    """What the form says otherwise than is stored, of the named fields that it has; None for one that was emptied."""
    typed = {name: form.text(name) or None for name in names if name in form}
    return {name: value for name, value in typed.items() if value != (stored[name] or None)}


def shown_again(form: Form | None, stored: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a form's fields hold: what was typed where it comes back with an error, else what is stored."""
    return stored if form is None else {**stored, **{name: form.text(name) for name in form}}
