"""The stand-in in a thread of the caller's process."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from deploy.simulators.live.service import LiveService
from deploy.simulators.parts.journal import Journal
from deploy.simulators.parts.standin import StandIn


class LiveStandIn(StandIn[LiveService]):
    """`with LiveStandIn() as live:` serves at `live.url`. `clock` gives the seconds by which states change."""

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        key: str | None = None,
        auth_header: str = "X-API-KEY",
        journal: Path | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(
            LiveService(Journal(journal), keys=[key] if key else [], header=auth_header, clock=clock),
            host=host,
            port=port,
        )

    def fault(self, kind: str, *, job: str | None = None, **members: Any) -> None:
        """Let this one fault, and no other, happen (`on`, `next`, `when`, …)."""
        self.control(job, faults=[{"kind": kind, **members}])

    def job(self, name: str, **given: Any) -> dict[str, Any]:
        """Make a job, or change it: `static`, `group`, `encoder`."""
        return self.do(lambda: self.service.set_job(name, given))

    def encoder(self, name: str, *, on: bool) -> dict[str, Any]:
        """Its encoder starts or stops."""
        return self.job(name, encoder=on)
