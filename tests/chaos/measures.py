"""How late things were, by what was acknowledged and by what the stand-in and the receivers wrote down. Imports nothing from
`app`: our own figures take no part.

    staleness   of a content media, when AVOS comes to show something new: how long ago the oldest change that it didn't show
                yet was acknowledged. What is never shown is infinitely late.
    in step     after AVOS was away: until it showed everything that had been acknowledged when it came back
    lateness    of an event: from its acknowledgement to its first receipt
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from tests.chaos.judge import Evidence, Staged, Wish, values_of
from tests.chaos.stream_judge import Published, Receipt, Subscribed

NEVER: Final = math.inf


@dataclass(frozen=True)
class Late:
    """How late one thing was, and when (seconds of the machine's monotonic clock) it was due."""

    seconds: float
    due: float
    what: str


def staleness(seen: Evidence, wishes: Iterable[Wish]) -> list[Late]:
    """One for each write that showed something new, and one for each field that was never brought in step."""
    by_write: dict[int, Late] = {}
    never = []
    for wish in wishes:
        shown = -1
        for number, at, entry in _showings(seen, wish):
            due = _oldest(wish, shown + 1, number)
            shown = number
            if due is None:
                continue
            late = Late(max(0.0, at - due), due, f"{wish.path} {wish.member} = {wish.values[number]}")
            if entry not in by_write or by_write[entry].seconds < late.seconds:
                by_write[entry] = late
        due = _oldest(wish, shown + 1, len(wish.values) - 1)
        if due is not None:
            never.append(Late(NEVER, due, f"{wish.path} {wish.member} = {wish.values[-1]} was never shown"))
    return [*by_write.values(), *never]


def _showings(seen: Evidence, wish: Wish) -> Iterable[tuple[int, float, int]]:
    """Each write that showed a newer value than any before: the value's number, when, and the write's own number."""
    rank = {value: number for number, value in enumerate(wish.values)}
    newest = -1
    for entry in seen.applied[wish.path]:
        number = rank.get(values_of(entry["body"]).get(wish.member), -1)
        if number > newest:
            newest = number
            yield number, float(entry["appliedAt"]), int(entry["appliedAs"])


def _oldest(wish: Wish, first: int, last: int) -> float | None:
    """When the first of these values that was acknowledged was."""
    return next((at for at in wish.heard[first : last + 1] if at is not None), None)


def in_step_after(seen: Evidence, wishes: Sequence[Wish], away: Iterable[Staged]) -> list[Late]:
    """For each time that AVOS was away: how long after its return the last of what had been acknowledged was shown."""
    showings = [(wish, list(_showings(seen, wish))) for wish in wishes]
    found = []
    for one in away:
        worst = Late(0.0, one.until, "everything was shown before it came back")
        for wish, shown in showings:
            heard = [n for n, at in enumerate(wish.heard) if at is not None and at <= one.until]
            if not heard:
                continue
            at = next((at for number, at, _ in shown if number >= heard[-1]), NEVER)
            late = Late(at - one.until, one.until, f"{wish.path} {wish.member} = {wish.values[heard[-1]]}")
            worst = max(worst, late, key=lambda late: late.seconds)
        found.append(worst)
    return found


def lateness(
    subscribed: Subscribed, receipts: Iterable[Receipt], published: Iterable[Published]
) -> list[Late]:
    """Of what its receiver takes; what was never received is missing, not late."""
    first: dict[tuple[str, str], float] = {}
    for one in receipts:
        if one.subscription == subscribed.name:
            first.setdefault((one.topic, one.guid), one.at)
    return [
        Late(
            max(0.0, first[event.topic, event.guid] - event.heard), event.heard, f"{event.topic} {event.guid}"
        )
        for event in published
        if event.sequences and (event.topic, event.guid) in first and subscribed.takes(event.sequences[0])
    ]


def percentile(found: Sequence[Late], share: float) -> float:
    """0 where there is none."""
    ordered = sorted(late.seconds for late in found)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


def told(found: Sequence[Late]) -> str:
    """For a table."""
    worst = max(found, key=lambda late: late.seconds, default=None)
    if worst is None:
        return "nothing to measure"
    half, most = percentile(found, 0.5), percentile(found, 0.99)
    return f"p50 {half:.2f}, p99 {most:.2f}, longest {worst.seconds:.2f} of {len(found)}"


def above(name: str, found: Sequence[Late], share: float, goal_s: float) -> list[str]:
    """Where this share of them was later than the goal: the latest, to be looked at. Nothing measured is a fault as well."""
    if not found:
        return [f"{name}: there was nothing to measure"]
    reached = percentile(found, share)
    if reached <= goal_s:
        return []
    worst = sorted(found, key=lambda late: -late.seconds)[:5]
    said = f"{name}: {'the longest' if share == 1 else f'p{100 * share:g}'} is {reached:.2f} s, not {goal_s:g} s at most"
    return [said, *(f"{name}: {late.what} after {late.seconds:.2f} s" for late in worst)]
