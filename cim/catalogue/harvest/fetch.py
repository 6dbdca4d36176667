"""Documents of a source, fetched under the URL policy (catalogue B32): to a checked address, within a budget.

Each address, that of a redirect too, is checked as text and by what its host stands for; the connection is made to that
very address. Nothing is read of the environment's proxies or netrc, no cookies are kept.
"""

import time
from urllib.parse import parse_qsl, urljoin, urlsplit

import httpx2

from cim import __version__
from cim.catalogue.harvest.document import Document
from cim.errors import TooLarge, UpstreamBlocked, UpstreamRefused, UpstreamTimeout, UpstreamUnreachable
from cim.gateway.policy import Allowed, CheckedUrl, checked_url
from cim.gateway.resolve import resolved

MAX_BYTES = 64 * 1024 * 1024
MAX_DOCUMENTS = 2_000
MAX_REDIRECTS = 5
CONNECT_S = 5.0
DOCUMENT_S = 60.0
RUN_S = 900.0

_MOVED = (301, 302, 303, 307, 308)
_ACCEPT = "application/json, application/geo+json;q=0.9, application/xml;q=0.8, text/xml;q=0.8, */*;q=0.1"


class Fetcher:
    """Gets documents for one run. `headers` go to the host of the first address only (the key of a node)."""

    def __init__(self, allowed: Allowed, *, headers: dict[str, str] | None = None) -> None:
        self._allowed, self._headers = allowed, headers or {}
        self._home: str | None = None
        self._ends_at = time.monotonic() + RUN_S
        self._count = 0
        self._client = httpx2.Client(
            trust_env=False, follow_redirects=False, timeout=httpx2.Timeout(20.0, connect=CONNECT_S)
        )

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def __call__(self, url: str) -> Document:
        """The document at `url`. Raises UpstreamRefused, UpstreamBlocked, UpstreamUnreachable, UpstreamTimeout, TooLarge."""
        self._count += 1
        if self._count > MAX_DOCUMENTS:
            raise TooLarge(f"the source has more than {MAX_DOCUMENTS:,} documents")
        checked = checked_url(url, allowed=self._allowed)
        for _ in range(MAX_REDIRECTS + 1):
            answer = self._once(checked)
            if isinstance(answer, Document):
                return answer
            try:
                checked = checked_url(urljoin(str(checked), answer), allowed=self._allowed)
            except UpstreamRefused as error:
                raise UpstreamBlocked(f"{url[:200]} leads to where nothing is called: {error.detail}") from error
        raise UpstreamUnreachable(f"{url[:200]} leads on and on")

    def _once(self, url: CheckedUrl) -> Document | str:
        """The document, or where it is said to be."""
        host, port = url.origin.host, url.origin.port
        place = resolved(host, port, allowed=self._allowed)[0]
        ends_at = min(time.monotonic() + DOCUMENT_S, self._ends_at)
        self._home = self._home or url.origin.authority
        headers = {"Host": url.origin.authority, "Accept": _ACCEPT, "User-Agent": f"opencim/{__version__}"}
        if url.origin.authority == self._home:
            headers |= self._headers
        shown = f"[{place}]" if ":" in place else place
        target = f"{url.origin.scheme}://{shown}:{port}{url.path}" + (f"?{url.query}" if url.query else "")
        try:
            request = self._client.build_request("GET", target, headers=headers, extensions={"sni_hostname": host})
            answer = self._client.send(request, stream=True)
            try:
                if answer.status_code in _MOVED and answer.headers.get("location"):
                    return str(answer.headers["location"])
                if answer.status_code != 200:
                    raise UpstreamUnreachable(f"{str(url)[:200]} answers {answer.status_code}")
                return Document(str(url), _body(answer, ends_at), answer.headers.get("content-type", ""))
            finally:
                answer.close()
        except httpx2.TimeoutException as error:
            raise UpstreamTimeout(f"{str(url)[:200]} did not answer in time") from error
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise UpstreamUnreachable(f"{str(url)[:200]} cannot be reached: {type(error).__name__}") from error


def _body(answer: httpx2.Response, ends_at: float) -> bytes:
    """The unpacked body, within the caps on its size and time."""
    body = bytearray()
    for chunk in answer.iter_bytes():
        body += chunk
        if len(body) > MAX_BYTES:
            raise TooLarge(f"the document has more than {MAX_BYTES:,} bytes")
        if time.monotonic() > ends_at:
            raise UpstreamTimeout("the document took too long to arrive")
    return bytes(body)


def asked(url: str, query: str) -> str:
    """The address with the questions of `query` that it does not ask itself (`service=WMS&request=GetCapabilities`)."""
    parts = urlsplit(url)
    known = {name.lower() for name, _ in parse_qsl(parts.query, keep_blank_values=True)}
    more = "&".join(word for word in query.split("&") if word and word.partition("=")[0].lower() not in known)
    if not more:
        return url
    return parts._replace(query=f"{parts.query.strip('&')}&{more}".strip("&"), fragment="").geturl()
