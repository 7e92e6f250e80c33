"""Planning under faults: what was asked for, in which order, and what was acknowledged.

Each planner is one caller with matches of its own. A call that isn't acknowledged (503, or no answer) is repeated with
the same Idempotency-Key until it is, at the other API process, as a caller should. A value is noted as asked for before
the first call, because it may be on its way although the answer was lost; every value is used once.
"""

from __future__ import annotations

import random
import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

import requests

from tests.chaos.judge import Wish
from tests.integration.plan import REGISTRATIONS, Match, text
from tests.support.callers import Answer, Api

_REPEAT_S: Final = 0.1
_PATIENCE_S: Final = 6.0  # for one call; the store is given up after 1.5 s
BATCH: Final = 20
SHOWN_S: Final = 6.0  # after that a change is on nobody's way to AVOS


@dataclass(frozen=True)
class Refusal:
    """A 503: when it was called, and how long that took."""

    at: float
    seconds: float
    call: str


@dataclass
class Asked:
    """What one planner has seen: the acknowledged requests, the wishes, the bodies that may be sent once only."""

    acknowledged: list[str] = field(default_factory=list)
    wishes: dict[tuple[str, str], Wish] = field(default_factory=dict)
    posted: list[str] = field(default_factory=list)
    calls: int = 0
    repeated: int = 0
    refused: list[Refusal] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    _unheard: list[tuple[Wish, int]] = field(default_factory=list)

    def wish(self, path: str, member: str, value: Any) -> None:
        wish = self.wishes.setdefault((path, member), Wish(path, member))
        self._unheard.append((wish, len(wish.values)))
        wish.values.append(value)
        wish.heard.append(None)

    def hear(self) -> None:
        """Everything that was wished so far is acknowledged."""
        now = time.monotonic()
        for wish, number in self._unheard:
            wish.heard[number] = now
        self._unheard.clear()


class Programme(Match):
    """A match whose every value is new whenever it changes. It has a second livestream with the same values, and its content
    media belongs to one of the two."""

    number = 0
    canceled = False
    registered = False
    second = False

    @property
    def livestream(self) -> str:
        return f"ls-{self.name}-2" if self.second else f"ls-{self.name}"

    @property
    def path(self) -> str:
        return f"/external/contentMedia/live/{self.media}"

    def event(self) -> dict[str, Any]:
        body = super().event()
        [stream] = body["livestreams"]
        stream["txEventType"] = f"T{self.number}"
        names = (f"ls-{self.name}", f"ls-{self.name}-2")
        body["livestreams"] = [stream | {"livestreamId": name} for name in names]
        return body

    def job(self) -> dict[str, Any]:
        body = super().job()
        body["status"] = "canceled" if self.canceled else "confirmed"
        body["jobInfo"]["jobStart"] = text(
            self.kick_off - timedelta(hours=1) + timedelta(seconds=self.number)
        )
        body["nodes"][0]["resource"]["name"] = f"Resource{self.number}"
        return body


# What a planner does, and how often.
ALL_STEPS: Final = {
    "move": 30, "move_many": 10, "change_job": 12, "cancel": 3, "force": 8, "unregister": 2, "note": 8, "put": 6, "post": 6,
}  # fmt: skip
MOVES: Final = {"move": 30, "change_job": 12}
BEGUN_ANEW: Final = {**ALL_STEPS, "begin_anew": 12}


