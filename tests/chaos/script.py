"""The fault script: what is broken when, for how long, drawn from a seed.

Eight tracks run side by side, so that faults meet: `workers` are killed, `processes` are frozen, killed and restarted in
order, the `store` is frozen, killed, cut off, filled and its clock stepped, the `far` side misbehaves; `deliverers`, the
workers of events, are killed, frozen and restarted, the `subscribers` and the `topic` misbehave, and `operators` pause, replay
and change subscriptions. AVOS refuses one `lane` for good, and `blinks`: it is gone for less than a second. Each track is drawn by a generator of its own, so that a seed's tracks stay what they were when
another one is added.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import cycle
from typing import Any, Final

from tests.chaos.deployment import APIS, BEATS, DELIVERERS, LEASE_S, LIVE, WORKERS
from tests.chaos.subscribers import CONSUMER_LEASE_S, HOOKS, KINESIS, SNS

PROCESSES: Final = (
    "freeze worker", "freeze worker", "freeze worker", "kill beat", "freeze beat", "step the clock of beat",
    "step the clock of workers", "kill api", "freeze api", "rolling restart",
)  # fmt: skip
STORE: Final = (
    "freeze store", "kill store", "freeze store", "kill store", "cut all connections", "memory full", "disk full",
    "step the clock of the store",
)  # fmt: skip
FAR: Final = (
    "down", "reset unread", "slow", "reset before", "reset after", "conflicts", "foreign edits", "throttled",
    "unavailable", "token refused", "malformed",
)  # fmt: skip
DELIVERING: Final = (
    "kill deliverer", "kill deliverer", "freeze deliverer", "kill deliverer", "restart deliverers",
)  # fmt: skip
SUBSCRIBERS: Final = (
    "hook down", "hook refusing", "hook throttled", "hook loses answers", "hook slow", "hook drips", "hook refuses some",
    "kinesis throttled", "kinesis takes some", "kinesis loses answers",
)  # fmt: skip
TOPIC: Final = ("sns throttled", "sns takes some", "sns loses answers")
OPERATING: Final = ("pause", "replay", "replay, paused", "replay, cancelled", "rotate secret", "change")
COARSE: Final = ("applied late", "applied late")  # where lastModified can't tell two writes of a second apart
# A far side may fail while others wait: nothing of these says that a write wasn't applied but `reset` and `slow`.
SWITCHES: Final[Mapping[str, dict[str, Any]]] = {
    "down": {"down": "refuse"},
    "reset unread": {"down": "reset"},
    "slow": {"latencyMs": {"get": 300, "patch": 2500, "other": 200}},
    "reset before": {"faults": [{"kind": "reset", "when": "before", "probability": 0.4}]},
    "reset after": {"faults": [{"kind": "reset", "when": "after", "on": "patch", "probability": 0.5}]},
    "applied late": {"faults": [{"kind": "late", "on": "patch", "probability": 0.3, "intervalMs": 450}]},
    "conflicts": {"faults": [{"kind": "conflict", "on": "patch", "probability": 0.7}]},
    "foreign edits": {"faults": [{"kind": "edit", "on": "patch", "probability": 0.5}]},
    "throttled": {"faults": [{"kind": "status", "status": 429, "retryAfter": 1, "probability": 0.5}]},
    "unavailable": {"faults": [{"kind": "status", "status": 503, "probability": 0.7}]},
    "token refused": {"faults": [{"kind": "status", "status": 401}]},
    "unhurried": {"latencyMs": {"get": 400, "patch": 200, "other": 60}},
    "malformed": {"faults": [{"kind": "malformed", "on": "get", "probability": 0.5}]},
}
WELL: Final[Mapping[str, Any]] = {"down": "no", "faults": []}


@dataclass(frozen=True)
class Fault:
    """`at` and `lasts` in seconds of the campaign; `whom` names a process, or by how much a clock is stepped."""

    at: float
    track: str
    kind: str
    lasts: float = 0.0
    whom: str = ""


def script(seed: int, seconds: float, kills: int, *, coarse: bool = False) -> list[Fault]:
    """Everything that will be broken, by the seed alone; nothing in the last seconds, so that all tracks end."""
    far = (*FAR, *COARSE) if coarse else FAR
    end = seconds - 2
    found = [*_kills(random.Random(f"{seed}-workers"), end, kills)]
    tracks: tuple[tuple[str, tuple[str, ...], float], ...] = (
        ("processes", PROCESSES, 4.0), ("store", STORE, 7.0), ("far", far, 2.5), ("deliverers", DELIVERING, 5.0),
        ("subscribers", SUBSCRIBERS, 4.0), ("topic", TOPIC, 8.0), ("operators", OPERATING, 4.0),
    )  # fmt: skip
    for track, kinds, pause in tracks:
        found += _track(random.Random(f"{seed}-{track}"), track, kinds, pause, end)
    found += [*refused_lane(end), *blinks(seed, end, 12.0)]
    return sorted(found, key=lambda fault: fault.at)


def refused_lane(end: float) -> Iterator[Fault]:
    """One content media's requests are answered with 403, from the beginning to the end."""
    yield Fault(1.0, "lane", "refused lane", round(end - 1, 2))


