"""The switches: how a stand-in behaves, for all that it holds or for one of it."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

# The faults that every stand-in has.
KINDS: Final = ("status", "reset", "hang", "drip", "malformed", "late")
METHODS: Final = ("any", "get", "patch", "post", "put", "delete")
# A switch's values, the first of which counts until another is set; or the number that counts until then.
Choices = Mapping[str, tuple[Any, ...] | float]


class BadSwitch(ValueError):
    """A switch or value that isn't one; the text says which."""


@dataclass(slots=True)
class Fault:
    """One way to fail, and for which requests."""

    kind: str
    on: str = "any"
    path: str = ""
    when: str = "before"
    next: int | None = None
    probability: float = 1.0
    status: int = 500
    retryAfter: float | str | None = None  # noqa: N815 - the switch's name
    intervalMs: float = 100  # noqa: N815
    headers: bool = False

    def __post_init__(self) -> None:
        if self.on not in METHODS or self.when not in ("before", "after"):
            raise self.unknown()

    def unknown(self) -> BadSwitch:
        return BadSwitch(f"no such fault: kind {self.kind}, on {self.on}, when {self.when}")

    def strikes(self, method: str, path: str, chance: random.Random) -> bool:
        """Whether this request is hit; counts it if so."""
        if self.on not in ("any", method.lower()) or self.path not in path or self.next == 0:
            return False
        if self.probability < 1 and chance.random() >= self.probability:
            return False
        if self.next is not None:
            self.next -= 1
        return True

    def as_json(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in Fault.__slots__}


@dataclass(slots=True)
class Behaviour:
    """The switches of one scope. `given` holds only what was set, so that a single thing can fall back."""

    choices: Choices
    kinds: tuple[str, ...]
    given: dict[str, Any] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)

    def set(self, switches: Mapping[str, Any]) -> None:
        for name, value in switches.items():
            if name == "faults":
                self.faults = [_fault(entry, self.kinds) for entry in value]
            elif name == "latencyMs":
                by_method = value if isinstance(value, Mapping) else {"any": value}
                self.given[name] = {method: float(ms) for method, ms in by_method.items()}
            elif fits(self.choices.get(name, ()), value):
                self.given[name] = value
            else:
                raise BadSwitch(f"{name} can't be {value!r}")

    def as_json(self) -> dict[str, Any]:
        return {**self.given, "faults": [fault.as_json() for fault in self.faults]}


def fits(choice: tuple[Any, ...] | float, value: Any) -> bool:
    """Whether a switch can have this value."""
    if isinstance(choice, tuple):
        return value in choice
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value >= 0


def _fault(entry: Mapping[str, Any], kinds: tuple[str, ...]) -> Fault:
    try:
        fault = Fault(**entry)
    except TypeError as error:
        raise BadSwitch(f"a fault has no such member: {error}") from None
    if fault.kind not in kinds:
        raise fault.unknown()
    return fault


class Switches:
    """All switches, and what they say about one request. `scope`: what those of single things are called.
    `kinds`: the faults of this stand-in alone."""

    def __init__(self, scope: str, choices: Choices, kinds: tuple[str, ...] = ()) -> None:
        self._scope = scope
        self._choices = choices
        self._kinds = (*KINDS, *kinds)
        self.everywhere = Behaviour(choices, self._kinds)
        self.of_one: dict[str, Behaviour] = {}
        self.down = "no"
        self.down_until: float | None = None  # monotonic; None: until switched back
        self.chance = random.Random(0)

    def set(self, given: Mapping[str, Any]) -> None:
        """Set what is named in `given`. Raises BadSwitch."""
        general = dict(given.get("global") or {})
        if unknown := set(given) - {"global", self._scope}:
            raise BadSwitch(f"no such member: {', '.join(sorted(unknown))}")
        if "seed" in general:
            self.chance.seed(general.pop("seed"))
        seconds = general.pop("downForS", None)
        if "down" in general:
            down = general.pop("down")
            if down not in ("no", "refuse", "reset"):
                raise BadSwitch(f"down can't be {down!r}")
            self.down = down
            self.down_until = None if seconds is None else time.monotonic() + float(seconds)
        self.everywhere.set(general)
        for identifier, switches in (given.get(self._scope) or {}).items():
            folded = identifier.casefold()
            if switches is None:
                self.of_one.pop(folded, None)
            else:
                self.of_one.setdefault(folded, Behaviour(self._choices, self._kinds)).set(switches)

    def as_json(self) -> dict[str, Any]:
        return {
            "global": {"down": self.down, **self.everywhere.as_json()},
            self._scope: {name: behaviour.as_json() for name, behaviour in self.of_one.items()},
        }

    def value(self, name: str, identifier: str | None) -> Any:
        """A switch as it counts for this one."""
        if identifier is not None and self.of_one:
            own = self.of_one.get(identifier)
            if own is not None and name in own.given:
                return own.given[name]
        if name in self.everywhere.given:
            return self.everywhere.given[name]
        choice = self._choices.get(name)
        return choice[0] if isinstance(choice, tuple) else choice

    def latency_s(self, method: str, identifier: str | None) -> float:
        latency = self.value("latencyMs", identifier)
        if not latency:
            return 0.0
        milliseconds = latency.get(method.lower(), latency.get("any", latency.get("other", 0.0)))
        return float(milliseconds) / 1000

    def fault(self, method: str, path: str, identifier: str | None) -> Fault | None:
        """The fault that strikes this request, if any."""
        own = self.of_one.get(identifier) if identifier is not None else None
        for behaviour in (own, self.everywhere):
            for fault in behaviour.faults if behaviour else ():
                if fault.strikes(method, path, self.chance):
                    return fault
        return None
