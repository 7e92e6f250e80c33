"""The Redis keys of all packages in one place, for tests that look at what several of them have stored."""

from __future__ import annotations

from app.events.keys import EventKeys
from app.outgoing.keys import OutgoingKeys
from app.registrations.keys import RegistrationKeys
from app.watch.keys import WatchKeys


class AllKeys(RegistrationKeys, OutgoingKeys, EventKeys, WatchKeys):
    """Each name is that of its package; registrations bring planning's."""
