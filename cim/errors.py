"""Everything that can go wrong for a user, as classes that carry facts.

A class knows its `code` (the last part of the problem type), its `title` and the facts it was raised
with; it does not know HTTP (`api/problems.py` maps codes to status) nor exit codes (`cim/cli/main.py`).
"""

from collections.abc import Iterable, Mapping
from typing import Any

from cim.quoting import nearest, quoted


class CimError(Exception):
    """Base of all errors shown to a user: `detail` says what was received and what is allowed."""

    code = "error"
    title = "Error"

    def __init__(
        self,
        detail: str,
        *,
        parameter: str | None = None,
        facts: Mapping[str, object] | None = None,
        rule: str | None = None,
    ) -> None:
        """`facts` are members that a program reads beside the standard ones (RFC 9457, 3.2); `rule`, one of them, is a word
        for what was not kept, so that pages can say it in the reader's language (message `rule.<rule>`, filled from the facts).
        """
        super().__init__(detail)
        self.detail = detail
        self.parameter = parameter
        self.facts = {**({} if rule is None else {"rule": rule}), **(facts or {})}

    def told(self) -> dict[str, object]:
        """How one process tells another: code and detail, the parameter at fault and the facts where there are any."""
        parameter = {} if self.parameter is None else {"parameter": self.parameter}
        return {"code": self.code, "detail": self.detail, **parameter, **self.facts}


class InvalidParameter(CimError):
    """A parameter's value is malformed or outside what is allowed."""

    code = "invalid-parameter"
    title = "Invalid parameter value"

    def __init__(
        self, parameter: str, value: object, allowed: str, /, *, rule: str | None = None, **facts: object
    ) -> None:
        super().__init__(f"{parameter}={quoted(value)}: {allowed}", parameter=parameter, rule=rule, facts=facts)


class UnknownParameter(CimError):
    """A query parameter that the resource does not define (OGC 17-069r4, /req/core/query-param-unknown)."""

    code = "unknown-parameter"
    title = "Unknown query parameter"

    def __init__(self, parameter: str, known: Iterable[str]) -> None:
        names = sorted(known)
        hint = nearest(parameter, names)
        super().__init__(
            f"{quoted(parameter)} is not a parameter here"
            + (f"; did you mean '{hint}'?" if hint else ".")
            + f" Known: {', '.join(names)}",
            parameter=parameter[:200],
        )


class KeyInQuery(CimError):
    """A key where addresses are logged and passed on (catalogue B38). Its value is not repeated."""

    code = "unknown-parameter"
    title = "Keys do not belong into the query string"

    def __init__(self, parameter: str) -> None:
        super().__init__(
            f"{quoted(parameter)}: addresses are logged and passed on, so no key is taken from them; send it as "
            "'Authorization: Bearer <key>' or 'X-API-Key: <key>', and revoke the one that was sent",
            parameter=parameter[:200],
        )


class UnknownProperty(CimError):
    """A property name that the collection does not have."""

    code = "unknown-property"
    title = "Unknown property"

    def __init__(self, collection: str, name: str, known: Iterable[str], *, parameter: str | None = None) -> None:
        names = sorted(known)
        hint = nearest(name, names)
        super().__init__(
            f"{collection} has no property {quoted(name)}"
            + (f"; did you mean '{hint}'?" if hint else ".")
            + f" Known: {', '.join(names)}",
            parameter=parameter,
        )


class OutsideCrs(CimError):
    """Coordinates that the named system has no place for (a pole in Web Mercator)."""

    code = "outside-crs"
    title = "Outside the coordinate reference system"


class UnknownFunction(CimError):
    """A function in a filter that this node does not offer (catalogue B19)."""

    code = "unknown-function"
    title = "Unknown function"

    def __init__(self, name: str, known: Iterable[str], *, parameter: str | None = None) -> None:
        names = sorted(known)
        hint = nearest(name, names)
        super().__init__(
            f"there is no function {quoted(name)}"
            + (f"; did you mean '{hint}'?" if hint else ".")
            + f" Offered, as /functions lists them: {', '.join(names)}",
            parameter=parameter,
        )


class FilterTooComplex(CimError):
    """A filter of more bytes, operations or levels than the stated limits (catalogue B20)."""

    code = "filter-too-complex"
    title = "Filter is too complex"

    def __init__(self, detail: str, *, parameter: str | None = "filter") -> None:
        super().__init__(detail, parameter=parameter)


class NotFound(CimError):
    """No such thing: `kind` is the word a user knows it by."""

    code = "not-found"
    title = "Not found"

    def __init__(self, kind: str, name: object, known: Iterable[str] = ()) -> None:
        names = sorted(known)
        hint = nearest(str(name), names)
        super().__init__(f"no {kind} {quoted(name)}" + (f"; did you mean '{hint}'?" if hint else ""))


class NotAcceptable(CimError):
    """No representation fits `Accept`."""

    code = "not-acceptable"
    title = "No acceptable representation"


class UnsupportedMedia(CimError):
    """A body or file of a kind that is not taken here."""

    code = "unsupported-media-type"
    title = "Unsupported media type"


class TooLarge(CimError):
    """More bytes, members or vertices than the stated cap."""

    code = "too-large"
    title = "Too large"


class DecompressedTooLarge(TooLarge):
    """An archive whose content passes the cap (catalogue B09)."""

    code = "decompressed-size"
    title = "Archive is too large when decompressed"


class InvalidBody(CimError):
    """A body that is not well-formed or lacks what it needs."""

    code = "invalid-body"
    title = "Invalid request body"


class TooNested(InvalidBody):
    """A geometry or document nested deeper than the cap (catalogue B05)."""

    code = "nesting"
    title = "Nested too deeply"


