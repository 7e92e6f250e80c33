"""What has to happen every so often for feeds, whoever asks for it: each of these may run twice, or late."""

from __future__ import annotations

from app.events.feeds.machine import FeedMachine


class FeedTicks:
    """The safety net under lost wake-ups, dead workers and broken-off scripts."""

    def __init__(self, machine: FeedMachine) -> None:
        self._machine = machine

    def look_after(self) -> int:
        """Wake what has rested long enough, take back what died with its worker, make good lost wake-ups."""
        return self._machine.tick()

    def audit(self) -> int:
        """Check that every feed stands where its state says; how many had to be mended."""
        return self._machine.audit()
