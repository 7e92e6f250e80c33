"""The whole API on an in-process Redis."""

from tests.unit.http.conftest import anonymous, app, caller, system

__all__ = ["anonymous", "app", "caller", "system"]
