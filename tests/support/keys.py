"""The Redis keys of all packages in one place, for tests that look at what several of them have stored."""

from __future__ import annotations

from app.events.keys import EventKeys
from app.watch.keys import WatchKeys


class AllKeys(EventKeys, WatchKeys):
    """Each name is that of its package."""