class Unauthorized(CimError):
    """A key is needed, unknown, expired or revoked."""

    code = "unauthorized"
    title = "A valid key is needed"


class TooMany(CimError):
    """More at once than is taken; the fact `retry_after_s` says when to try again."""

    def __init__(self, detail: str, retry_after_s: int) -> None:
        super().__init__(f"{detail}; try again in {retry_after_s} s", facts={"retry_after_s": retry_after_s})
        self.retry_after_s = retry_after_s


class TooManyAttempts(TooMany):
    """Guesses at a password, or more log-ins at once than are checked."""

    code = "too-many-attempts"
    title = "Too many attempts"


class TooManyExports(TooMany):
    """A caller has as many exports that are not finished as may be."""

    code = "too-many-exports"
    title = "Too many exports at once"


class Forbidden(CimError):
    """The caller is known but may not do this."""

    code = "forbidden"
    title = "Not allowed"


class Conflict(CimError):
    """The state of the thing does not allow the change."""

    code = "conflict"
    title = "Conflict"


class Incomplete(CimError):
    """A service that lacks what the shelf asks for; the fact `missing` lists the members to fill."""

    code = "incomplete"
    title = "Not complete enough for the shelf"

    def __init__(self, name: str, missing: Iterable[str]) -> None:
        names = list(missing)
        super().__init__(
            f"{quoted(name)}: the shelf asks for more: {', '.join(names)} must be filled", facts={"missing": names}
        )


class PreconditionRequired(CimError):
    """A change that must say which version it is meant for (RFC 6585, 3)."""

    code = "precondition-required"
    title = "If-Match is needed"


class PreconditionFailed(CimError):
    """`If-Match` does not name the current version."""

    code = "precondition-failed"
    title = "Precondition failed"


class Unavailable(CimError):
    """The database (or the disk) cannot answer now; try again later."""

    code = "unavailable"
    title = "Temporarily unavailable"


class InsufficientStorage(CimError):
    """The disk or quota for uploads is full."""

    code = "insufficient-storage"
    title = "Insufficient storage"


class SourceRefused(CimError):
    """A source that cannot be loaded as it is: `detail` names the option or the change that mends it."""

    code = "source-refused"
    title = "Source cannot be loaded"


class DriverRefused(SourceRefused):
    """A file whose content is of a format outside the allow-list (catalogue B11)."""

    code = "driver-not-allowed"
    title = "Format is not allowed"


class LoadBusy(Conflict):
    """Another load of the same source into the same collection is running (catalogue F02)."""

    code = "load-busy"
    title = "The source is being loaded"


class WriteBusy(Conflict):
    """Rows that a running load holds until it commits."""

    code = "write-busy"
    title = "The features are being written"


class KeyReused(Conflict):
    """An `Idempotency-Key` that came with another request before."""

    code = "idempotency-key-reused"
    title = "The idempotency key belongs to another request"


class LoadFailed(CimError):
    """A load that stopped: what is stored stays, and the same command goes on where it was."""

    code = "load-failed"
    title = "Load failed"


class RunCancelled(Conflict):
    """A load or harvest that somebody ended."""

    code = "cancelled"
    title = "The run was ended"


class NotWritable(CimError):
    """A format that cannot hold the features asked for: `detail` names one that can."""

    code = "not-writable"
    title = "The format cannot hold these features"


class RangeRefused(CimError):
    """A range of bytes that is not given: several at once, or outside the file."""

    code = "range-refused"
    title = "Range cannot be given"

    def __init__(self, detail: str, size: int) -> None:
        super().__init__(f"{detail}; the file has {size:,} bytes")
        self.size = size


class ExportFailed(CimError):
    """A file that could not be made."""

    code = "export-failed"
    title = "Export failed"


class UpstreamRefused(CimError):
    """An address that no service of the catalogue may have (catalogue B32)."""

    code = "upstream-refused"
    title = "Address may not be called"


class UpstreamBlocked(CimError):
    """A call that would leave to where the policy lets nothing go: a closed network, or another host by a redirect."""

    code = "upstream-blocked"
    title = "Call blocked by policy"


class UpstreamUnreachable(CimError):
    """The service behind the gateway could not be reached, or what it sent is no answer."""

    code = "upstream-unreachable"
    title = "The service could not be reached"


class UpstreamTimeout(CimError):
    """The service behind the gateway did not answer in time (catalogue B35)."""

    code = "upstream-timeout"
    title = "The service did not answer in time"


class UpstreamClosed(CimError):
    """The service cannot be called now: suspended, resting after failures, or all its places taken."""

    code = "service-unavailable"
    title = "The service cannot be called now"

    def __init__(self, detail: str, *, retry_after_s: int | None = None) -> None:
        super().__init__(detail)
        self.retry_after_s = retry_after_s


class SetupProblem(CimError):
    """The machine or the database lacks something; `detail` carries the line that mends it."""

    code = "setup"
    title = "Set-up problem"


class MeterFull(CimError):
    """Calls that cannot be counted are not let through: the spool is at its bound, or the disk is full."""

    code = "meter-full"
    title = "Calls cannot be counted now"


class QuotaExceeded(CimError):
    """A quota or rate of the grant is used up until `reset_at` (seconds since 1970); `standing`: of all its limits."""

    code = "quota-exceeded"
    title = "The quota is used up"

    def __init__(
        self, detail: str, *, standing: Iterable[Any], retry_after_s: int, facts: Mapping[str, object]
    ) -> None:
        super().__init__(detail, facts=facts)
        self.standing = tuple(standing)
        self.retry_after_s = retry_after_s
