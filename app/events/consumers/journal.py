"""The delivery log: one entry for each call's events that fared alike. Pure.

An entry is stored as JSON with the members of the API's answer; `app/events/subscriptions/store.py` reads it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from app.events.consumers.model import Item
from app.events.sinks.base import HANDED_OVER, Kind, Outcome

_LISTED: Final = 20  # events that an entry names one by one
_WORDS: Final = {Kind.RETRY: "failed", Kind.REFUSED: "parked", Kind.GONE: "disabled"}
Words = str | int | None  # a value of a log line


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """`outcome`: one of model.OUTCOMES; `first` of `events` that fared alike; `sequences`: the first of
    them, where they are several; `request`: what was sent where, without secrets; `next_ms`: until the next
    try."""

    outcome: str
    first: Item
    answer: Outcome
    events: int
    sequences: tuple[str, ...]
    request: Mapping[str, Any]
    next_ms: int | None

    def text(self) -> str:
        """As it is stored."""
        delivery, error = self.first.delivery, self.answer.error
        entry = {
            "topic": delivery.topic,
            "sequence": delivery.sequence,
            "eventName": delivery.event_name,
            "guid": delivery.guid,
            "attempt": delivery.attempt,
            "redelivery": delivery.redelivery,
            "events": self.events,
            "request": dict(self.request),
            "status": self.answer.status,
            "latencyMs": self.answer.latency_ms,
            "answer": self.answer.answer,
            "error": None if error is None else {"code": error.code, "detail": error.detail},
            "nextTryInMs": self.next_ms,
        }
        several = {"sequences": self.sequences} if self.sequences else {}
        return json.dumps(entry | several, ensure_ascii=False)

    def line(self) -> dict[str, Words]:
        """The members of a log line: without the answer, which may be long and isn't ours."""
        delivery, error = self.first.delivery, self.answer.error
        return {
            "outcome": self.outcome,
            "topic": delivery.topic,
            "sequence": delivery.sequence,
            "event_name": delivery.event_name,
            "guid": delivery.guid,
            "attempt": delivery.attempt,
            "redelivery": delivery.redelivery,
            "events": self.events,
            "status": self.answer.status,
            "ms": self.answer.latency_ms,
            "code": None if error is None else error.code,
            "next_try_ms": self.next_ms,
        }


def entries(
    items: Sequence[Item], outcomes: Sequence[Outcome], request: Mapping[str, Any], next_ms: int | None
) -> tuple[JournalEntry, ...]:
    """One for the events that fared alike, so that a call of five hundred doesn't fill the log. What wasn't
    sent has none."""
    alike: dict[tuple[str, str], list[tuple[Item, Outcome]]] = {}
    for item, outcome in zip(items, outcomes, strict=True):
        if outcome.tried:
            code = outcome.error.code if outcome.error else ""
            alike.setdefault((_word(outcome), code), []).append((item, outcome))
    return tuple(
        _entry(word, some, request, next_ms if word == "failed" else None)
        for (word, _), some in alike.items()
    )


def _entry(
    word: str, some: Sequence[tuple[Item, Outcome]], request: Mapping[str, Any], next_ms: int | None
) -> JournalEntry:
    first, answer = some[0]
    listed = [f"{one.delivery.topic}:{one.delivery.sequence}" for one, _ in some[:_LISTED]]
    sequences = tuple(listed) if len(some) > 1 else ()
    return JournalEntry(word, first, answer, len(some), sequences, request, next_ms)


def _word(outcome: Outcome) -> str:
    if outcome.error is None:
        return "delivered"
    return "handed_over" if outcome.error.code == HANDED_OVER else _WORDS[outcome.error.kind]
