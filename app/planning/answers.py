"""What each item of a batch is answered, and how the answers are kept for a repeat of the call. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from app.outgoing.model import encode
from app.platform.errors import InvalidInput, MediaopsError


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why an item was refused. `retry_after`: seconds."""

    code: str
    title: str
    details: tuple[str, ...]
    field: str | None = None
    retry_after: float | None = None


@dataclass(frozen=True, slots=True)
class ItemAnswer:
    """`index`: its place in the call; `status` as of HTTP. What was taken has no refusal."""

    index: int
    status: int = 200
    created: bool = False
    request_ids: tuple[str, ...] = ()
    event_known: bool = True
    refusal: Refusal | None = None


def refused(index: int, error: MediaopsError) -> ItemAnswer:
    """The answer for one item that can't be taken."""
    details = tuple(error.details) if isinstance(error, InvalidInput) else (error.detail,)
    refusal = Refusal(error.code, error.title, details, error.field, error.retry_after)
    return ItemAnswer(index, error.status, refusal=refusal)


def as_json(answer: ItemAnswer) -> dict[str, Any]:
    """As the API shows it, and as it is stored; a refusal is shaped like a problem's errors."""
    shown: dict[str, Any] = {"index": answer.index, "status": answer.status}
    refusal = answer.refusal
    if refusal is None:
        shown |= {"created": answer.created, "requestIds": list(answer.request_ids)}
        return shown if answer.event_known else shown | {"eventKnown": False}
    errors = [{"title": refusal.title, "detail": detail} for detail in refusal.details]
    shown |= {"code": refusal.code, "errors": errors}
    if refusal.field:
        shown["field"] = refusal.field
    if refusal.retry_after is not None:
        shown["retryAfter"] = refusal.retry_after
    return shown


def encoded(answers: Iterable[ItemAnswer]) -> bytes:
    """To be stored."""
    return encode([as_json(answer) for answer in answers])


def decoded(stored: bytes) -> list[ItemAnswer]:
    """The inverse of `encoded`."""
    return [_item(found) for found in json.loads(stored)]


def _item(found: dict[str, Any]) -> ItemAnswer:
    if "code" not in found:
        return ItemAnswer(
            found["index"],
            found["status"],
            found["created"],
            tuple(found["requestIds"]),
            found.get("eventKnown", True),
        )
    refusal = Refusal(
        found["code"],
        found["errors"][0]["title"],
        tuple(error["detail"] for error in found["errors"]),
        found.get("field"),
        found.get("retryAfter"),
    )
    return ItemAnswer(found["index"], found["status"], refusal=refusal)
