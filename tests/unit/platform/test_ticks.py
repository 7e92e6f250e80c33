from __future__ import annotations

import threading

import pytest
from redis import Redis

from app.platform.container import Container
from app.platform.errors import Unavailable
from app.platform.keys import Keys
from app.platform.packages import Tick
from app.platform.redis import connect
from app.platform.ticks import TickLease, run_tick
from app.settings import Settings
from tests.support.wait import until


def test_one_of_many_at_once_does_the_work(redis_client: Redis, tenant: str) -> None:
    done: list[int] = []
    ticks = [TickLease(redis_client, Keys(tenant)) for _ in range(8)]
    threads = [threading.Thread(target=tick.once, args=("t", 60, lambda: done.append(1))) for tick in ticks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(done) == 1


def test_each_tick_and_each_tenant_has_its_own_lease(redis_client: Redis, tenant: str) -> None:
    lease = TickLease(redis_client, Keys(tenant))
    assert lease.once("a", 60, lambda: "done") == "done"
    assert lease.once("a", 60, lambda: "done") is None
    assert lease.once("b", 60, lambda: "done") == "done"
    assert TickLease(redis_client, Keys(tenant + "x")).once("a", 60, lambda: "done") == "done"


def test_a_tick_that_comes_a_little_early_is_not_refused(redis_client: Redis, tenant: str) -> None:
    lease = TickLease(redis_client, Keys(tenant))
    lease.once("a", 10, lambda: True)
    assert 8000 < redis_client.pttl(Keys(tenant).tick("a")) <= 9000
    lease.once("b", 0.1, lambda: True)
    assert until(lambda: lease.once("b", 0.1, lambda: True), timeout_s=5)


def test_a_clock_that_is_set_back_an_hour_does_not_silence_the_ticks(
    redis_client: Redis, tenant: str
) -> None:
    redis_client.set(Keys(tenant).tick("a"), "taken before the step", px=3_600_000)
    lease = TickLease(redis_client, Keys(tenant))
    assert lease.once("a", 60, lambda: "done") == "done"
    assert lease.once("a", 60, lambda: "done") is None


def test_without_the_store_a_tick_says_so(tenant: str, tmp_path: object) -> None:
    lease = TickLease(connect(f"unix://{tmp_path}/none.sock"), Keys(tenant))
    with pytest.raises(Unavailable):
        lease.once("a", 1, lambda: True)


class Work:
    """A service with the method of a tick."""

    def __init__(self) -> None:
        self.calls = 0

    def go_on(self) -> int:
        self.calls += 1
        return 3


def test_a_tick_calls_its_service_once_an_interval(redis_client: Redis, tenant: str) -> None:
    work, tick = (
        Work(),
        Tick(name="work", every="drift_interval_s", calls=f"{__name__}:Work.go_on", says="{} done"),
    )
    settings = Settings(redis_url="redis://unused", tenant=tenant, drift_interval_s=60)
    given = {Work: work, TickLease: TickLease(redis_client, Keys(tenant))}
    container = Container(settings, (), redis=redis_client, given=given)
    assert [run_tick(container, tick) for _ in range(2)] == ["3 done", None]
    assert work.calls == 1
    assert 50_000 < redis_client.pttl(Keys(tenant).tick("work")) <= 54_000
