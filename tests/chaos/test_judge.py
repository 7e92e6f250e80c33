"""The checker is checked: with each of the safeguards switched off in the scripts, it finds what that breaks; with all of
them on, it finds nothing in the same scenario."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import fakeredis
import pytest

from app.avos.client import AvosClient, Credentials
from app.outgoing.destinations import Destination, Destinations
from app.outgoing.model import AVOS, NewRequest
from app.outgoing.presentation import shown_request
from app.outgoing.scripts import OutgoingScripts
from app.platform.http_client import HttpTransport
from deploy.simulators.avos import AvosStandIn
from tests.chaos import judge
from tests.chaos.judge import Staged, Verdict, Wish
from tests.support.attempts import avos_engine
from tests.support.keys import AllKeys
from tests.support.outgoing import PLAIN_MESSAGES, Bench
from tests.support.wait import until

LIVE = "/external/contentMedia/live/CM1"
# What each safeguard is in the scripts, and the scripts without it.
SAFEGUARDS: Final = {
    "fence": ("begin", "r.state ~= 'live' or r.token ~= ctl.token or r.leaseUntil <= now", "r.state ~= 'live'"),
    "lease": ("claim", "if not r or r.state ~= 'live' or r.token then", "if not r or r.state ~= 'live' then"),
    "field versions": ("*", "if seq <= r.seq then", "if true then"),
    "sweep": ("sweep", "if d[1] or d[2] then return { 0", "if true then return { 0"),
    "reclaim": ("reclaim", "for _, one in ipairs(found) do", "for _, one in ipairs({}) do"),
}  # fmt: skip


class Without(OutgoingScripts):
    """The scripts with one safeguard switched off; "" with all of them on."""

    def __init__(self, safeguard: str) -> None:
        super().__init__(Destinations(Destination(AVOS)), flags=False, messages=PLAIN_MESSAGES)
        self._safeguard = safeguard

    def text(self, name: str) -> str:
        text = super().text(name)
        if not self._safeguard:
            return text
        script, on, off = SAFEGUARDS[self._safeguard]
        if script not in ("*", name):
            return text
        known = super().text("begin") if script == "*" else text
        assert on in known, f"{self._safeguard} no longer stands in {name}.lua as this test knows it"
        return text.replace(on, off)


class Scene:
    """One store, one far side, and as many workers as a scenario has threads."""

    def __init__(self, avos: AvosStandIn, safeguard: str, tenant: str) -> None:
        self.avos = avos
        scripts = Without(safeguard)
        self.bench = Bench(fakeredis.FakeRedis(), AllKeys(tenant), flags=False, scripts=scripts)
        self._transport = HttpTransport(avos.url, pool_size=4)
        self.client = AvosClient(self._transport, Credentials())
        self.engine = avos_engine(self.bench.store, self.client)
        self.wishes: list[Wish] = []
        self.acknowledged: list[str] = []

    def close(self) -> None:
        self._transport.close()

    def accept(self, request: NewRequest) -> str:
        [request_id] = self.bench.accept(request)
        self.acknowledged.append(request_id)
        return request_id

    def attempt(self, request_id: str) -> None:
        if self.bench.record(request_id)["method"] != "PATCH":
            self.engine.send(request_id)
            return
        ticket = self.engine.get_last_modified(request_id)
        if ticket is not None:
            self.engine.send_patch(ticket)

    def attempts(self) -> None:
        for request_id in self.bench.take():
            self.attempt(request_id)

    def ticks(self) -> None:
        """Time passes, in which everything has its chance."""
        for _ in range(5):
            self.bench.pass_time(seconds=20)
            self.bench.store.reclaim(AVOS)
            self.bench.tick()
            self.attempts()

    @contextmanager
    def sending(self, request_id: str) -> Iterator[None]:
        """A worker is in the middle of sending it."""
        self.avos.control(latencyMs={"get": 0, "any": 300})
        before = len(self.avos.journal())
        worker = threading.Thread(target=self.attempt, args=(request_id,), daemon=True)
        worker.start()
        try:
            until(
                lambda: any(entry["method"] != "GET" for entry in self.avos.journal()[before:]),
                what="a worker to send",
            )
            yield
        finally:
            worker.join()
            self.avos.control(latencyMs=0)

    def verdict(self, *staged: Staged) -> Verdict:
        records: dict[str, Any] = {one: {} for one in self.acknowledged}
        records |= {one.id: shown_request(one) for one in self.bench.records.get_many(self.acknowledged)}
        states: dict[str, Any] = {
            name: self.avos.state(name) or {} for name in {judge.holder(wish.path) for wish in self.wishes}
        }
        journal = self.avos.journal()
        return judge.judge(journal, records, self.acknowledged, self.wishes, states, staged)


@pytest.fixture
def scene(tenant: str, request: pytest.FixtureRequest) -> Iterator[Scene]:
    with AvosStandIn() as avos:
        made = Scene(avos, request.param, tenant)
        yield made
        made.close()


def a_worker_wakes_up_after_its_lease(scene: Scene) -> None:
    """It had claimed a POST before it was frozen; somebody else is sending it when it goes on."""
    request_id = scene.accept(scene.bench.barrier())
    scene.bench.take()
    claim = scene.bench.claim(request_id)
    scene.bench.pass_time(seconds=20)
    scene.bench.store.reclaim(AVOS)
    [again] = scene.bench.take()
    with scene.sending(again):
        store: Any = _Holds(scene.bench.store, claim)
        woken = avos_engine(store, scene.client)
        woken.send(request_id)
    scene.ticks()


class _Holds:
    """The store as a worker sees it that has made its claim already."""

    def __init__(self, store: Any, claim: Any) -> None:
        self._store, self._claim = store, claim

    def claim(self, _: str) -> Any:
        return self._claim

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


def a_message_comes_twice(scene: Scene) -> None:
    request_id = scene.accept(scene.bench.barrier(method="PUT"))
    scene.bench.take()
    with scene.sending(request_id):
        scene.attempt(request_id)
    scene.ticks()


def a_failed_change_is_tried_after_a_newer_one(scene: Scene) -> None:
    scene.wishes = [Wish(LIVE, "a", [1, 2])]
    scene.avos.fault("status", status=500, on="patch", next=1)
    scene.accept(scene.bench.patch(members={"a": 1, "b": 1}))
    scene.attempts()
    scene.accept(scene.bench.patch(members={"a": 2}))
    scene.attempts()
    scene.ticks()


def a_change_fails_once(scene: Scene) -> None:
    scene.wishes = [Wish(LIVE, "a", [1])]
    scene.avos.fault("status", status=500, on="patch", next=1)
    scene.accept(scene.bench.patch(members={"a": 1}))
    scene.attempts()
    scene.ticks()


def a_message_is_lost(scene: Scene) -> None:
    scene.wishes = [Wish(LIVE, "a", [1])]
    scene.accept(scene.bench.patch(members={"a": 1}))
    scene.bench.take()
    scene.ticks()


SCENARIOS: Final[dict[str, tuple[Callable[[Scene], None], set[str]]]] = {
    "fence": (a_worker_wakes_up_after_its_lease, {"twice", "side by side"}),
    "lease": (a_message_comes_twice, {"twice", "side by side"}),
    "field versions": (a_failed_change_is_tried_after_a_newer_one, {"stale", "final"}),
    "sweep": (a_change_fails_once, {"final"}),
    "reclaim": (a_message_is_lost, {"lost", "final"}),
}


@pytest.mark.parametrize(("scene", "safeguard"), [(name, name) for name in SCENARIOS], indirect=["scene"])
def test_without_a_safeguard_the_checker_finds_what_breaks(scene: Scene, safeguard: str) -> None:
    scenario, wrong = SCENARIOS[safeguard]
    scenario(scene)
    assert set(scene.verdict().wrong) == wrong, scene.verdict()


@pytest.mark.parametrize(("scene", "safeguard"), [("", name) for name in SCENARIOS], indirect=["scene"])
def test_with_all_of_them_the_same_scenario_is_fine(scene: Scene, safeguard: str) -> None:
    SCENARIOS[safeguard][0](scene)
    assert scene.verdict().wrong == {}


# What no switched-off safeguard of the scripts brings about ------------------------------------------------------------


def entry(seq: int, method: str, **members: Any) -> dict[str, Any]:
    found = {
        "seq": seq, "method": method, "path": LIVE, "contentMediaId": "CM1", "body": None, "lastModified": None,
        "arrived": seq, "answered": seq + 0.5, "appliedAt": None, "appliedAs": None, "before": None, "after": None,
        "applied": False, "status": 200, "fault": None,
    }  # fmt: skip
    return found | members


def judged(*journal: dict[str, Any], staged: tuple[Staged, ...] = ()) -> set[str]:
    return set(judge.judge(journal, {}, [], [], {}, staged).wrong)


def test_a_patch_without_a_get_of_its_own_is_found() -> None:
    get, patch = entry(1, "GET", before="m1"), entry(2, "PATCH", lastModified="m1")
    assert judged(get, patch) == set()
    assert judged(get, patch, entry(3, "PATCH", lastModified="m1")) == {"unread"}
    assert judged(get, entry(2, "PATCH", lastModified="m0")) == {"unread"}
    assert judged(patch | {"seq": 1}, get | {"seq": 2}) == {"unread"}


def test_a_get_that_was_not_answered_returned_nothing() -> None:
    get, patch = entry(1, "GET", before="m1", status=None), entry(2, "PATCH", lastModified="m1")
    assert judged(get, patch) == {"unread"}


def test_writes_that_meet_are_excused_only_near_a_fault_and_only_if_one_was_refused() -> None:
    first = entry(1, "PUT", answered=5.0, applied=True, appliedAs=1, appliedAt=5.0)
    second = entry(2, "PUT", status=409)
    assert judged(first, second) == {"side by side"}
    assert judged(first, second, staged=(Staged(0, 3),)) == set()
    assert judged(first, second, staged=(Staged(3, 9),)) == {"side by side"}
    both = second | {"applied": True, "appliedAs": 2, "appliedAt": 2.5, "body": {"x": 1}}
    assert judged(first, both, staged=(Staged(0, 3),)) == {"side by side"}


def test_an_acknowledged_request_that_nobody_knows_is_lost() -> None:
    assert set(judge.judge([], {}, ["r1"], [], {}).wrong) == {"lost"}


def test_delivered_and_never_applied_is_lost() -> None:
    record = {
        "state": "delivered", "path": LIVE, "body": {"a": 1}, "attempts": [], "attemptCount": 1, "supersededBy": None,
    }  # fmt: skip
    assert set(judge.judge([], {"r1": record}, ["r1"], [], {}).wrong) == {"lost"}
    applied = entry(1, "PATCH", body={"lastModified": "m", "a": 1}, applied=True, appliedAs=1, appliedAt=1.0)
    read = entry(0, "GET", before=None)
    assert judge.judge([read, applied], {"r1": record}, ["r1"], [], {}).wrong == {}


def test_it_imports_nothing_of_the_product() -> None:
    source = Path(judge.__file__).read_text()
    assert "import app" not in source
    assert "from app" not in source
