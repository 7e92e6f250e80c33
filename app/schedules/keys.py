"""Redis keys of schedules (docs/data-model.md). The scripts build the same names."""

from __future__ import annotations

from app.outgoing.keys import OutgoingKeys
from app.platform.keys import quoted


class ScheduleKeys(OutgoingKeys):
    """Accounts and jobs come from outside, so they are percent-encoded."""

    def workflow(self, workflow_id: str) -> str:
        return f"{self.workflow_prefix}{workflow_id}"

    @property
    def workflow_prefix(self) -> str:
        return f"{self.prefix}schedule:"

    def workflows(self, account: str) -> str:
        """Those of an account, by the time of their activation."""
        return f"{self.prefix}schedules:account:{quoted(account)}"

    def workflows_of_job(self, account: str, job_id: str) -> str:
        """Those of them that are about this job."""
        return f"{self.workflows(account)}:{quoted(job_id)}"

    def open(self, account: str, job_id: str) -> str:
        """Those of a job that have something pending, and a number that moves with every change of one."""
        return f"{self.open_prefix}{quoted(account)}:{quoted(job_id)}"

    @property
    def open_prefix(self) -> str:
        return f"{self.prefix}schedules:open:"

    def created(self, digest: str) -> str:
        """Which workflow was made under an Idempotency-Key."""
        return f"{self.prefix}schedules:created:{digest}"

    @property
    def timers(self) -> str:
        """`{what}:{number}:{workflow}` by when it is due, in ms."""
        return f"{self.prefix}schedules:timers"

    @property
    def counters(self) -> str:
        return f"{self.prefix}schedules:counters"

    @property
    def late(self) -> str:
        """`{task}:{ms}:{workflow}` of the last that were late or missed."""
        return f"{self.prefix}schedules:late"

    @property
    def secrets(self) -> str:
        """By which the notices of each account are signed."""
        return f"{self.prefix}schedules:secrets"

    @property
    def ended(self) -> str:
        """Requests to the Live API that have ended, until their workflows say so."""
        return f"{self.prefix}schedules:ended"

    @property
    def watched(self) -> str:
        """Workflows whose job was activated, by when it is looked at next."""
        return f"{self.prefix}schedules:watched"
