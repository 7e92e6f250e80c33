"""A stand-in in a thread of the caller's process: a context manager on a free port."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Mapping
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from deploy.simulators.parts.server import Server
from deploy.simulators.parts.service import StandInService

T = TypeVar("T")
S = TypeVar("S", bound=StandInService[Any])


class StandIn(Generic[S]):
    """Serves at `url` while it is entered. Its methods may be called from any thread."""

    def __init__(self, service: S, *, host: str = "127.0.0.1", port: int = 0) -> None:
        self.service = service
        self._server = Server(service, host, port, 0)
        self._host = host
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=type(self).__name__, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._wait(self._server.start())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._wait(self._server.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self.service.journal.close()

    @property
    def url(self) -> str:
        return f"http://{self._host}:{self._server.port}"

    @property
    def port(self) -> int:
        return self._server.port

    def control(self, one: str | None = None, **switches: Any) -> None:
        """Set switches for all, or for one of them."""
        self.set({"global": switches} if one is None else {self.service.scope: {one: switches}})

    def set(self, control: Mapping[str, Any]) -> None:
        """What `PUT /_control` takes."""

        async def change() -> None:
            self.service.switches.set(control)
            await self._server.obey()

        self._wait(change())

    def journal(self, after: int = 0) -> list[dict[str, Any]]:
        return self.do(lambda: self.service.journal.after(after))

    def state(self, name: str) -> dict[str, Any] | None:
        return self.do(lambda: self.service.state(name))

    def reset(self) -> None:
        async def change() -> None:
            self.service.reset()
            await self._server.obey()

        self._wait(change())

    def do(self, function: Callable[[], T]) -> T:
        """Call a function where nothing else happens meanwhile."""

        async def call() -> T:
            return function()

        return self._wait(call())

    def _wait(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=10)
