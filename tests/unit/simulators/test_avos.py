"""The stand-in of AVOS: its rules, its journal, and each switch."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from deploy.simulators.avos import AvosStandIn
from tests.support.wait import until

LIVE = "/external/contentMedia/live/C1"
SOURCE = f"{LIVE}/technicalMedia/sourceMedia/"


@pytest.fixture
def avos() -> Iterator[AvosStandIn]:
    with AvosStandIn() as running:
        yield running


class Reply:
    def __init__(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.status, self.body, self.headers = status, body, headers

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def call(
    port: int,
    method: str,
    path: str,
    body: Any = None,
    *,
    timeout: float = 5,
    headers: Mapping[str, str] = MappingProxyType({}),
) -> Reply:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)) as connection:
        data = json.dumps(body).encode() if body is not None else None
        connection.request(method, path, data, dict(headers))
        response = connection.getresponse()
        return Reply(response.status, response.read(), dict(response.headers))


def held(avos: AvosStandIn) -> Any:
    """The fields that it really holds."""
    return (avos.state("C1") or {})["fields"]


def patch(avos: AvosStandIn, path: str = LIVE, **members: Any) -> Reply:
    """A PATCH under the lastModified of a fresh GET."""
    fresh = call(avos.port, "GET", LIVE).json["lastModified"]
    return call(avos.port, "PATCH", path, {"lastModified": fresh} | members)


def test_both_patches_need_the_current_last_modified_and_move_it(avos: AvosStandIn) -> None:
    first = call(avos.port, "GET", LIVE).json
    assert first["contentMediaId"] == "C1"
    reply = call(
        avos.port,
        "PATCH",
        LIVE,
        {"lastModified": first["lastModified"], "eventEndTime": "2026-11-21T21:45:00Z"},
    )
    assert reply.status == 200
    assert reply.json["lastModified"] != first["lastModified"]
    stale = call(avos.port, "PATCH", SOURCE, {"lastModified": first["lastModified"], "txEventType": "New"})
    assert stale.status == 409
    assert patch(avos, SOURCE, txEventType="New").status == 200
    shown = call(avos.port, "GET", LIVE).json
    assert shown["eventEndTime"] == "2026-11-21T21:45:00Z"
    assert shown["technicalMedia"] == {"sourceMedia": {"txEventType": "New"}}


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("PATCH", LIVE, {"x": 1}, 400),
        ("PATCH", LIVE, {"lastModified": 5}, 400),
        ("PATCH", LIVE, [1], 400),
        ("PATCH", LIVE, None, 400),
        ("PATCH", SOURCE.rstrip("/"), {"lastModified": "x"}, 404),
        ("GET", SOURCE, None, 405),
        ("GET", "/other", None, 404),
        ("POST", "/external/things", {"a": 1}, 201),
        ("PUT", "/external/things/1", {"a": 1}, 200),
        ("DELETE", "/external/things/1", None, 200),
        ("GET", "/_nothing", None, 404),
    ],
)
def test_what_it_answers(avos: AvosStandIn, method: str, path: str, body: Any, status: int) -> None:
    assert call(avos.port, method, path, body).status == status


def test_other_resources_are_kept_by_their_path(avos: AvosStandIn) -> None:
    path = "/external/things/1"
    call(avos.port, "PUT", path, {"a": 1})
    fresh = call(avos.port, "GET", path).json
    assert fresh["a"] == 1
    assert call(avos.port, "PATCH", path, {"lastModified": "old", "b": 2}).status == 409
    assert call(avos.port, "PATCH", path, {"lastModified": fresh["lastModified"], "b": 2}).status == 200
    assert avos.state(path)["fields"] == {"a": 1, "b": 2}  # type: ignore[index]
    assert call(avos.port, "DELETE", path).status == 200
    assert call(avos.port, "DELETE", path).status == 404
    assert call(avos.port, "GET", path).status == 404


def test_the_journal_tells_order_freshness_and_what_was_applied(avos: AvosStandIn) -> None:
    patch(avos, x=1)
    call(avos.port, "PATCH", LIVE, {"lastModified": "old", "x": 0})
    get, write, refused = avos.journal()
    assert [entry["method"] for entry in (get, write, refused)] == ["GET", "PATCH", "PATCH"]
    assert [entry["seq"] for entry in (get, write, refused)] == [1, 2, 3]
    assert write["lastModified"] == write["before"] != write["after"]
    assert (write["applied"], write["appliedAs"], write["status"]) == (True, 1, 200)
    assert (refused["applied"], refused["status"], refused["contentMediaId"]) == (False, 409, "C1")
    assert (
        get["answered"] <= write["arrived"] <= write["appliedAt"] <= write["answered"] <= refused["arrived"]
    )
    assert write["body"]["x"] == 1
    lines = call(avos.port, "GET", "/_journal?after=2").body.splitlines()
    assert [json.loads(line)["seq"] for line in lines] == [3]


def test_content_media_are_the_same_whatever_the_case_and_quoting(avos: AvosStandIn) -> None:
    avos.edit("a/B")
    call(avos.port, "GET", "/external/contentMedia/live/A%2Fb")
    assert [entry["contentMediaId"] for entry in avos.journal()] == ["a/B", "A/b"]
    assert avos.state("A/B")["id"] == "a/B"  # type: ignore[index]


def test_somebody_elses_edit_moves_last_modified(avos: AvosStandIn) -> None:
    fresh = call(avos.port, "GET", LIVE).json["lastModified"]
    edited = call(avos.port, "POST", "/_edit/C1", {"fields": {"title": "x"}, "source": {"a": 1}}).json
    assert edited["fields"] == {"title": "x"}
    assert call(avos.port, "PATCH", LIVE, {"lastModified": fresh}).status == 409
    assert call(avos.port, "GET", "/_state/c1").json["source"] == {"a": 1}


@pytest.mark.parametrize(
    ("shows", "top", "source"),
    [
        ("all", {"aTime": "2026-01-01T00:00:00Z", "b": [{"c": 1}]}, {"s": 1}),
        ("some", {"aTime": "2026-01-01T00:00:00Z"}, {"s": 1}),
        ("otherCase", {"ATime": "2026-01-01T00:00:00Z", "B": [{"C": 1}]}, None),
        ("zoneless", {"aTime": "2026-01-01T00:00:00", "b": [{"c": 1}]}, {"s": 1}),
        ("none", {}, None),
    ],
)
def test_a_get_shows_our_fields_in_each_of_the_ways(
    avos: AvosStandIn, shows: str, top: dict[str, Any], source: dict[str, Any] | None
) -> None:
    avos.edit("C1", {"aTime": "2026-01-01T00:00:00Z", "b": [{"c": 1}]}, {"s": 1})
    avos.control(shows=shows)
    shown = call(avos.port, "GET", LIVE).json
    assert {name: value for name, value in shown.items() if name in top} == top
    if source is not None:
        assert shown["technicalMedia"]["sourceMedia"] == source
    elif shows == "none":
        assert set(shown) == {"contentMediaId", "lastModified"}
    else:
        assert shown["TechnicalMedia"] == {"SourceMedia": {"S": 1}}


@pytest.mark.parametrize(
    ("how", "shown"),
    [
        ("missing", {}),
        ("empty", {"lastModified": ""}),
        ("number", {"lastModified": 0}),
        ("huge", {"lastModified": "x" * 2000}),
    ],
)
def test_last_modified_can_be_unusable(avos: AvosStandIn, how: str, shown: dict[str, Any]) -> None:
    avos.control(lastModified=how, shows="none")
    assert call(avos.port, "GET", LIVE).json == {"contentMediaId": "C1"} | shown
    avos.control(lastModified="otherCase")
    assert "LastMODIFIED" in call(avos.port, "GET", LIVE).json


def test_last_modified_can_have_whole_seconds(avos: AvosStandIn) -> None:
    avos.control(coarse=True)
    assert patch(avos, x=1).json["lastModified"].count(".") == 0
    avos.control(coarse=False)
    seen = {patch(avos, x=n).json["lastModified"] for n in range(20)}
    assert len(seen) == 20


def test_a_content_media_can_have_to_be_known(avos: AvosStandIn) -> None:
    avos.control(mustBeKnown=True)
    assert call(avos.port, "GET", LIVE).status == 404
    avos.edit("C1")
    assert call(avos.port, "GET", LIVE).status == 200


@pytest.mark.parametrize("status", [401, 403, 404, 429, 500, 503])
def test_a_status_can_be_answered_for_the_next_requests(avos: AvosStandIn, status: int) -> None:
    avos.fault("status", status=status, retryAfter=7, next=2, on="get")
    replies = [call(avos.port, "GET", LIVE) for _ in range(3)]
    assert [reply.status for reply in replies] == [status, status, 200]
    assert replies[0].headers["Retry-After"] == "7"
    assert [entry["fault"] for entry in avos.journal()] == ["status", "status", None]


def test_a_fault_can_strike_one_content_media_or_path_only(avos: AvosStandIn) -> None:
    avos.fault("status", media="c2", status=503)
    assert call(avos.port, "GET", LIVE).status == 200
    assert call(avos.port, "GET", LIVE[:-1] + "2").status == 503
    avos.fault("status", status=500, path="sourceMedia")
    assert patch(avos, x=1).status == 200
    assert patch(avos, SOURCE, x=1).status == 500


def test_a_probability_is_repeatable_by_its_seed(avos: AvosStandIn) -> None:
    def run() -> list[int]:
        avos.control(seed=7, faults=[{"kind": "status", "status": 500, "probability": 0.5}])
        return [call(avos.port, "GET", LIVE).status for _ in range(30)]

    first = run()
    assert {200, 500} == set(first)
    assert run() == first


@pytest.mark.parametrize("status", [409, 412])
def test_a_conflict_can_be_forced(avos: AvosStandIn, status: int) -> None:
    avos.control(conflictStatus=status, faults=[{"kind": "conflict", "on": "patch", "next": 1}])
    assert patch(avos, x=1).status == status
    assert patch(avos, x=1).status == 200


def test_an_edit_can_come_between_get_and_patch(avos: AvosStandIn) -> None:
    avos.fault("edit", on="patch", next=1)
    assert patch(avos, x=1).status == 409
    assert patch(avos, x=1).status == 200
    assert avos.state("C1")["fields"] == {"editedBy": "somebody else", "x": 1}  # type: ignore[index]


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_connection_can_be_reset_before_or_after_applying(avos: AvosStandIn, when: str) -> None:
    avos.fault("reset", on="patch", when=when, next=1)
    with pytest.raises(ConnectionResetError):
        patch(avos, x=1)
    entry = avos.journal()[-1]
    assert (entry["applied"], entry["status"], entry["answered"]) == (when == "after", None, None)


def test_a_write_can_be_carried_out_after_its_connection_was_reset(avos: AvosStandIn) -> None:
    avos.control(coarse=True)
    avos.fault("late", on="patch", intervalMs=300, next=1)
    with pytest.raises(OSError):  # noqa: PT011 - reset, or closed before an answer, as the system has it
        patch(avos, eventEndTime="late")
    assert held(avos) == {}
    until(lambda: held(avos) == {"eventEndTime": "late"}, what="the late write")
    entry = avos.journal()[-1]
    assert entry["applied"]
    assert entry["answered"] is None
    assert entry["appliedAt"] - entry["arrived"] >= 0.25


def test_a_late_write_is_under_the_condition_of_its_moment(avos: AvosStandIn) -> None:
    avos.fault("late", on="patch", intervalMs=200, next=1)
    with pytest.raises(OSError):  # noqa: PT011 - as above
        patch(avos, eventEndTime="late")
    late = avos.journal()[-1]["seq"]
    assert patch(avos, eventEndTime="newer").status == 200

    def outcome() -> Any:
        return next(entry["status"] for entry in avos.journal() if entry["seq"] == late)

    assert until(outcome, what="the late write") == 409
    assert held(avos) == {"eventEndTime": "newer"}


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_request_can_hang_before_or_after_applying(avos: AvosStandIn, when: str) -> None:
    fresh = call(avos.port, "GET", LIVE).json["lastModified"]
    avos.fault("hang", when=when, next=1)
    with pytest.raises(TimeoutError):
        call(avos.port, "PATCH", LIVE, {"lastModified": fresh}, timeout=0.2)
    assert avos.journal()[-1]["applied"] is (when == "after")
    assert call(avos.port, "GET", LIVE).status == 200


def test_an_answer_can_drip_and_be_malformed(avos: AvosStandIn) -> None:
    whole = call(avos.port, "GET", LIVE).body
    avos.fault("drip", intervalMs=1, next=1)
    assert call(avos.port, "GET", LIVE).body == whole
    avos.fault("drip", intervalMs=1, headers=True, next=1)
    assert call(avos.port, "GET", LIVE).body == whole
    avos.fault("malformed", next=1)
    with pytest.raises(json.JSONDecodeError):
        call(avos.port, "GET", LIVE).json  # noqa: B018


def test_latency_is_per_method_and_does_not_hold_up_others(avos: AvosStandIn) -> None:
    avos.control(latencyMs={"patch": 150})
    with ThreadPoolExecutor() as threads:
        started = time.monotonic()
        list(threads.map(lambda n: call(avos.port, "PATCH", LIVE + str(n), {}), range(5)))
        assert 0.15 <= time.monotonic() - started < 0.6
    get = call(avos.port, "GET", LIVE)
    assert get.status == 200
    entry = avos.journal()[-1]
    assert entry["answered"] - entry["arrived"] < 0.1


def test_a_write_is_applied_even_when_the_client_has_gone(avos: AvosStandIn) -> None:
    fresh = call(avos.port, "GET", LIVE).json["lastModified"]
    avos.control(latencyMs={"patch": 200})
    with pytest.raises(TimeoutError):
        call(avos.port, "PATCH", LIVE, {"lastModified": fresh, "x": 1}, timeout=0.05)
    deadline = time.monotonic() + 5
    while not avos.journal()[-1]["applied"]:
        assert time.monotonic() < deadline


def test_it_can_be_down_in_two_ways_and_come_back(avos: AvosStandIn) -> None:
    def ask() -> None:
        kept.request("GET", LIVE)
        kept.getresponse().read()

    kept = http.client.HTTPConnection("127.0.0.1", avos.port, timeout=5)
    with closing(kept):
        ask()
        avos.control(down="refuse")
        with pytest.raises(ConnectionRefusedError):
            call(avos.port, "GET", LIVE)
        with pytest.raises(ConnectionError):
            ask()
    avos.control(down="reset")
    with pytest.raises(ConnectionResetError):
        call(avos.port, "GET", LIVE)
    call(avos.port, "PUT", "/_control", {"global": {"down": "no"}})
    assert call(avos.port, "GET", LIVE).status == 200
    assert len(avos.journal()) == 2


def test_it_comes_back_by_itself(avos: AvosStandIn) -> None:
    avos.control(down="refuse", downForS=0.2)
    avos.control(coarse=True)
    deadline = time.monotonic() + 5
    while True:
        try:
            assert call(avos.port, "GET", LIVE).status == 200
            break
        except ConnectionRefusedError:
            assert time.monotonic() < deadline
            time.sleep(0.02)


def test_a_token_can_be_required() -> None:
    with AvosStandIn(token="t0ken", auth_header="X-Key", auth_scheme="") as avos:
        assert call(avos.port, "GET", LIVE).status == 401
        assert call(avos.port, "GET", LIVE, headers={"X-Key": "t0ken"}).status == 200
        assert "t0ken" not in json.dumps(avos.journal())


@pytest.mark.parametrize(
    "control",
    [
        {"global": {"nonsense": 1}},
        {"global": {"shows": "most"}},
        {"global": {"down": "maybe"}},
        {"global": {"faults": [{"kind": "fire"}]}},
        {"global": {"faults": [{"kind": "hang", "howOften": 2}]}},
        {"media": {}},
        [],
    ],
)
def test_a_switch_that_is_none_is_refused(avos: AvosStandIn, control: Any) -> None:
    assert call(avos.port, "PUT", "/_control", control).status == 400


def test_switches_can_be_read_and_all_be_reset(avos: AvosStandIn) -> None:
    given = {"global": {"shows": "none"}, "contentMedia": {"C1": {"latencyMs": 5}}}
    assert call(avos.port, "PUT", "/_control", given).status == 200
    shown = call(avos.port, "GET", "/_control").json
    assert shown["global"] == {"down": "no", "shows": "none", "faults": []}
    assert shown["contentMedia"] == {"c1": {"latencyMs": {"any": 5}, "faults": []}}
    avos.edit("C1")
    call(avos.port, "POST", "/_reset")
    assert (avos.journal(), avos.state("C1")) == ([], None)
    assert call(avos.port, "GET", "/_control").json["contentMedia"] == {}


def test_requests_that_are_none_are_refused(avos: AvosStandIn) -> None:
    with closing(http.client.HTTPConnection("127.0.0.1", avos.port, timeout=5)) as connection:
        connection.request("POST", LIVE, body=iter([b"x"]), headers={"Transfer-Encoding": "chunked"})
        assert connection.getresponse().status == 400


@contextmanager
def killed(process: subprocess.Popen[str]) -> Iterator[None]:
    """Popen's own exit waits for the process, for ever if the test has failed."""
    try:
        yield
    finally:
        process.kill()


