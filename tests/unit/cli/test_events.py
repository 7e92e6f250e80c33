"""`events …` against the real API on a real server, over HTTP."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from app.cli.event_stream import Message, messages
from app.cli.root import main
from app.events.cli import _batches
from app.events.log import EventLog
from app.packages import build
from app.platform.container import Container
from app.settings import Settings
from tests.support.keys import AllKeys
from tests.support.published import SAMPLES
from tests.unit.cli.conftest import TOKEN
from tests.unit.cli.test_against_the_api import run, url

__all__ = ["run", "url"]

Run = Callable[..., Result]
ASSETS = "asset-operations"
RAW = SAMPLES[ASSETS, "asset-created"]


@pytest.fixture
def system(settings: Settings) -> Container:
    """The same store as the API's."""
    return build(settings)


def events_of(system: Container) -> list[bytes]:
    return [entry.event for entry in system[EventLog].read(ASSETS).entries]


def plain(number: int) -> bytes:
    return json.dumps({"eventName": "asset-created", "assetId": number}).encode()


def test_the_catalogue_lists_names_and_what_is_gone(run: Run) -> None:
    shown = run("events", "catalogue")
    assert "mce-ingest-started" in shown.stdout
    assert "playlist-operations" in shown.stderr
    assert len(json.loads(run("events", "catalogue", "--json").stdout)["topics"]) == 10


def test_a_file_is_published_as_it_stands(run: Run, system: Container, tmp_path: Path) -> None:
    file = tmp_path / "event.json"
    file.write_bytes(RAW)
    assert "guid-asset-created" in run("events", "publish", ASSETS, str(file)).stdout
    assert events_of(system) == [RAW]


def test_one_event_a_line_is_published_in_its_order(run: Run, system: Container, tmp_path: Path) -> None:
    file = tmp_path / "events.ndjson"
    file.write_bytes(b"\n\n".join(plain(number) for number in range(1, 4)) + b"\n")
    results = json.loads(run("events", "publish", ASSETS, str(file), "--json").stdout)
    assert [one["sequence"] for one in results] == [1, 2, 3]
    assert [json.loads(event)["assetId"] for event in events_of(system)] == [1, 2, 3]


def test_what_is_refused_is_said_and_the_rest_is_taken(run: Run, system: Container, tmp_path: Path) -> None:
    file = tmp_path / "events.json"
    file.write_bytes(b"[" + plain(1) + b',{"eventName":"asset-created"}]')
    said = run("events", "publish", ASSETS, str(file), exits=1)
    assert "assetId: Missing data" in said.stderr
    assert len(events_of(system)) == 1
    file.write_bytes(b'{"eventName":"asset-created","assetId":[]}')
    assert "assetId" in run("events", "publish", ASSETS, str(file), exits=1).stderr
    assert "gone" in run("events", "publish", "player-events", str(file), exits=1).stderr


def test_long_files_go_out_in_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.events.cli.BATCH_EVENTS", 2)
    batches = list(_batches(b"\n".join(plain(number) for number in range(5))))
    assert [first for first, _ in batches] == [1, 3, 5]
    assert [one["assetId"] for _, body in batches for one in json.loads(body)] == [0, 1, 2, 3, 4]
    monkeypatch.setattr("app.events.cli.BATCH_BYTES", 100)
    assert [len(json.loads(body)) for _, body in _batches(b"\n".join([plain(1) * 1] * 4))] == [2, 2]
    assert list(_batches(b"")) == [(1, b"[]")]


def test_reading_shows_a_page_and_how_to_go_on(run: Run, system: Container) -> None:
    system[EventLog].publish(ASSETS, [plain(number) for number in range(5)], "tests")
    shown = run("events", "read", ASSETS, "--limit", "2")
    assert "--after 2 goes on" in shown.stderr
    found = json.loads(
        run("events", "read", ASSETS, "--after", "2", "--event", "asset-created", "--json").stdout
    )
    assert [one["sequence"] for one in found] == [3, 4, 5]
    assert json.loads(run("events", "read", ASSETS, "--event", "asset-deleted", "--json").stdout) == []
    system.redis.xtrim(AllKeys.of(system.keys).log(ASSETS), minid="4-0", approximate=False)
    assert "No longer kept: 1 to 3" in run("events", "read", ASSETS, "--after", "0").stderr
    run("events", "read", "nope", exits=1)


def test_following_shows_what_happens(run: Run, system: Container) -> None:
    system[EventLog].publish(ASSETS, [plain(1)], "tests")
    found: list[Result] = []
    options = ("events", "follow", ASSETS, "--since", "2020-01-01T00:00:00Z", "--count", "2", "--json")
    follower = threading.Thread(target=lambda: found.append(run(*options)))
    follower.start()
    system[EventLog].publish(ASSETS, [plain(2)], "tests")
    follower.join(30)
    assert [json.loads(line)["event"]["assetId"] for line in found[0].stdout.splitlines()] == [1, 2]


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("app.events.cli._AGAIN_S", 0.01)
    monkeypatch.setenv("MEDIAOPS_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("MEDIAOPS_API_TOKEN", TOKEN)


def test_following_goes_on_where_a_lost_stream_was(httpserver: HTTPServer, quick: None) -> None:
    asked: list[str | None] = []

    def stream(request: Request) -> Response:
        asked.append(request.headers.get("Last-Event-ID"))
        if len(asked) == 2:
            return Response(json.dumps({"detail": "away", "code": "x"}), 503, content_type="application/json")
        event: dict[str, Any] = {"eventName": "asset-created", "guid": "g", "assetId": len(asked)}
        data = json.dumps({"topic": ASSETS, "sequence": len(asked), "event": event})
        gap = (
            'event: gap\ndata: {"topic": "asset-operations", "reason": "fell_behind", "from": 2, "to": 4}\n\n'
        )
        text = f"id: e:{len(asked)}\ndata: {data}\n\n" + gap * (len(asked) == 3)
        return Response(text, content_type="text/event-stream")

    httpserver.expect_request("/api/events/stream").respond_with_handler(stream)
    command = ["--url", httpserver.url_for(""), "events", "follow", "--count", "3"]
    result = CliRunner().invoke(main, command)
    assert result.exit_code == 0, result.output
    assert asked == [None, "e:1", "e:1", "e:3"]
    assert "#1" in result.stdout
    assert "#4" in result.stdout
    assert "missed (fell_behind): 2 to 4" in result.stderr


def test_following_ends_where_it_may_not_begin(httpserver: HTTPServer, quick: None) -> None:
    httpserver.expect_request("/api/events/stream").respond_with_json({"detail": "no", "code": "gone"}, 400)
    result = CliRunner().invoke(main, ["--url", httpserver.url_for(""), "events", "follow", "player-events"])
    assert result.exit_code == 1
    assert "no" in result.stderr


def test_blocks_are_read_as_an_event_source_reads_them() -> None:
    lines = [
        "retry: 5",
        ": comment",
        "id: 1",
        "",
        "event: gap",
        "data: a",
        "data:b",
        "",
        "id: 2",
        "data: {}",
        "",
        "data: cut",
    ]
    assert list(messages(lines)) == [
        Message("message", "", "1"),
        Message("gap", "a\nb", None),
        Message("message", "{}", "2"),
    ]
