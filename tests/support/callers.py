"""HTTP, as tests speak it: to our own API, and to the stand-in's control port."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import requests

from tests.support.wait import until

FINAL = frozenset({"delivered", "rejected", "expired", "superseded", "discarded"})


def eventually(condition: Callable[[], Any], *, timeout_s: float = 30, what: str) -> Any:
    """`until` for a condition that costs other processes something: it is asked twenty times a second."""

    def calmly() -> Any:
        answer = condition()
        if not answer:
            time.sleep(0.05)
        return answer

    return until(calmly, timeout_s=timeout_s, what=what)


@dataclass(frozen=True)
class Answer:
    status: int
    body: Any
    headers: Mapping[str, str]
    seconds: float

    def expect(self, *statuses: int) -> Any:
        """The body, if the status is one of these."""
        assert self.status in statuses, f"{self.status}, not {statuses}: {self.body}"
        return self.body


class Api:
    """Our own API, for one caller in each thread."""

    def __init__(self, url: str, token: str) -> None:
        self.url = url
        self._token = token
        self._local = threading.local()
        self._sessions: list[requests.Session] = []

    def close(self) -> None:
        """Leave no connection open: gunicorn would wait for it when it is asked to stop."""
        for session in self._sessions:
            session.close()

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        token: str | None = None,
        timeout_s: float = 40,
    ) -> Answer:
        """Raises requests' errors where there is no answer."""
        began = time.monotonic()
        answer = self._session().request(
            method,
            self.url + path,
            params=params,
            headers={"Authorization": f"Bearer {token or self._token}", **(headers or {})},
            timeout=timeout_s,
            **({} if body is None else {"json": body}),
        )
        is_json = "json" in answer.headers.get("Content-Type", "")
        seconds = time.monotonic() - began
        return Answer(answer.status_code, answer.json() if is_json else answer.text, answer.headers, seconds)

    def _session(self) -> requests.Session:
        session: requests.Session | None = getattr(self._local, "session", None)
        if session is None:
            session = self._local.session = requests.Session()
            session.trust_env = False
            self._sessions.append(session)
        return session

    def get(self, path: str, **params: str) -> Any:
        return self.call("GET", path, params=params).expect(200)

    def put(self, path: str, body: Any) -> Any:
        return self.call("PUT", path, body).expect(200, 201)

    def post(self, path: str, body: Any = None, **params: str) -> Any:
        return self.call("POST", path, body, params=params).expect(200, 201, 202)

    def destination(self, name: str) -> dict[str, Any]:
        listed = self.get("/api/custom/destinations")["destinations"]
        [found] = [one for one in listed if one["name"] == name]
        return dict(found)

    # Requests ---------------------------------------------------------------------------------------------------------

    def request(self, request_id: str) -> dict[str, Any]:
        found: dict[str, Any] = self.get(f"/api/custom/requests/{request_id}")
        return found

    def requests(self, **wanted: str) -> list[dict[str, Any]]:
        """All that match, newest first."""
        found: list[dict[str, Any]] = []
        cursor: dict[str, str] = {}
        while True:
            page = self.get("/api/custom/requests", **wanted, limit="1000", **cursor)
            found += page["requests"]
            if page["next"] is None:
                return found
            cursor = {"cursor": page["next"]}

    def becomes(self, request_id: str, *states: str, timeout_s: float = 30) -> dict[str, Any]:
        """The record, once it is in one of these states."""

        last: dict[str, Any] = {}

        # The API waits for a final state; for others it is asked again and again, without taking the machine's time.
        wait = "5" if FINAL.issuperset(states) else "0"

        def there() -> bool:
            last.update(self.get(f"/api/custom/requests/{request_id}", wait=wait))
            return last["state"] in states or last["state"] in FINAL

        try:
            eventually(
                there, timeout_s=timeout_s, what=f"request {request_id} to become {' or '.join(states)}"
            )
            assert last["state"] in states, "it ended otherwise"
        except AssertionError as error:
            raise AssertionError(f"{error}: {json.dumps(last, indent=1)}") from None
        return last

    def all_become(self, request_ids: list[str], *states: str, timeout_s: float = 30) -> list[dict[str, Any]]:
        return [self.becomes(request_id, *states, timeout_s=timeout_s) for request_id in request_ids]

    def what_happened(self, content_media_id: str) -> list[str]:
        """The timeline's words, oldest first."""
        path = f"/api/custom/contentmedia/{quote(content_media_id, safe='')}/timeline"
        return [entry["what"] for entry in reversed(self.get(path, limit="1000")["timeline"])]


class FarSide:
    """The stand-in of AVOS, over its control port, which answers while the main one is down."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._session = requests.Session()
        self._session.trust_env = False

    def close(self) -> None:
        self._session.close()

    def _call(self, method: str, path: str, body: Any = None) -> requests.Response:
        answer = self._session.request(method, self._url + path, json=body, timeout=20)
        answer.raise_for_status()
        return answer

    def control(self, media: str | None = None, **switches: Any) -> None:
        """Set switches for all, or for one content media."""
        self._call(
            "PUT", "/_control", {"global": switches} if media is None else {"contentMedia": {media: switches}}
        )

    def fault(self, kind: str, *, media: str | None = None, **members: Any) -> None:
        """Let this one fault, and no other, happen."""
        self.control(media, faults=[{"kind": kind, **members}])

    def well(self, media: str | None = None) -> None:
        self.control(media, faults=[])

    def edit(self, media: str, fields: Mapping[str, Any]) -> None:
        self._call("POST", f"/_edit/{quote(media, safe='')}", {"fields": fields})

    def state(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self._call("GET", f"/_state/{quote(name, safe='')}").json()
        return found

    def journal(self, media: str | None = None, after: int = 0) -> list[dict[str, Any]]:
        """Everything that came, in order of arrival; of one content media if it is named."""
        lines = self._call("GET", f"/_journal?after={after}").text.splitlines()
        entries = [json.loads(line) for line in lines]
        if media is None:
            return entries
        return [entry for entry in entries if (entry["contentMediaId"] or "").casefold() == media.casefold()]

    def patches(self, media: str, after: int = 0) -> list[dict[str, Any]]:
        return [entry for entry in self.journal(media, after) if entry["method"] == "PATCH"]