def blinks(seed: int, end: float, pause: float) -> Iterator[Fault]:
    """AVOS refuses connections for a moment."""
    chance = random.Random(f"{seed}-blinks")
    at = chance.uniform(1, pause)
    while at + 0.5 < end:
        lasts = round(chance.uniform(0.2, 0.5), 2)
        yield Fault(round(at, 2), "blinks", "blink", lasts)
        at += lasts + chance.uniform(0.5, 1.5) * pause


def restarts(end: float, pause: float) -> Iterator[Fault]:
    """SIGTERM to one process after the other, of every role, and between them to those that send; the next one once the last is
    back."""
    others = (*APIS, *BEATS, *(name for name in WORKERS if name not in LIVE), *DELIVERERS)
    names = (name for pair in zip(cycle(LIVE), cycle(others), strict=False) for name in pair)
    for number in range(int((end - 2) / pause)):
        yield Fault(2 + number * pause, "roles", "restart", whom=next(names))


def away(end: float) -> Iterator[Fault]:
    """All workers of one queue are away for many leases, one queue after the other."""
    lasts = 8 * LEASE_S
    for number, queue in enumerate(("live", "pending", "ticks")):
        if 3 + (number + 1) * (lasts + 12) < end + 12:
            yield Fault(3 + number * (lasts + 12), "away", "no workers", lasts, queue)


def slow_far_side(end: float) -> Iterator[Fault]:
    """Much is on its way at any time."""
    yield Fault(1.0, "far", "unhurried", round(end - 1, 2))


def _kills(chance: random.Random, end: float, kills: int) -> Iterator[Fault]:
    for number in range(kills):
        at = (number + chance.uniform(0.1, 0.9)) * end / kills
        # The live ones hold what matters; the others aren't immune.
        yield Fault(at, "workers", "kill worker", whom=chance.choice([*LIVE, *LIVE, *LIVE, *WORKERS]))


def _track(
    chance: random.Random, track: str, kinds: tuple[str, ...], pause: float, end: float
) -> Iterator[Fault]:
    """Every kind once before any comes again."""
    at = chance.uniform(1, pause)
    left: list[str] = []
    while True:
        left = left or chance.sample(kinds, len(kinds))
        fault = _drawn(chance, at, track, left.pop())
        if at + fault.lasts > end:
            return
        yield fault
        at += fault.lasts + chance.uniform(0.5, 1.5) * pause


def _drawn(chance: random.Random, at: float, track: str, kind: str) -> Fault:
    lasts, whom = chance.uniform(1.0, 4.0), ""
    if kind == "freeze worker":
        lasts, whom = chance.uniform(0.5, 2.5) * LEASE_S, chance.choice([*LIVE, *LIVE, *WORKERS])
    elif kind in ("kill beat", "freeze beat"):
        lasts, whom = (0.0 if kind == "kill beat" else lasts), chance.choice(BEATS)
    elif kind in ("kill api", "freeze api"):
        lasts, whom = (0.0 if kind == "kill api" else lasts), chance.choice(APIS)
    elif kind in ("kill deliverer", "freeze deliverer"):
        whom = chance.choice(DELIVERERS)
        lasts = 0.0 if kind == "kill deliverer" else chance.uniform(0.3, 1.6) * CONSUMER_LEASE_S
    elif kind.startswith(("hook", "kinesis")):
        whom = chance.choice(HOOKS) if kind.startswith("hook") else KINESIS
    elif kind.startswith("sns"):
        whom = SNS
    elif kind in OPERATING:
        lasts, whom = (
            chance.uniform(2.0, 8.0),
            chance.choice(HOOKS if kind == "rotate secret" else (*HOOKS, KINESIS, SNS)),
        )
    elif kind in ("rolling restart", "restart deliverers"):
        lasts = 0.0
    elif kind.startswith("step the clock"):
        lasts, whom = chance.uniform(2, 5), f"{chance.choice([5, 60, 3600]) * chance.uniform(-1, 1):.1f}"
    elif kind in ("kill store", "cut all connections"):
        lasts = chance.choice([0.0, chance.uniform(0.5, 3.0)]) if kind == "kill store" else 0.0
    return Fault(round(at, 2), track, kind, round(lasts, 2), whom)
