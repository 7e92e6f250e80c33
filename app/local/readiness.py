"""Checks whether each stage is ready. Each check returns None while its stage isn't."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from typing import Final

from celery import Celery
from kombu.exceptions import OperationalError

from app.client import ApiClient, ApiRefused, Unreachable
from app.local.layout import Layout
from app.local.programs import LIVE_STAND_IN, SERVER, STAND_IN, Stage
from app.packages import QUEUES
from app.platform.embedded import ServerUnavailable, wait_ready
from app.platform.errors import Unavailable
from app.platform.keys import Keys
from app.platform.redis import connect, store_errors
from app.watch.flower import flower_problem

TIMEOUT_S: Final = 60.0
STORE_S: Final = 5.0  # for a store that somebody else runs
_LOOK_S: Final = 0.1  # between two looks


class NotReady(Exception):
    """It took too long; the text names the log."""


def wait_for(stage: Stage, layout: Layout, alive: Callable[[], bool]) -> None:
    """Wait until a stage does its work. Raises NotReady, and whatever `alive` does."""
    checks: dict[str, Callable[[], bool]] = {
        SERVER: lambda: _server(layout),
        STAND_IN: lambda: _listens("127.0.0.1", layout.stand_in_port or 0),
        LIVE_STAND_IN: lambda: _listens("127.0.0.1", layout.live_stand_in_port or 0),
        "flower": lambda: flower_problem(layout.settings) is None,
        "workers": lambda: _consumed(layout),
        "api": lambda: _api(layout),
        "beat": lambda: bool(ticks(layout)),
    }
    check = checks[stage.name]
    # A long append-only file takes its time to load.
    patience_s = TIMEOUT_S * 5 if stage.name == SERVER else TIMEOUT_S
    deadline = time.monotonic() + patience_s
    while not check():
        if not alive() or time.monotonic() > deadline:
            logs = ", ".join(f"{program.name}.log" for program in stage.programs)
            raise NotReady(
                f"{stage.title} isn't ready after {patience_s:.0f} s. Look at {logs} in {layout.logs}."
            )
        time.sleep(_LOOK_S)


def find_store(layout: Layout) -> None:
    """Whether the store that MEDIAOPS_REDIS_URL names is there at all. Raises ServerUnavailable."""
    try:
        wait_ready(layout.settings.redis_url, timeout_s=STORE_S)
    except ServerUnavailable as error:
        raise ServerUnavailable(
            f"The store that MEDIAOPS_REDIS_URL names, {layout.settings.redis_shown}, can't be used. {error} Start it, or correct the "
            "URL; without one a server of its own is started."
        ) from error


def _server(layout: Layout) -> bool:
    try:
        wait_ready(layout.settings.redis_url, timeout_s=0.5)
    except ServerUnavailable:
        return False
    return True


def _listens(host: str, port: int) -> bool:
    try:
        with socket.create_connection((host, port), timeout=1):
            return True
    except OSError:
        return False


def _consumed(layout: Layout) -> bool:
    """Does every worker answer, and every queue have one?"""
    settings = layout.settings
    celery = Celery("mediaops-up", broker=settings.broker_url, set_as_current=False)
    celery.conf.broker_transport_options = {
        "global_keyprefix": Keys(settings.tenant).prefix,
        "socket_timeout": 5,
    }
    try:
        answers = celery.control.inspect(timeout=0.5).active_queues() or {}
    except (OSError, OperationalError):
        return False
    finally:
        celery.close()
    consumed = [queue["name"] for queues in answers.values() for queue in queues]
    wanted = {"live": settings.live_workers, "deliveries": settings.events_workers}
    return all(consumed.count(one.name) >= wanted.get(one.name, 1) for one in QUEUES)


def _api(layout: Layout) -> bool:
    client = ApiClient(layout.settings.api_url, None, answer_s=3)
    try:
        client.get("/readyz")
    except (Unreachable, ApiRefused):
        return False
    finally:
        client.close()
    return True


def ticks(layout: Layout) -> bool | None:
    """Whether beat ticks and its ticks are worked on; None while the store can't say."""
    client = connect(layout.settings.redis_url)
    try:
        with store_errors():
            return bool(client.exists(Keys(layout.settings.tenant).tick("promote")))
    except Unavailable:
        return None
    finally:
        client.close()