def test_as_a_process_it_keeps_state_and_journal(tmp_path: Path) -> None:
    files = {name: tmp_path / name for name in ("port-file", "control-port-file", "journal", "state")}
    command = [sys.executable, "-m", "deploy.simulators.avos", "--port", "0"]
    for name, file in files.items():
        command += [f"--{name}", str(file)]
    for run in (1, 2):
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process, killed(process):
            assert process.stderr is not None
            assert json.loads(process.stderr.readline())["event"] == "AVOS stand-in listens"
            port, control = (int(files[name].read_text()) for name in ("port-file", "control-port-file"))
            if run == 1:
                call(port, "POST", "/_edit/C1", {"fields": {"x": 1}})
            call(control, "PUT", "/_control", {"global": {"down": "refuse"}})
            with pytest.raises(ConnectionRefusedError):
                call(port, "GET", LIVE)
            call(control, "PUT", "/_control", {"global": {"down": "no"}})
            assert call(port, "GET", LIVE).json["x"] == 1
            process.terminate()
            assert process.wait(10) == 0
    methods = [json.loads(line)["method"] for line in files["journal"].read_text().splitlines()]
    assert methods == ["EDIT", "GET", "GET"]


def test_as_a_process_that_is_killed_it_forgets_nothing_older_than_a_moment(tmp_path: Path) -> None:
    port_file, state = tmp_path / "port", tmp_path / "state"
    command = [sys.executable, "-m", "deploy.simulators.avos", "--port-file", str(port_file)]
    command += ["--state", str(state), "--save-every", "0.05"]
    for run in (1, 2):
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process, killed(process):
            assert process.stderr is not None
            assert json.loads(process.stderr.readline())["event"] == "AVOS stand-in listens"
            port = int(port_file.read_text())
            if run == 1:
                call(port, "POST", "/_edit/C1", {"fields": {"x": 1}})
                until(lambda: state.exists() and "C1" in state.read_text(), what="the state to be saved")
            assert call(port, "GET", LIVE).json["x"] == 1
            process.kill()
            process.wait(10)
