"""How all consumers are doing together, for monitoring. The cost grows neither with the number of consumers
nor of callers.

Scripts that count something keep the totals. The rest is looked at once in a while, some dozens of
consumers a script call, and kept for everybody who asks.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Final

from app.events.consumers.claims import ConsumerScripts
from app.events.consumers.status import StatusReader
from app.events.keys import EventKeys
from app.platform.redis import store_errors

EVERY_MS: Final = 10_000  # between two looks at all consumers
NAMED: Final = 20  # those that are farthest behind; more would make series without bound
_CHUNK: Final = 32  # consumers of one script call (20 microseconds each, quiet)
_KEPT_MS: Final = 60_000
_WELL: Final = frozenset({"active", "paused"})


@dataclass(frozen=True, slots=True)
class Named:
    """One of those that are farthest behind, failing, disabled, or have something parked."""

    id: str
    state: str
    lag_events: int
    lag_seconds: float
    open: int
    parked: int


@dataclass(frozen=True, slots=True)
class Figures:
    """`states`: how many consumers are in each. `lag_seconds` is the longest of those in `named`. `totals`:
    what was counted since the beginning, as `ConsumerStatus.counters` and `delays` have it, of all
    consumers that there ever were."""

    states: Mapping[str, int] = field(default_factory=dict)
    lag_events: int = 0
    lag_seconds: float = 0.0
    open: int = 0
    parked: int = 0
    named: tuple[Named, ...] = ()
    totals: Mapping[str, int] = field(default_factory=dict)


class FiguresReader:
    """`read` raises Unavailable while the store is away."""

    def __init__(self, scripts: ConsumerScripts) -> None:
        self._scripts = scripts
        self._client = scripts.client
        self._keys = EventKeys.of(scripts.keys)
        self._statuses = StatusReader(scripts.client, scripts.keys)

    def read(self) -> Figures:
        """As they were some seconds ago at most, or as old as a look that is under way; what was counted as
        it is now."""
        mine, kept = self._kept("")
        if mine:
            kept = json.dumps({name: one for name, one in asdict(self._look()).items() if name != "totals"})
            self._kept(kept)
        with store_errors():
            counted = self._client.hgetall(self._keys.consumers_totals)
        totals = {name.decode(): int(value) for name, value in counted.items()}
        found = json.loads(kept or "{}")
        named = tuple(Named(**one) for one in found.pop("named", ()))
        return Figures(**found | {"named": named, "totals": totals})

    def _kept(self, found: str) -> tuple[bool, bytes | str]:
        mine, kept = self._scripts.run("figures_kept", {"every_ms": EVERY_MS, "kept_ms": _KEPT_MS}, found)
        return bool(mine), kept

    def _look(self) -> Figures:
        states: dict[str, int] = {}
        lag = open_ = parked = place = 0
        worst: list[tuple[int, int, str]] = []
        while True:
            rows = self._scripts.run("figures", {"from": place, "limit": _CHUNK})
            for consumer_id, word, behind, opened, refused in rows:
                state = word.decode()
                if not state:
                    continue
                states[state] = states.get(state, 0) + 1
                lag, open_, parked = lag + int(behind), open_ + int(opened), parked + int(refused)
                if behind or refused or state not in _WELL:
                    worst.append((int(behind), int(refused), consumer_id.decode()))
            worst = sorted(worst, reverse=True)[:NAMED]
            place += len(rows)
            if len(rows) < _CHUNK:
                break
        named = self._named([consumer_id for _, _, consumer_id in worst])
        longest = max((one.lag_seconds for one in named), default=0.0)
        return Figures(states, lag, longest, open_, parked, named)

    def _named(self, ids: list[str]) -> tuple[Named, ...]:
        statuses = self._statuses.statuses(ids) if ids else {}
        return tuple(
            Named(one.id, one.state.value, one.lag_events, one.lag_seconds, one.open, one.parked)
            for one in statuses.values()
        )
