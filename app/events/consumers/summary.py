"""What a wake-up of a consumer led to where its receiver is in trouble, in a line for people: what Flower
shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

FIELDS: Final = ("state", "reason", "failures", "errorCode", "errorDetail")


@dataclass(frozen=True, slots=True)
class Trouble:
    """`final`: the subscription was disabled; otherwise it is tried again."""

    text: str
    final: bool


def trouble(word: str, values: Sequence[bytes | None]) -> Trouble | None:
    """`word`: how the wake-up ended (`Runner.run`), `values`: the consumer's `FIELDS`. None where it
    delivers."""
    state, reason, failures, code, detail = ((value or b"").decode() for value in values)
    why = ": ".join(text for text in (code, detail) if text)
    if word == "stopped" and state == "disabled":
        return Trouble(f"disabled ({reason}): {why}", final=True)
    if word == "resting" and int(failures or "0") > 0:
        return Trouble(why, final=False)
    return None
