"""The same rooms as planning's tests have."""

from tests.unit.planning.conftest import api, rooms

__all__ = ["api", "rooms"]
