"""What `doctor` checks: each check looks at one part and says what it saw, and the way out where it is wrong."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from pkgutil import resolve_name
from typing import Final

from celery import Celery
from redis import Redis

from app.client import ApiClient, ApiRefused, Unreachable
from app.packages import QUEUES
from app.platform.clock import utcnow
from app.platform.container import Container
from app.platform.dispatch import Envelope
from app.platform.errors import Unavailable
from app.platform.keys import Keys
from app.platform.redis import RedisError, connect, store_errors
from app.settings import Settings, own_command
from app.watch.canaries import watch
from app.watch.durability import durability, server_facts
from app.watch.evaluation import WatchFinding, findings

_CLOCKS_S: Final = 2.0  # further apart, and times that people compare mislead them
_ANSWER_S: Final = 1.5  # for workers to answer
_TICK_S: Final = 3.0  # a promote tick comes every second


def check_settings(settings: Settings) -> Iterator[WatchFinding]:
    """They could be read; is anything missing?"""
    if settings.avos_url and not settings.avos_token:
        yield WatchFinding(
            "settings", "warning", "MEDIAOPS_AVOS_TOKEN isn't set", "AVOS is called without authorization."
        )
    yield WatchFinding(
        "settings", "ok", f"read; data directory {settings.data_dir}, tenant {settings.tenant}"
    )


def check_redis(settings: Settings) -> Iterator[WatchFinding]:
    """The first finding says whether it answers at all."""
    client = connect(settings.redis_url)
    try:
        with store_errors():
            client.ping()
            before = utcnow().timestamp()
            seconds, micros = client.time()
            after = utcnow().timestamp()
            facts = server_facts(client)
            yield WatchFinding("redis", "ok", f"answers at {settings.redis_shown}")
            yield from durability(facts)
            apart = (seconds + micros / 1e6) - (before + after) / 2
            yield _clocks(apart)
    except (Unavailable, RedisError) as error:
        way_out = (
            f"Start it: `{own_command('up')}` runs an embedded one."
            if settings.redis_embedded
            else "Check MEDIAOPS_REDIS_URL."
        )
        detail = f"no answer at {settings.redis_shown} ({error})"
        yield WatchFinding("redis", "bad", detail, way_out)
    finally:
        client.close()


def _clocks(apart: float) -> WatchFinding:
    detail = f"Redis' clock is {abs(apart):.2f} s {'ahead' if apart > 0 else 'behind'}"
    if abs(apart) > _CLOCKS_S:
        return WatchFinding(
            "clocks",
            "warning",
            detail,
            "Let both machines keep time by NTP; Redis' clock is the one that counts.",
        )
    return WatchFinding("clocks", "ok", detail)


def check_queues(settings: Settings) -> Iterator[WatchFinding]:
    """Does a worker consume each queue?"""
    celery = Celery("mediaops-doctor", broker=settings.broker_url, set_as_current=False)
    celery.conf.broker_transport_options = {
        "global_keyprefix": Envelope(settings.tenant).prefix,
        "socket_timeout": _ANSWER_S * 2,
        "max_retries": 0,
    }
    try:
        answers = celery.control.inspect(timeout=_ANSWER_S).active_queues() or {}
    except OSError as error:
        yield WatchFinding(
            "queues", "bad", f"workers can't be asked ({error})", "Check the broker's settings."
        )
        return
    finally:
        celery.close()
    consumed = Counter(str(queue["name"]) for queues in answers.values() for queue in queues)
    for queue in (one.name for one in QUEUES):
        workers = consumed[queue]
        if workers:
            yield WatchFinding(f"queue {queue}", "ok", f"consumed by {workers} worker process(es)")
        else:
            way_out = (
                f"Start one: `celery -A workers.app worker -Q {queue} …` (`{own_command('up')}` starts all)."
            )
            yield WatchFinding(f"queue {queue}", "bad", "no worker answered", way_out)


def check_work(settings: Settings) -> Iterator[WatchFinding]:
    """Is work that is queued run, by every process, and does beat send ticks that somebody works on?"""
    client = connect(settings.redis_url)
    try:
        yield from findings(watch(settings, client, QUEUES).report())
        yield _ticks(client, Keys(settings.tenant).tick("promote"))
    except Unavailable as error:
        yield WatchFinding("ticks", "bad", str(error), "Is Redis overloaded?")
    finally:
        client.close()


def _ticks(client: Redis, key: str) -> WatchFinding:
    until = time.monotonic() + _TICK_S
    while time.monotonic() < until:
        with store_errors():
            if client.exists(key):
                return WatchFinding("ticks", "ok", "beat ticks and the ticks are worked on")
        time.sleep(0.05)
    way_out = "Is beat running (`celery -A workers.app beat`), and a worker for the queue ticks?"
    return WatchFinding("ticks", "bad", f"no tick within {_TICK_S:g} s", way_out)


def check_packages(container: Container, *, store_answers: bool) -> Iterator[WatchFinding]:
    """What the packages check. Where the store doesn't answer, that has been said, and what needs it is left out."""
    for name in (name for package in container.packages for name in package.checks):
        try:
            yield from resolve_name(name)(container)
        except Unavailable as error:
            if store_answers:
                yield WatchFinding("redis", "bad", str(error), "Is Redis overloaded?")


def check_api(url: str) -> WatchFinding:
    """Is our own API there and ready?"""
    client = ApiClient(url, None, answer_s=3)
    try:
        client.get("/readyz")
    except ApiRefused as error:
        return WatchFinding("api", "bad", f"{url}: {error}", "Its store is away: see redis above.")
    except Unreachable as error:
        return WatchFinding(
            "api", "bad", str(error), f"Start it (`{own_command('up')}`), or name it with --url."
        )
    finally:
        client.close()
    return WatchFinding("api", "ok", f"ready at {url}")
