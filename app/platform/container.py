"""The services of a process, found by their class: `container[PlanningService]`.

Which function makes a service is known by what it returns: `Package.providers` names modules of such functions, and each
takes the container, where it finds what it needs itself.
"""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from importlib import import_module
from pkgutil import resolve_name
from typing import Any, TypeVar, cast, get_type_hints

from redis import Redis

from app.platform.keys import Keys
from app.platform.packages import Package
from app.platform.redis import RedisClient, connect, typed
from app.settings import Settings

S = TypeVar("S")
Provider = Callable[["Container"], Any]


class Container:
    """One of each service, made when it is first asked for. The container opens no connection by itself.

    `redis` and `script_flags` are for tests on a server within the process; `given` takes the
    place of what the packages would make.
    """

    def __init__(
        self,
        settings: Settings,
        packages: Iterable[Package],
        *,
        redis: Redis | None = None,
        script_flags: bool = True,
        given: Mapping[type, object] | None = None,
    ) -> None:
        self.settings = settings
        self.packages = tuple(packages)
        self.redis: Redis = connect(settings.redis_url) if redis is None else redis
        self.keys = Keys(settings.tenant)
        self.script_flags = script_flags
        self._lock = threading.RLock()
        self._made: dict[type, Any] = {Settings: settings, Keys: self.keys, **(given or {})}
        self._in_making: list[type] = []

    @property
    def client(self) -> RedisClient:
        """`redis`, with the types of what this system calls."""
        return typed(self.redis)

    def __getitem__(self, kind: type[S]) -> S:
        """Raises LookupError for a class that no package provides."""
        if kind not in self._made:
            with self._lock:  # a hundred threads may come at once
                if kind not in self._made:
                    self._made[kind] = self._make(kind)
        return cast("S", self._made[kind])

    def method(self, name: str) -> Callable[..., Any]:
        """A service's method by its import string, such as "app.outgoing.ticks:Ticks.promote"."""
        owner, _, method = name.rpartition(".")
        found: Callable[..., Any] = getattr(self[resolve_name(owner)], method)
        return found

    def make_all(self) -> None:
        """Make every service, so that what is wrong shows at once and not in some call."""
        for kind in self._providers:
            self[kind]

    @cached_property
    def _providers(self) -> Mapping[type, Provider]:
        return providers(self.packages)

    def _provider(self, kind: type) -> Provider | None:
        """That of the package whose class it is, so that no other package's code is loaded for it; else of any."""
        own = [package for package in self.packages if kind.__module__.startswith(f"app.{package.name}.")]
        return providers(own).get(kind) or self._providers.get(kind)

    def _make(self, kind: type) -> Any:
        provider = self._provider(kind)
        if provider is None:
            raise LookupError(f"no package provides {kind.__qualname__}")
        if kind in self._in_making:
            circle = " -> ".join(one.__qualname__ for one in (*self._in_making, kind))
            raise LookupError(f"services need each other in a circle: {circle}")
        self._in_making.append(kind)
        try:
            return provider(self)
        finally:
            self._in_making.pop()


def providers(packages: Iterable[Package]) -> Mapping[type, Provider]:
    """The packages' providers by the class that each returns. Raises ValueError where two return the same."""
    found: dict[type, Provider] = {}
    for module in (import_module(name) for package in packages for name in package.providers):
        for name, function in inspect.getmembers(module, inspect.isfunction):
            if name.startswith("_") or function.__module__ != module.__name__:
                continue
            kind = get_type_hints(function)["return"]
            if kind in found:
                raise ValueError(
                    f"{module.__name__}.{name}: another package provides {kind.__qualname__} too"
                )
            found[kind] = function
    return found
