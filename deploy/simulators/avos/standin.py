"""The stand-in in a thread of the caller's process."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from deploy.simulators.avos.journal import AvosJournal
from deploy.simulators.avos.service import Service
from deploy.simulators.parts.standin import StandIn


class AvosStandIn(StandIn[Service]):
    """`with AvosStandIn() as avos:` serves at `avos.url`."""

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        token: str | None = None,
        auth_header: str = "Authorization",
        auth_scheme: str = "Bearer",
        journal: Path | None = None,
    ) -> None:
        service = Service(AvosJournal(journal), token=token, header=auth_header, scheme=auth_scheme)
        super().__init__(service, host=host, port=port)

    def fault(self, kind: str, *, media: str | None = None, **members: Any) -> None:
        """Let this one fault, and no other, happen (`on`, `next`, `when`, …)."""
        self.control(media, faults=[{"kind": kind, **members}])

    def edit(
        self,
        name: str,
        fields: Mapping[str, Any] | None = None,
        source: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Somebody else's change."""
        return self.do(lambda: self.service.edit(name, {"fields": fields, "source": source}))
