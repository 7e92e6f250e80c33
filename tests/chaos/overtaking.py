"""Bulk calls that overtake each other: one that was sent earlier, and whose sourceVersions are older, is worked through while a
newer one is. AVOS must come to show the newer one's values.

A tangle is a livestream that two events name: one with a job, and one that has named it since and has none. The older call drops
the livestream from the second event and moves the job to a third; the newer call, at the same time, gives the job another start.
"""

from __future__ import annotations

import random
import threading
import time
import uuid
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final

import requests

from tests.chaos.load import SHOWN_S, Asked
from tests.integration.plan import REGISTRATIONS, Match, soon, text
from tests.support.callers import Api, FarSide

TANGLES: Final = 40
_REPEAT_S: Final = 0.1
_PATIENCE_S: Final = 6.0

Message = dict[str, Any]


class Tangle(Match):
    """Its own event has the job; `later` has named its livestream since; `aside` is where the older call moves the job."""

    start = 0

    @property
    def path(self) -> str:
        return f"/external/contentMedia/live/{self.media}"

    def named(self, event: str, *, named: bool = True) -> Message:
        body = self.event() if named else {"name": event}
        return {"type": "event", "id": f"{event}-{self.name}", "body": body}

    def starts(self, number: int, version: int, event: str = "ev") -> Message:
        body = self.job() | {"eventId": f"{event}-{self.name}", "sourceVersion": version}
        body["jobInfo"] = {"jobStart": self.time(number)}
        return {"type": "job", "id": f"job-{self.name}", "body": body}

    def time(self, number: int) -> str:
        return text(self.kick_off - timedelta(hours=1) + timedelta(seconds=number))


class Overtakers:
    """Two callers at once. `measured`: each round's values must come to be shown before the next one begins."""

    def __init__(self, seed: str, apis: Sequence[Api], avos: FarSide, *, measured: bool) -> None:
        self.asked = Asked()
        self._random = random.Random(seed)
        self._apis = list(apis)
        self._avos = avos
        self._measured = measured
        self.tangles = [Tangle(apis[0], kick_off=soon(hours=6)) for _ in range(TANGLES)]
        self.rounds = 0
        self._stop = threading.Event()
        self._give_up = threading.Event()
        self._thread = threading.Thread(target=self._run, name="overtakers", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def end(self, timeout_s: float) -> None:
        """After the round that is under way."""
        self._stop.set()
        self._thread.join(timeout_s)
        self._give_up.set()
        self._thread.join(_PATIENCE_S + 1)
        if self._thread.is_alive():
            self.asked.problems.append("overtakers: never heard to the end")

    def _run(self) -> None:
        try:
            self._open()
            while not self._stop.is_set() and not self._give_up.is_set():
                self._round()
        except Exception as error:  # noqa: BLE001 - shown in the report; a thread's own end isn't
            self.asked.problems.append(f"overtakers: {error!r}")

    def _open(self) -> None:
        for one in self.tangles:
            self._wish(one, 0)
            self._bulk([one.named("ev"), one.named("aside", named=False), one.starts(0, 1)], 0)
            self._until_heard(
                "POST", REGISTRATIONS, {"contentMediaId": one.media}, {"livestreamId": one.livestream}
            )

    def _round(self) -> None:
        self.rounds += 1
        version = 10 * self.rounds
        for one in self.tangles:
            self._wish(one, 3 * self.rounds)
        self._bulk(
            [
                message
                for one in self.tangles
                for message in (one.named("later"), one.starts(3 * self.rounds, version))
            ],
            0,
        )
        older = [
            message
            for one in self.tangles
            for message in (
                one.named("later", named=False),
                one.starts(3 * self.rounds + 1, version + 1, "aside"),
            )
        ]
        for one in self.tangles:
            self._wish(one, 3 * self.rounds + 2)
        self._both(older, [one.starts(3 * self.rounds + 2, version + 2) for one in self.tangles])
        self.asked.hear()
        if self._measured:
            self._look()

    def _wish(self, one: Tangle, number: int) -> None:
        one.start = number
        self.asked.wish(one.path, "bookingStartTime", one.time(number))

    def _both(self, older: list[Message], newer: list[Message]) -> None:
        """The newer ones one by one, so that each comes at another moment of the older ones' work."""
        failed: list[BaseException] = []

        def overtake() -> None:
            try:
                for message in self._random.sample(newer, len(newer)):
                    self._bulk([message], -1)
            except BaseException as error:  # noqa: BLE001 - raised again below, in the thread that waits
                failed.append(error)

        second = threading.Thread(target=overtake, daemon=True)
        second.start()
        time.sleep(self._random.uniform(0, 0.3))
        self._bulk(older, 0)
        second.join()
        if failed:
            raise failed[0]

    def _look(self) -> None:
        """Until AVOS shows the newer values of all of them."""
        until = time.monotonic() + SHOWN_S
        left = list(self.tangles)
        while left and time.monotonic() < until and not self._give_up.is_set():
            left = [one for one in left if self._shown(one) != one.time(one.start)]
            time.sleep(_REPEAT_S)
        self.asked.problems += [
            f"overtaken: {one.media} shows {self._shown(one)} and not {one.time(one.start)}, {SHOWN_S:g} s after round {self.rounds}"
            for one in left
        ]

    def _shown(self, one: Tangle) -> Any:
        try:
            return self._avos.state(one.media)["fields"].get("bookingStartTime")
        except requests.HTTPError:  # nothing was written to it yet
            return None

    def _bulk(self, messages: list[Message], api: int) -> None:
        """Until each of them was answered by something else than 503; an older version is refused, as it should be."""
        left = messages
        while left and not self._give_up.is_set():
            answer = self._until_heard("POST", "/api/custom/messages", {"messages": left}, api=api)
            results = answer["results"]
            refused = [one for one in results if one["status"] not in (200, 201, 409, 412, 503)]
            if refused:
                raise AssertionError(f"one of many: {refused[0]}")
            for one in results:
                self.asked.acknowledged += one.get("requestIds", [])
            left = [message for message, one in zip(left, results, strict=True) if one["status"] == 503]

    def _until_heard(
        self, method: str, path: str, body: Any, params: dict[str, str] | None = None, api: int = 0
    ) -> Any:
        key = {"Idempotency-Key": uuid.uuid4().hex}
        apis = [self._apis[api], *self._apis]
        while not self._give_up.is_set():
            try:
                answer = apis[0].call(method, path, body, params=params, headers=key, timeout_s=_PATIENCE_S)
            except requests.RequestException:
                answer = None
            if answer is not None and answer.status in (200, 201):
                return answer.body
            if answer is not None and answer.status != 503:
                raise AssertionError(f"{answer.status}: {answer.body}")
            apis.append(apis.pop(0))
            time.sleep(_REPEAT_S)
        raise AssertionError("nobody has answered to the end")
