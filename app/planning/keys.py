"""Redis keys of events and jobs (docs/data-model.md)."""

from __future__ import annotations

from app.platform.keys import Keys, quoted


class PlanningKeys(Keys):
    """Ids come from outside, so they are percent-encoded."""

    def event(self, event_id: str) -> str:
        return f"{self.prefix}event:{quoted(event_id)}"

    def event_jobs(self, event_id: str) -> str:
        return f"{self.event(event_id)}:jobs"

    def event_revision(self, event_id: str) -> str:
        return f"{self.event(event_id)}:revision"

    def job(self, job_id: str) -> str:
        return f"{self.prefix}job:{quoted(job_id)}"

    def livestream_events(self, livestream_id: str) -> str:
        return f"{self.prefix}livestream:{quoted(livestream_id)}:events"

    @property
    def events(self) -> str:
        return f"{self.prefix}events"

    @property
    def jobs(self) -> str:
        return f"{self.prefix}jobs"
