"""A caller's Idempotency-Key, read from the current Flask request.

A key belongs to one token, method and path: two callers can't meet in one key. The query and the body
make the fingerprint, so the same key with another input is recognised as a mistake (422).
"""

from __future__ import annotations

import hashlib
import re
from typing import Final

from flask import request

from app.http.authentication import principal
from app.platform.errors import InvalidInput

HEADER: Final = "Idempotency-Key"
_KEY: Final = re.compile(r"[\x21-\x7e]{1,255}\Z")


def idempotency(body: bytes) -> tuple[str, str] | None:
    """`(digest, fingerprint)` for `app.outgoing.model.Idempotency`, or None without a key.

    Only inside a view that `requires` a scope. Raises InvalidInput for a key that isn't 1–255 visible
    ASCII characters.
    """
    key = request.headers.get(HEADER)
    if key is None:
        return None
    if not _KEY.match(key):
        raise InvalidInput([(HEADER, "A key is 1 to 255 visible ASCII characters.")])
    who_what = f"{principal().id}\n{request.method}\n{request.path}\n{key}"
    fingerprint = hashlib.sha256(request.query_string + b"\n" + body).hexdigest()
    return hashlib.sha256(who_what.encode()).hexdigest(), fingerprint
