"""Beat's pulse tells that it sends, not that its loop turns."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from celery import Celery
from redis import Redis

from app.platform.container import Container
from app.platform.errors import Unavailable
from app.settings import Settings
from app.watch.canaries import Canaries
from tests.support.wait import until
from workers import beat


class Recorder:
    """Takes the place of the watch."""

    def __init__(self) -> None:
        self.pulses: list[tuple[str, int]] = []
        self.rounds = 0
        self.withdrawn: list[str] = []
        self.away = False

    def pulse(self, name: str, pid: int) -> None:
        if self.away:
            raise Unavailable("The store is not reachable; try again.")
        self.pulses.append((name, pid))

    def round(self) -> None:
        self.rounds += 1

    def withdraw(self, name: str) -> None:
        self.withdrawn.append(name)


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch, settings: Settings, redis_client: Redis) -> Recorder:
    recorder = Recorder()
    container = Container(settings, (), redis=redis_client, given={Canaries: recorder})
    monkeypatch.setattr(beat, "system", lambda: container)
    monkeypatch.setattr(beat, "PULSE_S", 0.0)
    return recorder


@pytest.fixture
def scheduler(seen: Recorder, settings: Settings) -> Iterator[Any]:
    app = Celery("beat-test", broker=settings.broker_url, set_as_current=False)
    app.conf.broker_transport_options = {"global_keyprefix": f"{settings.tenant}:"}
    app.conf.task_default_queue = "ticks"
    made = beat.WatchedScheduler(app, lazy=True)
    made.setup_schedule()
    yield made
    made.close()
    assert [name.partition("@")[0] for name in seen.withdrawn] == ["beat"]


def due_every(scheduler: Any, every: timedelta) -> None:
    scheduler.schedule.clear()
    scheduler.update_from_dict({"tick": {"task": "ticks.promote", "schedule": every}})


def turned(scheduler: Any, done: Callable[[], object]) -> Callable[[], object]:
    def turn() -> object:
        scheduler.tick()
        return done()

    return turn


def test_of_each_tick_one_message_waits_while_nobody_comes(
    scheduler: Any, seen: Recorder, redis_client: Redis, tenant: str
) -> None:
    often = timedelta(milliseconds=10)
    names = ("ticks.promote", "ticks.retry_failed")
    scheduler.schedule.clear()
    scheduler.update_from_dict({name: {"task": name, "schedule": often} for name in names})
    until(turned(scheduler, lambda: len(seen.pulses) >= 30), what="many times")
    queue = f"{tenant}:ticks"
    assert redis_client.llen(queue) == 2
    message = redis_client.lpop(queue)  # somebody has taken one
    assert isinstance(message, bytes)
    until(turned(scheduler, lambda: redis_client.llen(queue) == 2), what="that one to be sent again")
    waiting = redis_client.lrange(queue, 0, -1)
    assert all(any(name.encode() in raw for raw in waiting) for name in names)


def test_each_sending_is_a_pulse(scheduler: Any, seen: Recorder) -> None:
    due_every(scheduler, timedelta(milliseconds=10))
    until(turned(scheduler, lambda: len(seen.pulses) >= 3), what="three pulses")
    assert {pid for _, pid in seen.pulses} == {os.getpid()}


def test_a_loop_that_turns_and_sends_nothing_has_no_pulse_and_still_watches(
    scheduler: Any, seen: Recorder
) -> None:
    # As it is for an hour after a clock was set back by one.
    due_every(scheduler, timedelta(hours=1))
    until(turned(scheduler, lambda: seen.rounds >= 20), what="twenty turns")
    assert seen.pulses == []


def test_a_pulse_that_could_not_be_written_is_made_up_for(scheduler: Any, seen: Recorder) -> None:
    due_every(scheduler, timedelta(milliseconds=10))
    seen.away = True
    until(turned(scheduler, lambda: scheduler._sent), what="something to be sent")
    scheduler.tick()
    due_every(scheduler, timedelta(hours=1))
    seen.away = False
    until(turned(scheduler, lambda: seen.pulses), what="the pulse")
