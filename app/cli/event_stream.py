"""Reading server-sent events: lines in, messages out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Message:
    """One block of the stream. A block without data only moves the `id`."""

    kind: str
    data: str
    id: str | None


def messages(lines: Iterable[str]) -> Iterator[Message]:
    """The stream's blocks; one that was broken off is left out."""
    kind, last_id = "message", None
    data: list[str] = []
    for line in lines:
        if not line:
            yield Message(kind, "\n".join(data), last_id)
            kind, data, last_id = "message", [], None
            continue
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        match name:
            case "event":
                kind = value
            case "data":
                data.append(value)
            case "id":
                last_id = value
