"""Where requests go: each destination is a value, with its limits, its lease, its ages, its breaker and its retries.

Scripts get these values with their text, and none names a destination. A destination may be a family: then each host
is an instance of its own (`notices:example.com`), with its own breaker and tables and the family's values.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from app.platform.scripts import lua

_NAME: Final = re.compile(r"[a-z][a-z0-9-]*")
_INSTANCE: Final = re.compile(r"[A-Za-z0-9._\[\]:-]{1,255}")


@dataclass(frozen=True, slots=True)
class Breaker:
    """When a destination is given a rest: after faults of so many lanes, or refusals (401, 403, 407) of so many."""

    threshold: int = 3
    refused_lanes: int = 2  # a token that is refused is refused for every lane: the second one shows it


@dataclass(frozen=True, slots=True)
class Retry:
    """When what has failed is tried again. `decision.py` applies it."""

    longest_rest: timedelta = timedelta(
        minutes=5
    )  # a far side that asks for an hour is asked again after this
    near_rest: timedelta = timedelta(
        seconds=10
    )  # what is on air or kicks off soon waits no longer than a tick
    soon: timedelta = timedelta(hours=2)
    again: timedelta = timedelta(seconds=1)  # a blink of the far side is over by then
    growth: float = 0.0  # of the time since the first failure: so long until the next try, at least a tick …
    longest_wait: timedelta = timedelta(hours=1)  # … and at most this


@dataclass(frozen=True, slots=True)
class Destination:
    """`instances` 0: one far side; else a family, with so many instances at most. Hosts beyond share one, `{name}:others`."""

    name: str
    in_flight: int = 200
    lease: timedelta = timedelta(seconds=15)
    max_age: timedelta = timedelta(days=1)  # since the first failure
    grace: timedelta = timedelta(days=1)  # after its event's end
    max_reclaims: int = 3
    release_rate: int = 200  # retries a second after an outage
    first_probe: timedelta = timedelta(seconds=1)  # after the breaker has opened
    probe_interval: timedelta = timedelta(seconds=10)  # the longest between two probes
    breaker: Breaker | None = field(default_factory=Breaker)  # None: it never opens
    retry: Retry = field(default_factory=Retry)
    instances: int = 0

    def of_host(self, host: str) -> str:
        """The name of a family's instance for a host (with a port, if need be)."""
        if not self.instances or not _INSTANCE.fullmatch(host):
            raise ValueError(f"{self.name} has no instance for {host[:300]!r}")
        return f"{self.name}:{host.lower()}"

    def limits(self) -> dict[str, int]:
        """What the scripts need, by the names that they use; times in ms."""
        breaker = self.breaker or Breaker(threshold=0)
        return {
            "in_flight": self.in_flight,
            "lease_ms": _ms(self.lease),
            "max_age_ms": _ms(self.max_age),
            "max_reclaims": self.max_reclaims,
            "release_rate": self.release_rate,
            "first_probe_ms": _ms(self.first_probe),
            "probe_ms": _ms(self.probe_interval),
            "breaker_threshold": breaker.threshold,
            "refused_lanes": breaker.refused_lanes,
            "longest_rest_ms": _ms(self.retry.longest_rest),
            "near_rest_ms": _ms(self.retry.near_rest),
            "soon_ms": _ms(self.retry.soon),
            "instances": self.instances,
        }


class Destinations:
    """Those that this process is given, by name. Raises ValueError for a name that can't stand in keys, or stands twice."""

    def __init__(self, *given: Destination) -> None:
        self._by_name = {one.name: one for one in given}
        if len(self._by_name) < len(given) or not all(map(_NAME.fullmatch, self._by_name)):
            raise ValueError(f"not the names of destinations: {', '.join(one.name for one in given)}")

    def __iter__(self) -> Iterator[Destination]:
        return iter(self._by_name.values())

    def of(self, name: str) -> Destination:
        """A destination, or an instance's family. One that this process isn't given has the default values: its records are
        kept as they are, and end."""
        family = name.partition(":")[0]
        return self._by_name.get(family) or Destination(family)

    def limits_fragment(self) -> str:
        """The Lua that `lua/_destinations.lua` includes."""
        limits = {"": Destination("").limits(), **{one.name: one.limits() for one in self}}
        most_queued = sum(one.in_flight for one in self)
        return f"local LIMITS = {lua(limits)}\nlocal MOST_QUEUED = {most_queued}\n"


def _ms(span: timedelta) -> int:
    return int(span.total_seconds() * 1000)
