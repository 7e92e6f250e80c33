"""Any order of creates, moves, cancels, ticks, refusals and steps of the clock leaves what a plain model says, and sends each
action once, never early, and never after it was cancelled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import fakeredis
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from app.outgoing.decision import AttemptError
from app.platform.errors import BadRequest
from app.schedules.records import Workflow
from tests.support.keys import AllKeys
from tests.support.outgoing import Bench
from tests.support.schedules import NOW, ScheduleBench

REFUSED = AttemptError("not_found", "The Live API knows no such job.", status=404, retryable=False)
JOBS = ("a", "b")
ON_TIME_S = 5


@dataclass
class PlainTask:
    at: int
    state: str = "pending"


@dataclass
class Plain:
    """A workflow as its rules are told to a newcomer. Times are seconds since the beginning."""

    job: str
    catch_up: str
    activation: PlainTask
    deactivation: PlainTask

    @property
    def open(self) -> bool:
        return "pending" in (self.activation.state, self.deactivation.state)

    def give_up(self) -> None:
        self.activation.state = "failed"
        if self.deactivation.state == "pending":
            self.deactivation.state = "cancelled"

    def is_missed(self, now: float) -> bool:
        late = now - self.activation.at
        if now >= self.deactivation.at:
            return True
        if self.catch_up == "none":
            return late > ON_TIME_S
        return self.catch_up.isdigit() and late > max(ON_TIME_S, int(self.catch_up))


class Schedules(RuleBasedStateMachine):
    @initialize()
    def begin(self) -> None:
        self.real = ScheduleBench(Bench(fakeredis.FakeRedis(), AllKeys("model"), flags=False))
        self.plain: list[Plain] = []
        self.made: list[Workflow] = []
        self.now = 0.0
        self.sent: list[str] = []
        self.expected: list[str] = []

    # What callers do ------------------------------------------------------------------------------

    @rule(
        job=st.sampled_from(JOBS),
        begins=st.integers(-10, 120),
        lasts=st.integers(-5, 120),
        catch_up=st.sampled_from(["until-deactivation", "none", "20"]),
    )
    def create(self, job: str, begins: int, lasts: int, catch_up: str) -> None:
        begins += int(self.now)
        wanted = Plain(job, catch_up, PlainTask(begins), PlainTask(begins + lasts))
        if self._allowed(wanted, None):
            self.made.append(self.real.create(begins, begins + lasts, job_id=job, catch_up=catch_up))
            self.plain.append(wanted)
        else:
            self._refused(lambda: self.real.create(begins, begins + lasts, job_id=job, catch_up=catch_up))

    @precondition(lambda self: self.made)
    @rule(data=st.data(), what=st.sets(st.sampled_from(["activation", "deactivation"]), min_size=1))
    def move(self, data: st.DataObject, what: set[str]) -> None:
        number = data.draw(st.integers(0, len(self.made) - 1))
        times = {name: int(self.now) + data.draw(st.integers(-5, 150)) for name in sorted(what)}
        before = self.plain[number]
        after = Plain(
            before.job,
            before.catch_up,
            *(self._moved(before, name, times) for name in ("activation", "deactivation")),
        )
        changeable = all(getattr(before, name).state == "pending" for name in what)
        if changeable and self._allowed(after, number):
            self.real.move(self.made[number], **times)
            self.plain[number] = after
        else:
            self._refused(lambda: self.real.move(self.made[number], **times))

    @precondition(lambda self: self.made)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        number = data.draw(st.integers(0, len(self.made) - 1))
        plain = self.plain[number]
        if not plain.open:
            self._refused(lambda: self.real.cancel(self.made[number]))
            return
        self.real.cancel(self.made[number])
        for task in (plain.activation, plain.deactivation):
            task.state = "cancelled" if task.state == "pending" else task.state

    # What time does -------------------------------------------------------------------------------

    @rule(seconds=st.one_of(st.floats(0, 40), st.sampled_from([-5.0, 5.0, -3600.0, 3600.0])))
    def pass_time(self, seconds: float) -> None:
        self.now = max(0.0, round(self.now + seconds, 3))
        self.real.at(self.now)

    @rule(refused=st.booleans())
    def tick(self, refused: bool) -> None:
        self.real.store.fire()
        self.sent = self.real.sent(REFUSED if refused else None)
        self.real.store.settle()
        self.expected = []
        due = [
            (task.at, name, number)
            for number, plain in enumerate(self.plain)
            for name, task in (("activation", plain.activation), ("deactivation", plain.deactivation))
            if task.state == "pending" and task.at <= self.now
        ]
        for _, name, number in sorted(due):
            self._fire(self.plain[number], name, refused=refused)

    def _fire(self, plain: Plain, name: str, *, refused: bool) -> None:
        task: PlainTask = getattr(plain, name)
        if task.state != "pending":
            return
        if name == "activation" and plain.is_missed(self.now):
            plain.give_up()
            return
        self.expected.append(f"{plain.job}/{'' if name == 'activation' else 'de'}activate")
        if not refused:
            task.state = "finished"
        elif name == "activation":
            plain.give_up()
        else:
            task.state = "failed"

    # ----------------------------------------------------------------------------------------------

    @invariant()
    def all_is_as_the_model_says(self) -> None:
        if not hasattr(self, "real"):
            return
        assert sorted(self.sent) == sorted(self.expected)
        for plain, made in zip(self.plain, self.made, strict=True):
            assert self.real.states(made) == (plain.activation.state, plain.deactivation.state), made
            found = self.real.service.get(made.account, made.id)
            assert found.window == (NOW + plain.activation.at, NOW + plain.deactivation.at)

    def _allowed(self, wanted: Plain, number: int | None) -> bool:
        now = int(self.now)
        begins, ends = wanted.activation.at, wanted.deactivation.at
        if ends <= begins:
            return False
        if any(
            task.state == "pending" and task.at < now for task in (wanted.activation, wanted.deactivation)
        ):
            return False
        others = [
            one for n, one in enumerate(self.plain) if n != number and one.job == wanted.job and one.open
        ]
        pending = sum(one.activation.state == "pending" for one in others)
        if wanted.activation.state == "pending" and pending >= 6:
            return False
        return all(begins >= one.deactivation.at or one.activation.at >= ends for one in others)

    def _moved(self, before: Plain, name: str, times: dict[str, int]) -> PlainTask:
        task: PlainTask = getattr(before, name)
        return PlainTask(times.get(name, task.at), task.state)

    def _refused(self, call: Any) -> None:
        try:
            call()
        except BadRequest:
            return
        raise AssertionError("it was not refused")


Schedules.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestSchedules = Schedules.TestCase
