"""The same services as planning's tests have."""

from tests.unit.planning.conftest import api, services

__all__ = ["api", "services"]