class Planner:
    """One thread of planning, with a generator of its own: which calls it makes depends on the seed alone."""

    def __init__(
        self,
        name: str,
        seed: str,
        apis: Sequence[Api],
        programmes: int,
        pause_s: float,
        steps: Mapping[str, int] = ALL_STEPS,
        shown: Callable[[str], dict[str, Any]] | None = None,
    ) -> None:
        """`shown`: what AVOS holds of a content media, where it must come to show what was registered at once."""
        self.name = name
        self._shown = shown
        self._steps = steps
        self.asked = Asked()
        self._random = random.Random(seed)
        self._apis = list(apis)
        self._pause_s = pause_s
        self.programmes = [Programme(apis[0]) for _ in range(programmes)]
        self._numbers = 0
        self._stop = threading.Event()
        self._may_close = threading.Event()
        self._give_up = threading.Event()
        self.opened = threading.Event()
        self.silent = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """No more changes; `silent` is set once the last of them was heard."""
        self._stop.set()

    def close(self) -> None:
        """Say what ends it all."""
        self._may_close.set()

    def join(self, timeout_s: float) -> None:
        self._thread.join(timeout_s)
        self._give_up.set()
        self._thread.join(_PATIENCE_S + 1)

    def _run(self) -> None:
        try:
            self._open()
            self.opened.set()
            due = time.monotonic()
            while not self._stop.wait(due - time.monotonic()):
                [name] = self._random.choices(list(self._steps), list(self._steps.values()))
                # The first of them has its share of what happens, as AVOS may refuse it.
                often = [self.programmes[0]] * (len(self.programmes) // 6)
                getattr(self, f"_{name}")(self._random.choice([*often, *self.programmes]))
                # So often, however long a call takes; but what an outage has kept back isn't made up for at once.
                due = max(due + self._pause_s, time.monotonic() - 1)
            self.silent.set()
            self._may_close.wait()
            self._close()
        except _GaveUp:
            self.asked.problems.append(f"{self.name} was never heard to the end")
        except Exception as error:  # noqa: BLE001 - shown in the report; a thread's own end isn't
            self.asked.problems.append(f"{self.name}: {error!r}")
        finally:
            self.opened.set()
            self.silent.set()

    # What planning does -----------------------------------------------------------------------------------------------

    def _open(self) -> None:
        for programme in self.programmes:
            self._put_event(programme)
            self._put_job(programme)
            self._register(programme)

    def _close(self) -> None:
        """In the end every match takes place: registered, with a job, and with values that weren't used before."""
        for programme in self.programmes:
            self._fresh(programme)
            programme.canceled = False
            self._put_job(programme)
            self._register(programme)
            self._put_event(programme)

    def _move(self, programme: Programme) -> None:
        self._fresh(programme)
        self._put_event(programme)

    def _move_many(self, _: Programme) -> None:
        """One call with many changes, in which each match is named at most once."""
        some = self._random.sample(self.programmes, min(BATCH, len(self.programmes)))
        for programme in some:
            self._fresh(programme)
            self._wish_event(programme)
        left = {f"ev-{one.name}": one.event() for one in some}
        while left:
            messages = [{"type": "event", "id": name, "body": body} for name, body in left.items()]
            answer = self._until_heard("POST", "/api/custom/messages", {"messages": messages}, (200,))
            left = self._not_heard(left, answer)
        self.asked.hear()

    def _not_heard(self, sent: dict[str, Any], answer: Answer) -> dict[str, Any]:
        """What the store went away in the middle of: asked once more."""
        left = {}
        for (name, body), result in zip(sent.items(), answer.body["results"], strict=True):
            if result["status"] == 503:
                left[name] = body
            elif result["status"] not in (200, 201):
                raise AssertionError(f"one of many: {result}")
            self.asked.acknowledged += result.get("requestIds", [])
        return left

    def _change_job(self, programme: Programme) -> None:
        self._fresh(programme)
        programme.canceled = False
        self._put_job(programme)

    def _cancel(self, programme: Programme) -> None:
        programme.canceled = True
        self._acknowledge(
            self._until_heard("PUT", f"/api/custom/jobs/job-{programme.name}", programme.job(), (200, 201))
        )

    def _force(self, programme: Programme) -> None:
        answer = self._until_heard(
            "GET", "/api/custom/livestreams/update", None, (202, 404), {"contentMediaId": programme.media}
        )
        if answer.status == 202:
            self._acknowledge(answer)
        elif programme.registered:
            self.asked.problems.append(f"{programme.media} is registered, and {answer.body}")

    def _register(self, programme: Programme) -> None:
        answer = self._until_heard(
            "POST",
            REGISTRATIONS,
            {"contentMediaId": programme.media},
            (200, 201, 404) if programme.canceled else (200, 201),
            {"livestreamId": programme.livestream},
        )
        programme.registered = answer.status != 404
        if programme.registered:
            self._acknowledge(answer)

    def _unregister(self, programme: Programme) -> None:
        """And, most of the time, once more."""
        self._until_heard("DELETE", REGISTRATIONS, None, (200, 404), programme.pair)
        programme.registered = False
        if self._random.random() < 0.8:
            self._register(programme)

    def _begin_anew(self, programme: Programme) -> None:
        """Something has changed and is on its way; the registration is dropped, and made again with the same values, of this
        livestream or of the other one. They must come to be shown, and not only with what changes next."""
        self._change_job(programme)
        self._stop.wait(self._random.choice([0, self._random.uniform(0, 0.2)]))
        self._until_heard("DELETE", REGISTRATIONS, None, (200, 404), programme.pair)
        programme.second ^= self._random.random() < 0.5
        self._register(programme)
        if self._shown is not None:
            self._look(programme, programme.job()["jobInfo"]["jobStart"], self._shown)

    def _look(self, programme: Programme, start: str, shown: Callable[[str], dict[str, Any]]) -> None:
        until = time.monotonic() + SHOWN_S
        while time.monotonic() < until:
            found = shown(programme.media)["fields"].get("bookingStartTime")
            if found == start:
                return
            time.sleep(_REPEAT_S)
        self.asked.problems.append(
            f"begun anew: {programme.media} shows {found} and not {start}, {SHOWN_S:g} s after it was registered"
        )

    def _note(self, programme: Programme) -> None:
        """A generic PATCH, in the content media's lane."""
        value = self._number()
        self.asked.wish(programme.path, "note", value)
        self._generic({"method": "PATCH", "path": programme.path, "body": {"note": value}})

    def _put(self, programme: Programme) -> None:
        """Whole documents, one after the other by their lane."""
        path, value = f"/external/things/{programme.name}", self._number()
        self.asked.wish(path, "value", value)
        body = {"method": "PUT", "path": path, "body": {"value": value}, "lane": f"thing-{programme.name}"}
        self._generic(body)

    def _post(self, _: Programme) -> None:
        """What must not be sent twice."""
        value = f"{self.name}-{self._number()}"
        self.asked.posted.append(value)
        self._generic({"method": "POST", "path": f"/external/notes/{value}", "body": {"once": value}})

    # How it does it ---------------------------------------------------------------------------------------------------

    def _number(self) -> int:
        self._numbers += 1
        return self._numbers

    def _fresh(self, programme: Programme) -> None:
        programme.number = self._number()
        programme.kick_off += timedelta(seconds=1)
        programme.end += timedelta(seconds=1)

    def _wish_event(self, programme: Programme) -> None:
        self.asked.wish(programme.path, "bookingPreKOStartTime", text(programme.kick_off))
        self.asked.wish(programme.path, "eventEndTime", text(programme.end))
        source = f"{programme.path}/technicalMedia/sourceMedia/"
        self.asked.wish(source, "txEventType", f"T{programme.number}")

    def _put_event(self, programme: Programme) -> None:
        self._wish_event(programme)
        path = f"/api/custom/events/ev-{programme.name}"
        self._acknowledge(self._until_heard("PUT", path, programme.event(), (200, 201)))

    def _put_job(self, programme: Programme) -> None:
        body = programme.job()
        self.asked.wish(programme.path, "bookingStartTime", body["jobInfo"]["jobStart"])
        path = f"/api/custom/jobs/job-{programme.name}"
        self._acknowledge(self._until_heard("PUT", path, body, (200, 201)))

    def _generic(self, body: dict[str, Any]) -> None:
        self._acknowledge(self._until_heard("POST", "/api/custom/requests", body, (202,)))

    def _acknowledge(self, answer: Answer) -> None:
        self.asked.hear()
        self.asked.acknowledged += answer.body["requestIds"]

    def _until_heard(
        self,
        method: str,
        path: str,
        body: Any,
        statuses: Sequence[int],
        params: dict[str, str] | None = None,
    ) -> Answer:
        """The answer with one of these statuses; anything else but 503 is a problem and ends the planner."""
        key = {"Idempotency-Key": uuid.UUID(int=self._random.getrandbits(128)).hex}
        self.asked.calls += 1
        while not self._give_up.is_set():
            try:
                answer = self._apis[0].call(
                    method, path, body, params=params, headers=key, timeout_s=_PATIENCE_S
                )
            except requests.RequestException:
                answer = None
            if answer is not None and answer.status in statuses:
                return answer
            self.asked.repeated += 1
            if answer is not None:
                self._refused(answer, f"{method} {path}")
            self._apis.append(self._apis.pop(0))
            time.sleep(_REPEAT_S)
        raise _GaveUp

    def _refused(self, answer: Answer, call: str) -> None:
        if answer.status != 503:
            raise AssertionError(f"{answer.status}: {answer.body}")
        self.asked.refused.append(Refusal(time.monotonic() - answer.seconds, answer.seconds, call))


class _GaveUp(Exception):
    """The run is over and nobody has answered."""
