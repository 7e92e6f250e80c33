"""The same rooms as planning's tests have."""

from tests.unit.planning.conftest import rooms

__all__ = ["rooms"]
