"""Jobs of the Live API: what their states are at a time."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

# How much of the time until an entry point is ready, or waiting again, this is only pending.
_PENDING: Final = 0.2


@dataclass(frozen=True, slots=True)
class Times:
    """Seconds: from an activation until ready, from a deactivation until waiting again, until it switches itself off."""

    ready_s: float
    stopped_s: float
    self_stop_s: float


@dataclass(slots=True)
class Job:
    """A job whose entry point was switched on, or off, at `since`; None: never. Times are seconds of the service's clock."""

    id: str
    static: bool = True
    group: str | None = None
    encoder: bool = False
    on: bool = field(default=False, init=False)
    since: float | None = field(default=None, init=False)
    fed: bool = field(default=False, init=False)  # an encoder has started since it was switched on

    def switch(self, now: float, *, on: bool) -> None:
        if on:
            self.fed = self.encoder
        self.on, self.since = on, now

    def feed(self, *, encoder: bool) -> None:
        """An encoder starts or stops."""
        self.encoder = encoder
        self.fed = self.fed or (encoder and self.on)

    def settle(self, now: float, times: Times) -> None:
        """Switch off, as of then, what no encoder has fed for too long."""
        if self.on and not self.fed and self.since is not None and now >= self.since + times.self_stop_s:
            self.switch(self.since + times.self_stop_s, on=False)

    def sep_state(self, now: float, times: Times) -> str:
        """The state of its entry point."""
        if not self.static:
            return "none"
        lasts = times.ready_s if self.on else times.stopped_s
        if self.since is None or now - self.since >= lasts:
            return "ready" if self.on else "waiting"
        verb = "activation" if self.on else "deactivation"
        return f"pending_{verb}" if now - self.since < lasts * _PENDING else f"{verb}_in_progress"

    def state(self, now: float, times: Times) -> str:
        """The state of the job."""
        sep_state = self.sep_state(now, times)
        if sep_state in ("none", "ready"):
            if self.encoder:
                return "processing"
            return "disconnected" if self.fed else "waiting"
        return "finishing" if self.fed and "deactivation" in sep_state else "standby"

    def as_json(self, now: float, times: Times) -> dict[str, Any]:
        return {
            "id": self.id,
            "static": self.static,
            "state": self.state(now, times),
            "sep_state": self.sep_state(now, times),
            "redundant_group": self.group,
        }
