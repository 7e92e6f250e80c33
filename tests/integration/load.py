"""Planning that keeps moving kick-offs, and remembers what was acknowledged, in which order."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Sequence
from datetime import timedelta

import requests

from tests.integration.plan import Match, text
from tests.support.callers import Answer
from tests.support.checker import Wishes

MEMBER = "bookingPreKOStartTime"
_REPEAT_S = 0.2


class Load:
    """One thread of planning, which moves its matches in turn until it is told to stop.

    A call that isn't acknowledged (503, or no answer) is repeated with the same key until it is, as a caller should.
    """

    def __init__(self, matches: Sequence[Match], *, pause_s: float) -> None:
        self._matches = matches
        self._pause_s = pause_s
        self.wishes = {match.media: Wishes(match.media, MEMBER, [text(match.kick_off)]) for match in matches}
        self.acknowledged: list[str] = []
        self.repeated = 0
        self.problems: list[str] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="planning", daemon=True)

    def start(self) -> Load:
        self._thread.start()
        return self

    def stop(self) -> Load:
        self._stop.set()
        self._thread.join(60)
        assert not self._thread.is_alive(), "planning doesn't come to an end"
        assert self.problems == []
        return self

    def _run(self) -> None:
        while not self._stop.is_set():
            for match in self._matches:
                self._move(match)
                if self._stop.wait(self._pause_s):
                    return

    def _move(self, match: Match) -> None:
        match.kick_off += timedelta(seconds=1)
        key = {"Idempotency-Key": uuid.uuid4().hex}
        while True:
            try:
                answer = match.api.call(
                    "PUT", f"/api/custom/events/ev-{match.name}", match.event(), headers=key
                )
            except requests.RequestException:
                answer = None
            if answer is not None and answer.status == 200:
                self.acknowledged += answer.body["requestIds"]
                self.wishes[match.media].values.append(text(match.kick_off))
                return
            self._note(answer)
            time.sleep(_REPEAT_S)

    def _note(self, answer: Answer | None) -> None:
        self.repeated += 1
        if answer is None:
            return
        if answer.status != 503 or "Retry-After" not in answer.headers:
            self.problems.append(f"{answer.status}: {answer.body}")
