"""Errors that the outside is told about.

Every error says which `code` it is (stable, for programs), what to tell a person (`detail`), which
field it is about, and whether trying again can help. `web/problems.py` turns one into an answer;
nobody else looks at status codes.

    MediaopsError
    ├── BadRequest            400  the caller's input
    │   ├── Unprocessable     422  an Idempotency-Key that belongs to another body
    │   └── InvalidInput      400  input that doesn't fit its schema: every field that is wrong
    ├── Unauthorized          401
    ├── NotFound              404
    ├── Conflict              409  the state of things forbids it (an older sourceVersion, a state)
    │   ├── PreconditionFailed 412 If-Match names another revision
    │   └── WrittenByNewer    409  a record that only a newer release may change
    ├── Forbidden             403
    ├── TooLarge              413
    ├── TooManyRequests       429  a caller's own rate; `retry_after` seconds
    └── Unavailable           503  the store is away, full or too busy; `retry_after` seconds
"""

from __future__ import annotations


class MediaopsError(Exception):
    """Base of all: `detail` is shown to the caller word for word, so it never holds a secret."""

    status = 500
    code = "internal"
    title = "Internal Server Error"
    retryable = False

    def __init__(
        self,
        detail: str,
        *,
        code: str | None = None,
        field: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.code = code or type(self).code
        self.field = field
        self.retry_after = retry_after


class BadRequest(MediaopsError):
    status, code, title = 400, "bad_request", "Bad Request"


class Unprocessable(BadRequest):
    status, code, title = 422, "unprocessable", "Unprocessable Content"


class InvalidInput(BadRequest):
    """Input that doesn't fit its schema. `problems`: (path of the field, what is wrong with it), at least one."""

    code = "invalid_input"

    def __init__(self, problems: list[tuple[str | None, str]]) -> None:
        details = [f"{path}: {text}" if path else text for path, text in problems]
        super().__init__(details[0], field=problems[0][0])
        self.problems = problems
        self.details = details


class Unauthorized(MediaopsError):
    status, code, title = 401, "unauthorized", "Unauthorized"


class Forbidden(MediaopsError):
    status, code, title = 403, "forbidden", "Forbidden"


class NotFound(MediaopsError):
    status, code, title = 404, "not_found", "Not Found"


class Conflict(MediaopsError):
    status, code, title = 409, "conflict", "Conflict"


class PreconditionFailed(Conflict):
    status, code, title = 412, "precondition_failed", "Precondition Failed"


class WrittenByNewer(Conflict):
    code = "newer_release"


class TooLarge(MediaopsError):
    status, code, title = 413, "too_large", "Content Too Large"


class TooManyRequests(MediaopsError):
    status, code, title, retryable = 429, "rate_limited", "Too Many Requests", True


class Unavailable(MediaopsError):
    """The store is away, full or contended. The outcome of a write is then unknown to the caller,
    who repeats it with the same Idempotency-Key."""

    status, code, title, retryable = 503, "unavailable", "Service Unavailable", True

    def __init__(self, detail: str, *, code: str | None = None, retry_after: float = 2) -> None:
        super().__init__(detail, code=code, retry_after=retry_after)
