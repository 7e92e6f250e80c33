"""What went wrong with a call to AVOS: what each failure and each status means for the attempt.

The client raises `CallFailed` (outgoing/attempts) with one of these errors. A write may have been
carried out although it failed when bytes had left and no answer came, or when a gateway answered
that doesn't know either (502, 504). 503 says that it wasn't carried out, and so does any other
answer that says "no".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from app.outgoing.decision import AttemptError
from app.platform.clock import utcnow
from app.platform.failures import MALFORMED, PROXY_AUTH, UNREACHABLE, describe, retry_after

_BY_STATUS: Final[Mapping[int, str]] = {
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    407: PROXY_AUTH,
    408: "request_timeout",
    425: "too_early",
    429: "throttled",
}
UNKNOWN: Final = frozenset({502, 504})  # of a gateway, which may have passed the write on
_FAULT_OF_DESTINATION: Final = frozenset({401, 403, 407, 429, 502, 503, 504})


def of_exception(error: BaseException, *, sent: bool) -> AttemptError:
    """The meaning of a lower-level error."""
    code, detail = describe(error, sent=sent)
    return AttemptError(code=code, detail=detail, destination_fault=code in UNREACHABLE)


def of_status(status: int, headers: Mapping[str, str]) -> AttemptError:
    """The meaning of an answer that isn't 2xx."""
    return AttemptError(
        code=_status_code(status),
        detail=f"AVOS answered {status}.",
        retryable=not 400 <= status < 500 or status in _BY_STATUS,
        destination_fault=status in _FAULT_OF_DESTINATION,
        retry_after_s=retry_after(headers.get("Retry-After"), utcnow()),
        status=status,
    )


def _status_code(status: int) -> str:
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    if 300 <= status < 400:
        return "redirected"
    if 400 <= status < 500:
        return "refused"
    return "server_error" if status >= 500 else MALFORMED
