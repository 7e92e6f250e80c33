"""What has to happen every so often for consumers, whoever asks for it: each of these may run twice, or late."""

from __future__ import annotations

from app.events.consumers.claims import ConsumerClaims


class ConsumerTicks:
    """The safety net under lost wake-ups, dead workers and broken-off scripts."""

    def __init__(self, machine: ConsumerClaims) -> None:
        self._machine = machine

    def look_after(self) -> int:
        """Wake what has rested long enough, take back what died with its worker, make good lost wake-ups."""
        return self._machine.tick()

    def audit(self) -> int:
        """Check that every consumer stands where its state says; how many had to be mended."""
        return self._machine.audit()
