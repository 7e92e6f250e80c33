"""What a stand-in answers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Answer:
    """`status` None: the connection is reset, or (`hang`) kept open without an answer."""

    status: int | None
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    hang: bool = False
    later_s: float | None = None  # after the reset: when `carry_out` is to be called
    drip_s: float | None = None
    drip_headers: bool = False
    content_type: str = "application/json"


def as_json(value: Any, status: int = 200) -> Answer:
    return Answer(status, json.dumps(value).encode())


def error(status: int, why: str, headers: Mapping[str, str] | None = None) -> Answer:
    return Answer(status, json.dumps({"error": why}).encode(), headers or {})


def parsed(body: bytes) -> Any:
    """What was sent; it may be no JSON."""
    if not body:
        return None
    try:
        return json.loads(body)
    except ValueError:
        return body.decode(errors="replace")
