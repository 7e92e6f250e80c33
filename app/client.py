"""A small client of our own HTTP API: the command line and `up` call the API with it.

It says plainly what went wrong: `Unreachable` (nobody answered) or `Refused` (the API answered with a
problem). Nothing is repeated unless the call is given `patience`: then 429, 503 and lost connections are tried
again with the same Idempotency-Key, so that a call whose answer was lost isn't done twice.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

import requests
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase

CONNECT_S: Final = 3.0
ANSWER_S: Final = 45.0  # above the 30 s that a call may ask the API to wait
_LONGEST_WAIT_S: Final = 15.0

Params = Mapping[str, str | float | bool | None]


class ApiError(Exception):
    """A call ended without its answer."""


class Unreachable(ApiError):
    """Nobody answered, or what answered isn't this API."""

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(f"{url}: {reason}")
        self.url = url
        self.reason = reason


class ApiRefused(ApiError):
    """The API's own problem answer. `problems`: one (field or None, sentence) per thing that is wrong."""

    def __init__(self, status: int, body: Mapping[str, Any], retry_after_s: float | None = None) -> None:
        self.status = status
        self.code = str(body.get("code") or "")
        # `error` and `message`: of the scheduler, whose callers know no problem documents.
        said = (body.get(name) for name in ("detail", "title", "error", "message"))
        self.detail = str(next((text for text in said if text), f"HTTP {status}"))
        self.field = _text(body.get("field"))
        self.call_id = _text(body.get("callId"))
        self.problems = problems_in(body) or [(self.field, self.detail)]
        self.retry_after_s = retry_after_s
        super().__init__(self.detail)

    @property
    def retryable(self) -> bool:
        return self.status in (429, 503)


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a call may be repeated while the API is away or busy; `wait` is `time.sleep` but in tests.

    `say` is called with a sentence before each wait.
    """

    seconds: float = 60
    wait: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic
    say: Callable[[str], None] = lambda _text: None


class _Bearer(AuthBase):
    """The token as an auth object: else a .netrc entry of the host would replace it."""

    def __init__(self, token: str | None) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._token:
            request.headers["Authorization"] = f"Bearer {self._token}"
        return request


class ApiClient:
    """One API, one token. Proxies of the environment aren't used: the API is on this machine or network."""

    def __init__(self, base_url: str, token: str | None, *, answer_s: float = ANSWER_S) -> None:
        self.base_url = base_url.rstrip("/")
        self._timeout = (CONNECT_S, answer_s)
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.auth = _Bearer(token)
        adapter = HTTPAdapter(max_retries=0)
        self._session.mount("http://", adapter)
        self._session.mount("https://", adapter)

    def close(self) -> None:
        self._session.close()

    def get(self, path: str, params: Params | None = None) -> Any:
        return self.call("GET", path, params=params)

    def post(self, path: str, body: Any = None, *, params: Params | None = None) -> Any:
        return self.call("POST", path, body=body, params=params)

    def call(
        self,
        method: str,
        path: str,
        *,
        params: Params | None = None,
        body: Any = None,
        raw: bytes | None = None,
        patience: Patience | None = None,
        idempotency_key: str | None = None,
        if_match: str | None = None,
    ) -> Any:
        """The answer's JSON (None for an empty one). Raises Refused or Unreachable.

        `raw` is JSON that goes out as it stands. A caller that repeats a call by itself gives the `idempotency_key`;
        `if_match` is an entity tag, with its quotes, of what the call changes.
        """
        headers = {"Accept": "application/json"}
        if if_match is not None:
            headers["If-Match"] = if_match
        if method != "GET":
            headers["Idempotency-Key"] = idempotency_key or new_key()
        payload = raw
        if body is not None:
            payload = json.dumps(body, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
        if payload is not None:
            headers["Content-Type"] = "application/json"
        given = {name: _query(value) for name, value in (params or {}).items() if value is not None}

        def once() -> Any:
            return _read(self._send(method, self.base_url + path, given, payload, headers), self.base_url)

        return once() if patience is None else patiently(once, patience)

    def text(self, path: str) -> str:
        """The answer as it came, for what isn't JSON."""
        answer = self._send("GET", self.base_url + path, {}, None, {})
        if not answer.ok:
            _read(answer, self.base_url)  # raises
        return answer.text

    def lines(self, path: str, params: Params | None = None, last_id: str | None = None) -> Iterator[str]:
        """An answer without an end, line by line as it comes; `last_id` is where a stream of events goes on."""
        given = {name: _query(value) for name, value in (params or {}).items() if value is not None}
        headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": last_id} if last_id else {})
        with self._send("GET", self.base_url + path, given, None, headers, stream=True) as answer:
            if not answer.ok:
                _read(answer, self.base_url)  # raises
            try:
                for line in answer.iter_lines():
                    yield line.decode()
            except (requests.RequestException, OSError) as error:
                raise Unreachable(self.base_url, "the stream was lost") from error

    def pages(self, path: str, member: str, params: Params | None = None) -> Iterator[dict[str, Any]]:
        """Every entry of a list, page by page (`{"<member>": […], "next"}`)."""
        given = dict(params or {})
        while True:
            page = self.get(path, given)
            yield from page.get(member) or ()
            following = page.get("next")
            if not following:
                return
            given["cursor"] = following

    def _send(
        self,
        method: str,
        url: str,
        params: dict[str, str],
        payload: bytes | None,
        headers: dict[str, str],
        *,
        stream: bool = False,
    ) -> requests.Response:
        try:
            return self._session.request(
                method,
                url,
                params=params,
                data=payload,
                headers=headers,
                timeout=self._timeout,
                allow_redirects=False,
                stream=stream,
            )
        except requests.ConnectionError as error:
            raise Unreachable(self.base_url, _reason(error)) from error
        except requests.Timeout as error:
            raise Unreachable(self.base_url, "no answer in time") from error
        except (requests.RequestException, ValueError) as error:
            raise Unreachable(self.base_url, str(error)) from error


def new_key() -> str:
    """An Idempotency-Key."""
    return uuid.uuid4().hex


def segment(identifier: str) -> str:
    """An id as one segment of a path."""
    return quote(identifier, safe="")


def problems_in(body: Mapping[str, Any]) -> list[tuple[str | None, str]]:
    """What a problem document, or one result of a bulk call, says is wrong: (field, sentence)."""
    details = [
        str(one.get("detail") or one.get("title") or "")
        for one in body.get("errors") or ()
        if isinstance(one, Mapping)
    ]
    first = _text(body.get("field"))
    found: list[tuple[str | None, str]] = [(None, detail) for detail in details]
    if first and found:  # a problem names its first field; the sentence may begin with it
        found[0] = (first, details[0].removeprefix(f"{first}: "))
    return found


def patiently(once: Callable[[], Any], patience: Patience) -> Any:
    """Call `once` until it ends otherwise than with "away" or "busy", or patience ends. Raises its last error."""
    until = patience.clock() + patience.seconds
    distance = 0.5
    while True:
        try:
            return once()
        except (ApiRefused, Unreachable) as error:
            if isinstance(error, ApiRefused) and not error.retryable:
                raise
            asked = error.retry_after_s if isinstance(error, ApiRefused) else None
            pause = min(asked if asked is not None else distance, _LONGEST_WAIT_S)
            if patience.clock() + pause > until:
                raise
            patience.say(f"{error}; trying again in {pause:g} s")
            patience.wait(pause)
            distance *= 2


def _read(answer: requests.Response, base_url: str) -> Any:
    try:
        body = answer.json() if answer.content else None
    except ValueError:
        body = None
        if answer.ok:
            raise Unreachable(base_url, "what answers there isn't the mediaops-sync API") from None
    if 300 <= answer.status_code < 400:
        raise Unreachable(base_url, f"it redirects to {answer.headers.get('Location', 'elsewhere')}")
    if not answer.ok:
        problem = body if isinstance(body, dict) else {"detail": f"HTTP {answer.status_code} {answer.reason}"}
        raise ApiRefused(answer.status_code, problem, _seconds(answer.headers.get("Retry-After")))
    return body


def _seconds(text: str | None) -> float | None:
    """Our API gives Retry-After in seconds; a date (a proxy's, say) is taken as "soon"."""
    if text is None:
        return None
    try:
        return max(0.0, float(text))
    except ValueError:
        return 1.0


def _query(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def _reason(error: requests.ConnectionError) -> str:
    text = str(error).lower()
    if "refused" in text:
        return "nobody listens there (connection refused)"
    if "name or service" in text or "getaddrinfo" in text or "resolve" in text:
        return "the host name isn't known"
    if "timed out" in text:
        return "no answer in time"
    return "the connection was lost"


def reach(url: str, *, proxy: str | None, ca_file: str | None) -> int:
    """The status with which whatever is at `url` answers a bare HEAD. Raises Unreachable."""
    with requests.Session() as session:
        session.trust_env = False
        try:
            answer = session.head(
                url,
                timeout=(CONNECT_S, CONNECT_S),
                allow_redirects=False,
                proxies={"http": proxy, "https": proxy} if proxy else None,
                verify=ca_file or True,
            )
        except requests.ConnectionError as error:
            raise Unreachable(url, _reason(error)) from error
        except requests.Timeout as error:
            raise Unreachable(url, "no answer in time") from error
        except (requests.RequestException, OSError) as error:
            raise Unreachable(url, str(error)) from error
    return answer.status_code
