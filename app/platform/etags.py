"""`If-Match`: a caller changes only what it has read (RFC 9110, 13.1.1). Pure."""

from __future__ import annotations

import re
from typing import Final

from app.platform.errors import PreconditionFailed

_ENTITY_TAG: Final = re.compile(r'\s*(W/)?"([\x21\x23-\x7e\x80-\xff]*)"\s*(?:,|\Z)')


def check_if_match(current: str | None, if_match: str | None) -> None:
    """Raises PreconditionFailed where the header names no current revision. `current`: the entity tag without its
    quotes, None where there is no such record."""
    if if_match is None:
        return
    if if_match.strip() == "*":
        fits = current is not None
    else:
        tags = [(weak, tag) for weak, tag in _ENTITY_TAG.findall(if_match)]
        fits = current is not None and any(not weak and tag == current for weak, tag in tags)
    if not fits:
        now = "that there is no such record" if current is None else f'"{current}"'
        raise PreconditionFailed(
            f"If-Match doesn't name the current revision, which is {now}.",
            field="If-Match",
        )
