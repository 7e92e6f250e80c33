"""The scripts of `lua/`, and the fragments that Python makes for them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final

from app.events.log import SCRIPTS as LOG_SCRIPTS
from app.outgoing.destinations import Destinations
from app.platform.dispatch import TEMPLATES
from app.platform.scripts import ScriptFolder, templates

SCRIPTS: Final = Path(__file__).parent / "lua"
SHARED_SCRIPTS: Final = (LOG_SCRIPTS,)


@dataclass(frozen=True, slots=True)
class History:
    """How much of what is over is kept."""

    keep: timedelta = timedelta(days=30)
    timeline_length: int = 500
    log_length: int = 1_000_000  # of each topic of the event log

    def fragment(self) -> str:
        """The Lua that `lua/_history.lua` is."""
        keep_ms = int(self.keep.total_seconds() * 1000)
        fields_ms = 2 * keep_ms + 86_400_000  # longer than any final record that could still be retried
        return (
            f"local KEEP_MS = {keep_ms}\n"
            f"local FIELDS_MS = {fields_ms}\n"
            f"local TIMELINE_LENGTH = {self.timeline_length}\n"
        )


class OutgoingScripts(ScriptFolder):
    """This package's scripts, for the destinations that a process is given. `messages` replaces the hand-built messages
    in tests."""

    def __init__(
        self,
        destinations: Destinations,
        history: History | None = None,
        *,
        flags: bool = True,
        messages: Mapping[str, str] = TEMPLATES,
    ) -> None:
        self.destinations = destinations
        self.history = history or History()
        super().__init__(SCRIPTS, shared=SHARED_SCRIPTS, made=self.made(messages), flags=flags)

    def made(self, messages: Mapping[str, str] = TEMPLATES) -> dict[str, str]:
        """The fragments that Python makes, also for scripts of other packages that call ours."""
        limits, history = self.destinations.limits_fragment(), self.history.fragment()
        return {**templates(messages), "_limits.lua": limits, "_history.lua": history}
