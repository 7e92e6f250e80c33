"""Celery's task events, as Flower gets them."""

from __future__ import annotations

import threading
from typing import Any

from celery import Celery


class EventLog:
    """Listens in a thread from `start` to `stop`; `of(task id)` are one task's events in order of arrival."""

    def __init__(self, broker_url: str, prefix: str) -> None:
        self._app = Celery("events", broker=broker_url, set_as_current=False)
        self._app.conf.broker_transport_options = {"global_keyprefix": prefix}
        self._events: list[dict[str, Any]] = []
        self._listening = threading.Event()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._listen, daemon=True)

    def start(self) -> EventLog:
        self._thread.start()
        assert self._listening.wait(10)
        return self

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(10)
        self._app.close()

    def _listen(self) -> None:
        with self._app.connection_for_read() as connection:
            receiver = self._app.events.Receiver(connection, handlers={"*": self._events.append})
            with receiver.consumer_context() as (consuming, _, _):
                while not self._stop.is_set():
                    try:
                        consuming.drain_events(timeout=0.1)
                    except TimeoutError:
                        self._listening.set()  # it has subscribed by now

    def all(self) -> list[dict[str, Any]]:
        return list(self._events)

    def of(self, task_id: str) -> list[dict[str, Any]]:
        return [event for event in self.all() if event.get("uuid") == task_id]

    def kinds(self, task_id: str) -> list[str]:
        return [event["type"] for event in self.of(task_id)]
