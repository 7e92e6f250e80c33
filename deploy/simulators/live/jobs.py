"""Jobs of the Live API: what their states are at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

# Of an activation: how much of the time until it is ready it is only pending.
_PENDING: float = 0.2


@dataclass(slots=True)
class Job:
    """`on_since`: when it was activated; None: it is off. Times are seconds of the service's clock."""

    id: str
    static: bool = True
    group: str | None = None
    encoder: bool = False
    on_since: float | None = None

    def settle(self, now: float, self_stop_s: float) -> None:
        """Switch off what nobody has fed for too long."""
        if self.on_since is not None and not self.encoder and now >= self.on_since + self_stop_s:
            self.on_since = None

    def sep_state(self, now: float, ready_s: float) -> str:
        """The state of its entry point."""
        if not self.static:
            return "none"
        if self.on_since is None:
            return "waiting"
        since = now - self.on_since
        if since >= ready_s:
            return "ready"
        return "pending_activation" if since < ready_s * _PENDING else "activation_in_progress"

    def state(self, now: float, ready_s: float) -> str:
        """The state of the job."""
        if self.sep_state(now, ready_s) != "ready":
            return "standby" if self.static else "waiting"
        return "processing" if self.encoder else "waiting"

    def as_json(self, now: float, ready_s: float) -> dict[str, Any]:
        return {
            "id": self.id,
            "static": self.static,
            "state": self.state(now, ready_s),
            "sep_state": self.sep_state(now, ready_s),
            "redundant_group": self.group,
        }
