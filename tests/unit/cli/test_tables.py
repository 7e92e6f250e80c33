"""Tables: one row a line, never wider than the terminal, ids shortened from the middle."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result
from pytest_httpserver import HTTPServer
from rich.cells import cell_len
from rich.console import Console

from app.cli.root import main
from app.cli.tables import Column, View, fit, fitting, identifier, prose, table
from tests.unit.cli.conftest import TOKEN

ID = "8890b0ec3f13450bab0bb7959a37e2e7"
COLUMNS = (
    identifier("id"), Column("state"), prose("event", 1), identifier("livestream", 2), Column("kick-off", 1), prose("note", 3),
)  # fmt: skip
ROWS = [
    (ID, "delivered", "Lyon Quins - Sevilla Stags (Stade de la Croix-Rousse)", "f" * 40, "in 4 d", None),
    (
        "0083ed78-a4de-4031-a756-0d741d9806e1",
        "failed",
        "北京国安 – 上海申花",
        "short",
        "in 5 d",
        "an odd one",
    ),
    ("C1", "in_step", "É" * 90, "x\ny", "5 min ago", "–"),
]


def lines(width: int, view: View | None = None, rows: Any = ROWS) -> list[str]:
    console = Console(file=io.StringIO(), width=width)
    return [line.plain for line in table(console, COLUMNS, rows, view)]


@pytest.mark.parametrize("width", [20, 40, 60, 80, 100, 200])
@pytest.mark.parametrize(
    "view", [View(), View(columns=("event", "id")), View(columns=tuple(c.name for c in COLUMNS))]
)
def test_a_row_is_one_line_and_no_line_is_longer_than_the_terminal(width: int, view: View) -> None:
    shown = lines(width, view)
    assert len(shown) == 1 + len(ROWS)
    assert max(map(cell_len, shown)) <= width
    assert not any(character in line for line in shown for character in "\n\r")


def test_what_fits_is_whole_and_what_does_not_is_shortened_where_it_says_least() -> None:
    assert ID in lines(200)[1]
    narrow = lines(80)[1]
    head, _, tail = narrow.split()[0].partition("…")
    assert ID.startswith(head)
    assert ID.endswith(tail)
    assert "Lyon Quins" in narrow


@pytest.mark.parametrize(
    ("value", "width", "text", "shown"),
    [
        (ID, 32, False, ID),
        (ID, 13, False, "8890b0…37e2e7"),
        (ID, 2, False, "8…"),
        ("Home - Away, a long way", 12, True, "Home - Away…"),
        (f"request {ID} waits", 24, True, "request 8890b0…37e2e7 w…"),
        ("北京国安上海申花", 7, False, "北…申花"),
        ("2026-11-21T19:30:00Z", 20, True, "2026-11-21T19:30:00Z"),
    ],
)  # fmt: skip
def test_a_value_is_shortened(value: str, width: int, text: bool, shown: str) -> None:
    assert fit(value, width, text=text) == shown


def test_columns_that_matter_least_go_first_and_empty_ones_before() -> None:
    assert lines(200)[0].split() == ["id", "state", "event", "livestream", "kick-off", "note"]
    assert "note" not in lines(72)[0]
    assert "livestream" not in lines(64)[0]
    assert lines(20)[0].split() == ["id"]
    assert "note" not in lines(200, rows=ROWS[:1])[0]


def test_columns_that_were_asked_for_are_shown_in_that_order_however_narrow() -> None:
    shown = lines(30, View(columns=("kick off", "note", "id")))
    assert shown[0].split()[0].startswith("kick")
    with pytest.raises(click.UsageError, match="no column 'nonsense'"):
        lines(80, View(columns=("nonsense",)))


def test_wide_shows_every_column_whole() -> None:
    shown = lines(40, View(wide=True))
    assert "É" * 90 in shown[3]
    assert "note" in shown[0]
    assert len(shown) == 1 + len(ROWS)


def test_narrow_columns_grow_first() -> None:
    columns = (identifier("a"), identifier("b"))
    assert fitting(columns, [("x" * 14, "y" * 60)], 40) == [14, 24]


# Through the commands ------------------------------------------------------------------------------------------------

Run = Callable[..., Result]
API = "/api/custom"


@pytest.fixture
def run(httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("MEDIAOPS_API_TOKEN", TOKEN)
    long = "CM-" + "x" * 60
    media = {
        "contentMediaId": long, "state": "failing", "held": False, "missing": None, "livestreamId": ID, "eventName": "Name " * 30,
        "preKoUtc": "2026-11-21T19:30:00Z",
    }  # fmt: skip
    record = {
        "id": ID, "state": "failed", "method": "PATCH", "kind": "booking", "contentMediaId": long, "path": "/", "attemptCount": 3,
        "createdAt": "2026-11-21T19:30:00Z", "nextTryAt": "2026-11-21T19:30:00Z", "error": {"code": "timeout", "detail": "x " * 99},
    }  # fmt: skip
    destination = {
        "name": "sub:" + ID, "state": "open", "reason": "server_error", "runnable": 10**9, "live": 200, "failed": 10**9,
        "maxInFlight": 200, "pausedBy": "somebody " * 9, "pausedAt": "2026-11-21T19:30:00Z",
    }  # fmt: skip
    subscription = {
        "id": ID, "name": "name " * 20, "state": "failing", "sink": {"url": "https://example.com/" + "p" * 200},
        "topics": [{"topic": "sync-operations"}] * 9, "lag": {"events": 10**6, "seconds": 5}, "counters": {}, "parked": 10**6,
        "lastError": {"code": "receiver_unavailable"},
    }  # fmt: skip
    delivery = {
        "at": "2026-11-21T19:30:00Z", "outcome": "failed", "topic": "user-service-domain-events", "sequence": 10**9,
        "eventName": "user-domain-event", "attempt": 12, "status": 503, "latencyMs": 1234, "error": {"code": "c", "detail": "d " * 99},
    }  # fmt: skip
    event = {
        "sequence": 10**9,
        "publishedAt": "2026-11-21T19:30:00Z",
        "event": {"eventName": "e" * 40, "guid": ID, "x": "y" * 200},
    }
    drifted = {
        "contentMediaId": long, "state": "drifted", "since": "2026-11-21T19:30:00Z", "checkedAt": "2026-11-21T19:30:00Z",
        "members": [{"member": "bookingPreKOStartTime", "wanted": "w" * 90, "shown": "s" * 90}] * 3, "notShown": [], "error": None,
    }  # fmt: skip
    timeline = {
        "at": "2026-11-21T19:30:00Z",
        "what": "delivered",
        "detail": {"requestId": ID, "x": "y" * 300},
    }
    for path, member, one in (
        (f"{API}/contentmedia", "contentmedia", media),
        (f"{API}/contentmedia/C1/timeline", "timeline", timeline),
        (f"{API}/requests", "requests", record),
        (f"{API}/destinations", "destinations", destination),
        (f"{API}/drift", "drift", drifted),
        ("/api/subscriptions", "subscriptions", subscription),
        (f"/api/subscriptions/{ID}/deliveries", "deliveries", delivery),
    ):
        httpserver.expect_request(path).respond_with_json({member: [one, one], "next": None})
    log = {"events": [event, event], "missed": None, "next": 2, "last": 2}
    httpserver.expect_request("/api/events/sync-operations").respond_with_json(log)
    httpserver.expect_request("/metrics").respond_with_data('mediaops_requests{state="failed"} 4.0\n')

    def invoke(*args: str, width: int | None = None) -> Result:
        if width is None:
            monkeypatch.delenv("COLUMNS", raising=False)
        else:
            monkeypatch.setenv("COLUMNS", str(width))
        return CliRunner().invoke(main, ["--url", httpserver.url_for(""), *args])

    return invoke


LISTS = (
    ("contentmedia", "list"), ("timeline", "C1"), ("requests", "list"), ("destinations", "list"), ("subscriptions", "list"),
    ("subscriptions", "deliveries", ID), ("events", "read", "sync-operations"),
)  # fmt: skip


@pytest.mark.parametrize("width", [80, 200])
@pytest.mark.parametrize("command", LISTS, ids=" ".join)
def test_each_list_fits_the_terminal(run: Run, command: tuple[str, ...], width: int) -> None:
    result = run(*command, width=width)
    assert result.exit_code == 0, result.output
    shown = result.stdout.splitlines()
    assert len(shown) == 3, result.stdout
    assert max(map(cell_len, shown)) <= width
    assert shown[1] == shown[2]


@pytest.mark.parametrize("width", [80, 200])
def test_status_and_drift_fit_the_terminal(run: Run, width: int) -> None:
    for command, exits in ((("status",), 0), (("drift",), 1)):
        result = run(*command, width=width)
        assert result.exit_code == exits, result.output
        assert max(map(cell_len, result.stdout.splitlines())) <= width


def test_programs_and_pipes_get_everything_whole(run: Run) -> None:
    whole = "CM-" + "x" * 60
    assert whole in run("contentmedia", "list").stdout
    assert whole in run("contentmedia", "list", "--wide", width=80).stdout
    assert json.loads(run("contentmedia", "list", "--json", width=80).stdout)[0]["contentMediaId"] == whole
    assert "there are: id, state, kind" in run("requests", "list", "--columns", "nonsense", width=80).stderr


def test_status_is_shown_again_until_it_is_ended(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []

    def wait(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr("app.fleet.cli_status.time", SimpleNamespace(sleep=wait))
    result = run("status", "--watch", width=80)
    assert result.stdout.count("destination") == 3
    assert run("status", "--watch", "--json").exit_code == 2
