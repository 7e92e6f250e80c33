"""Operators at work on subscriptions while everything else breaks: they pause and resume, replay, cancel, rotate secrets and change
configurations, each call repeated until it is heard, as a person would.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

import requests

from tests.chaos.stream_judge import UNDER_WAY_S, Paused, Replayed
from tests.support.callers import Answer, Api

_REPEAT_S: Final = 0.2
_PATIENCE_S: Final = 60.0
_REPLAY_S: Final = 10.0  # after which one that isn't done is cancelled: others are to come
_UNHEARD: Final = frozenset({502, 503, 504})
_SINCE: Final = "2020-01-01T00:00:00Z"  # before everything


class Unheard(Exception):
    """Nobody has answered for so long that something else is wrong."""


class Operators:
    """`ids`: of the subscriptions by name, once they are made. What they did is for the checker."""

    def __init__(self, apis: Sequence[Api], ids: Mapping[str, str]) -> None:
        self._apis = list(apis)
        self._ids = ids
        self.paused: list[Paused] = []
        self.replayed: list[Replayed] = []

    def act(self, kind: str, name: str, lasts: float, abort: threading.Event) -> str:
        """One of the script's; what came of it. Whatever it began it ends, also when the campaign is given up."""
        match kind:
            case "pause":
                return self._pause(name, lasts, abort)
            case "replay" | "replay, paused" | "replay, cancelled":
                return self._replay(kind, name, lasts, abort)
            case "rotate secret":
                self._ask("POST", name, "secret/rotate", {"overlapSeconds": 60})
                return ""
            case "change":
                return self._change(name)
        raise ValueError(kind)

    def _pause(self, name: str, lasts: float, abort: threading.Event) -> str:
        self._ask("POST", name, "pause")
        since = time.monotonic()
        # Longer than what was under way may take, so that there is a time in which nothing may come.
        abort.wait(UNDER_WAY_S + lasts)
        self.paused.append(Paused(name, since, time.monotonic()))
        self._ask("POST", name, "resume")
        return ""

    def _replay(self, kind: str, name: str, lasts: float, abort: threading.Event) -> str:
        """A lost answer to the call that begins one means that another one is under way: that is looked at instead."""
        answer = self._ask("POST", name, "replay", {"since": _SINCE}, fine=(202, 409))
        made = self._shown(name)["replay"] if answer.status == 409 else answer.body
        if kind == "replay, paused":
            self._pause(name, lasts, abort)
        elif kind == "replay, cancelled":
            abort.wait(lasts)
        until = time.monotonic() + (0 if kind == "replay, cancelled" else _REPLAY_S)
        while time.monotonic() < until and not abort.is_set():
            seen = self._ask("GET", name, f"replay/{made['id']}").body
            if seen["state"] != "running":
                self.replayed.append(Replayed(name, seen["id"]))
                return f"{seen['done']} of {seen['total']}"
            abort.wait(0.5)
        seen = self._ask("DELETE", name, f"replay/{made['id']}").body
        if seen["state"] == "done":
            self.replayed.append(Replayed(name, seen["id"]))
        return f"{seen['state']} at {seen['done']} of {seen['total']}"

    def _change(self, name: str) -> str:
        """The same to the same, as a new revision: whoever is delivering lets go and comes back with it."""
        shown = self._shown(name)
        body = {
            member: shown[member] for member in ("name", "topics", "sink", "ordered", "inFlight", "start")
        }
        if shown["ordered"]:
            del body["inFlight"]
        self._ask("PUT", name, "", body)
        return f"revision {shown['revision']} and on"

    def _shown(self, name: str) -> dict[str, Any]:
        shown: dict[str, Any] = self._ask("GET", name, "").body
        return shown

    def _ask(
        self, method: str, name: str, what: str, body: Any = None, fine: Sequence[int] = (200, 202)
    ) -> Answer:
        """Until it is answered; the other API process after each failure."""
        path = f"/api/subscriptions/{self._ids[name]}" + (f"/{what}" if what else "")
        until = time.monotonic() + _PATIENCE_S
        while True:
            answer = self._call(method, path, body)
            if answer is not None and answer.status in fine:
                return answer
            being_changed = answer is not None and answer.status == 409
            if answer is not None and answer.status not in _UNHEARD and not being_changed:
                raise AssertionError(f"{method} {path} is answered {answer.status}: {answer.body}")
            if time.monotonic() > until:
                raise Unheard(f"{method} {path}")
            self._apis.append(self._apis.pop(0))
            time.sleep(_REPEAT_S)

    def _call(self, method: str, path: str, body: Any) -> Answer | None:
        try:
            return self._apis[0].call(method, path, body, timeout_s=5)
        except requests.RequestException:
            return None
