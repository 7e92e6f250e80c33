"""Redis keys of the watch (docs/data-model.md)."""

from __future__ import annotations

from app.platform.keys import Keys


class WatchKeys(Keys):
    """One hash for each kind of thing that the watch records."""

    def watch(self, part: str) -> str:
        """`part`: workers, sent, ran, beats, writable."""
        return f"{self.prefix}watch:{part}"
