"""The stand-in in a thread of the caller's process: a context manager on a free port."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from deploy.simulators.avos.journal import Journal
from deploy.simulators.avos.server import Server
from deploy.simulators.avos.service import Service

T = TypeVar("T")


class AvosStandIn:
    """`with AvosStandIn() as avos:` serves at `avos.url`. Its methods may be called from any thread."""

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        token: str | None = None,
        auth_header: str = "Authorization",
        auth_scheme: str = "Bearer",
        journal: Path | None = None,
    ) -> None:
        self._service = Service(Journal(journal), token=token, header=auth_header, scheme=auth_scheme)
        self._server = Server(self._service, host, port, 0)
        self._host = host
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="avos-stand-in", daemon=True)

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
        self._service.journal.close()

    @property
    def url(self) -> str:
        return f"http://{self._host}:{self._server.port}"

    @property
    def port(self) -> int:
        return self._server.port

    def control(self, media: str | None = None, **switches: Any) -> None:
        """Set switches for all, or for one content media."""
        self.set({"global": switches} if media is None else {"contentMedia": {media: switches}})

    def fault(self, kind: str, *, media: str | None = None, **members: Any) -> None:
        """Let this one fault, and no other, happen (`on`, `next`, `when`, …)."""
        self.control(media, faults=[{"kind": kind, **members}])

    def set(self, control: Mapping[str, Any]) -> None:
        """What `PUT /_control` takes."""

        async def change() -> None:
            self._service.switches.set(control)
            await self._server.obey()

        self._wait(change())

    def journal(self, after: int = 0) -> list[dict[str, Any]]:
        return self._do(lambda: self._service.journal.after(after))

    def state(self, name: str) -> dict[str, Any] | None:
        return self._do(lambda: self._service.state(name))

    def edit(
        self,
        name: str,
        fields: Mapping[str, Any] | None = None,
        source: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Somebody else's change."""
        return self._do(lambda: self._service.edit(name, {"fields": fields, "source": source}))

    def reset(self) -> None:
        async def change() -> None:
            self._service.reset()
            await self._server.obey()

        self._wait(change())

    def _do(self, function: Callable[[], T]) -> T:
        async def call() -> T:
            return function()

        return self._wait(call())

    def _wait(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=10)
