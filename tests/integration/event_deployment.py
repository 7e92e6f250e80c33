"""What the event stream needs of a deployment: server, API, workers of events, ticks and beat, and subscribers of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from app.local.programs import api_command, beat_command, worker_command
from tests.chaos.stream import Subscribers
from tests.support.callers import Api
from tests.support.deployment import TOKEN, Deployment
from tests.support.processes import Watch

DELIVERERS: Final = ("deliveries1", "deliveries2", "deliveries-slow1")


class EventDeployment(Deployment):
    """`slots`: of each worker of events, `slow` of the one for those that don't keep up. `aws`: with moto, and a stream to write to."""

    def __init__(
        self, directory: Path, *, aws: bool = False, slots: int = 8, slow: int = 8, **settings: str
    ) -> None:
        super().__init__(directory, **settings)
        self.subscribers = Subscribers(directory)
        self._aws = aws
        self._slots = {name: slow if "slow" in name else slots for name in DELIVERERS}

    def _start(self) -> None:
        self._stack.callback(self.server.stop)
        self.server.start()
        self._start_far_side()
        self._settings |= self.subscribers.start(self._stack, aws=self._aws)
        environ = self._environment()
        self._api = Api(f"http://127.0.0.1:{environ['MEDIAOPS_HTTP_PORT']}", TOKEN)
        self._part("api", api_command(), environ, lambda _: self._api_is_ready())
        for name in (*DELIVERERS, "ticks"):
            command = worker_command(name, name.rstrip("12"), self._slots.get(name, 4))
            self._part(name, command, environ, lambda part: " ready." in part.written)
        self._part("beat", beat_command(), environ, lambda _: self._ticks())
        started = [part for part in self.parts.values() if part.name != "avos"]
        for part in started:
            part.start()
        for part in started:
            part.wait_ready()
        self._watch = Watch(list(self.parts.values()))
        self._watch.start()
