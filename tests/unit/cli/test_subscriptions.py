"""The commands of subscriptions: what each asks the API, what it shows, and how it exits."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from pytest_httpserver import HTTPServer

from app.cli.root import main
from tests.unit.cli.conftest import TOKEN

Run = Callable[..., Result]
ID = "5" * 32
API = "/api/subscriptions"
SECRET = "whsec_" + "s" * 40


@pytest.fixture
def run(httpserver: HTTPServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("MEDIAOPS_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("MEDIAOPS_API_TOKEN", TOKEN)

    def invoke(*args: str, exits: int = 0) -> Result:
        result = CliRunner().invoke(main, ["--url", httpserver.url_for(""), "subscriptions", *args])
        assert result.exit_code == exits, result.output
        return result

    return invoke


def subscription(**more: Any) -> dict[str, Any]:
    return {
        "id": ID, "name": "Newsroom", "topics": [{"topic": "asset-operations"}], "ordered": True, "inFlight": 1,
        "sink": {"type": "webhook", "url": "https://example.com/hook", "headers": {"X-Key": None}}, "start": "now",
        "revision": 3, "state": "active", "lag": {"events": 12, "seconds": 300.5}, "counters": {"delivered": 7},
        "parked": 2, "lastError": {"code": "timeout", "detail": "No answer."},
    } | more  # fmt: skip


def test_a_new_subscription_prints_its_secret_once(run: Run, httpserver: HTTPServer, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("value of the header\n")
    wanted = {
        "topics": [
            {"topic": "asset-operations", "eventNames": ["asset-created", "asset-deleted"]},
            {"topic": "category-operations"},
        ],
        "sink": {
            "type": "webhook",
            "url": "https://example.com/hook",
            "headers": {"X-Key": "value of the header", "X-Team": "live=1"},
        },
        "start": "beginning",
        "inFlight": 4,
        "ordered": False,
    }
    httpserver.expect_request(API, method="POST", json=wanted).respond_with_json(
        subscription(secret=SECRET), 201
    )
    options = ["--topic", "asset-operations:asset-created,asset-deleted", "--topic", "category-operations"]
    options += ["--webhook", "https://example.com/hook", "--header", f"X-Key=@{tmp_path / 'key'}"]
    options += [
        "--header",
        "X-Team=live=1",
        "--start",
        "beginning",
        "--unordered",
        "--in-flight",
        "4",
    ]
    result = run("create", *options)
    assert (result.stdout.strip(), ID in result.stderr) == (SECRET, True)


def test_other_sinks_and_a_file(run: Run, httpserver: HTTPServer, tmp_path: Path) -> None:
    sink = {"type": "sns", "topicArn": "arn:aws:sns:eu-west-1:1:t", "region": "eu-west-1"}
    wanted = {"topics": [{"topic": "sync-operations"}], "sink": sink, "name": "queue"}
    made = subscription(sink=sink)
    httpserver.expect_request(API, method="POST", json=wanted).respond_with_json(made, 201)
    options = ("--topic", "sync-operations", "--sns", sink["topicArn"], "--region", "eu-west-1")
    assert run("create", *options, "--name", "queue").stdout.strip() == ID
    (tmp_path / "config").write_text(json.dumps(wanted | {"name": "from a file"}))
    assert run("create", "--file", str(tmp_path / "config"), "--name", "queue").stdout.strip() == ID


@pytest.mark.parametrize(
    "options",
    [
        (),
        ("--topic", "t"),
        ("--webhook", "https://example.com"),
        ("--topic", "t", "--webhook", "https://example.com", "--kinesis", "s"),
        ("--topic", "t", "--webhook", "https://example.com", "--header", "nothing"),
        ("--topic", "t", "--webhook", "https://example.com", "--header", "X=@/no/such/file"),
    ],
)
def test_half_a_subscription_is_wrong_usage(run: Run, httpserver: HTTPServer, options: tuple[str]) -> None:
    run("create", *options, exits=2)
    assert not httpserver.log


def test_an_update_changes_what_it_names_and_only_what_it_has_seen(run: Run, httpserver: HTTPServer) -> None:
    before = subscription()
    wanted = {name: before[name] for name in ("topics", "ordered", "inFlight", "start")}
    wanted |= {"name": "Desk", "sink": before["sink"] | {"headers": {"X-Key": None, "X-New": "1"}}}
    httpserver.expect_request(f"{API}/{ID}", method="GET").respond_with_json(before)
    httpserver.expect_request(
        f"{API}/{ID}", method="PUT", json=wanted, headers={"If-Match": '"3"'}
    ).respond_with_json(before | {"revision": 4})
    assert "revision 4" in run("update", ID, "--name", "Desk", "--header", "X-New=1").stderr


def test_ordering_again_drops_how_many_were_in_flight(run: Run, httpserver: HTTPServer) -> None:
    before = subscription(ordered=False, inFlight=20)
    httpserver.expect_request(f"{API}/{ID}", method="GET").respond_with_json(before)
    httpserver.expect_request(f"{API}/{ID}", method="PUT").respond_with_json(before)
    run("update", ID, "--ordered")
    sent = json.loads(httpserver.log[-1][0].data)
    assert (sent["ordered"], "inFlight" in sent) == (True, False)


def test_looking(run: Run, httpserver: HTTPServer) -> None:
    listed = {"subscriptions": [subscription()], "next": None}
    httpserver.expect_request(
        API, method="GET", query_string={"state": "active", "limit": "50"}
    ).respond_with_json(listed)
    shown = run("list", "--state", "active").stdout
    assert "12 events, 5 min" in shown
    assert "https://example.com/hook" in shown
    assert json.loads(run("list", "--state", "active", "--json").stdout) == listed["subscriptions"]
    httpserver.expect_request(f"{API}/{ID}").respond_with_json(subscription())
    assert "Newsroom" in run("show", ID).stdout
    entry = {
        "id": "1-0", "at": "2026-11-21T19:30:00Z", "outcome": "failed", "topic": "asset-operations", "sequence": 5,
        "attempt": 2, "status": 503, "latencyMs": 17, "error": {"code": "server_error", "detail": "It said 503."},
    }  # fmt: skip
    httpserver.expect_request(
        f"{API}/{ID}/deliveries", query_string={"outcome": "failed", "limit": "50"}
    ).respond_with_json({"deliveries": [entry], "next": None})
    assert "server_error: It said 503." in run("deliveries", ID, "--outcome", "failed").stdout


def test_operating(run: Run, httpserver: HTTPServer) -> None:
    for verb in ("pause", "resume"):
        httpserver.expect_request(f"{API}/{ID}/{verb}", method="POST").respond_with_json(subscription())
    httpserver.expect_request(f"{API}/{ID}", method="DELETE").respond_with_json({"id": ID})
    assert "resume" in run("pause", ID).stderr
    assert "goes on" in run("resume", ID).stderr
    assert "deleted" in run("delete", ID, "--yes").stderr
    run("delete", ID, exits=1)  # nobody said yes


@pytest.mark.parametrize(("delivered", "code"), [(True, 0), (False, 1)])
def test_a_test_event_exits_by_its_outcome(
    run: Run, httpserver: HTTPServer, delivered: bool, code: int
) -> None:
    answer = {"delivered": delivered, "status": 200 if delivered else 500, "latencyMs": 3, "answer": "ok"}
    httpserver.expect_request(f"{API}/{ID}/test", method="POST").respond_with_json(answer)
    assert str(answer["status"]) in run("test", ID, exits=code).stdout


def test_a_replay_is_followed_to_its_end_or_cancelled(run: Run, httpserver: HTTPServer) -> None:
    operation = {"id": "op", "state": "running", "done": 0, "total": 9}
    since = {"since": "2026-11-21T19:30:00Z"}
    httpserver.expect_request(f"{API}/{ID}/replay", method="POST", json=since).respond_with_json(
        operation, 202
    )
    httpserver.expect_oneshot_request(f"{API}/{ID}/replay/op").respond_with_json(operation | {"done": 4})
    httpserver.expect_request(f"{API}/{ID}/replay/op", method="GET").respond_with_json(
        operation | {"done": 9, "state": "done"}
    )
    httpserver.expect_request(f"{API}/{ID}/replay/op", method="DELETE").respond_with_json(
        operation | {"state": "cancelled"}
    )
    assert json.loads(run("replay", ID, "--since", since["since"], "--json").stdout)["done"] == 9
    assert run("replay", ID, "--since", since["since"], "--no-wait").stdout.strip() == "op"
    assert "cancelled" in run("replay", ID, "--cancel", "op").stdout
    lost = {
        "missedEvents": 3, "missed": [{"topic": "asset-operations", "from": 4, "to": 6}], "reachesBackTo": "2026-11-21T20:00:00Z"
    }  # fmt: skip
    httpserver.clear()
    httpserver.expect_request(f"{API}/{ID}/replay", method="POST").respond_with_json(
        operation | {"state": "done", "done": 6} | lost, 202
    )
    told = run("replay", ID, "--since", since["since"])
    assert "missed" in told.stdout
    assert "4 to 6 of asset-operations" in told.stderr
    assert "20:00:00Z only" in told.stderr
    run("replay", ID, exits=2)


def test_parked_events_one_or_all(run: Run, httpserver: HTTPServer) -> None:
    entry = {
        "id": "asset-operations:5", "topic": "asset-operations", "sequence": 5, "eventName": "asset-created",
        "guid": "g", "parkedAt": "2026-11-21T19:30:00Z", "error": {"code": "refused", "detail": "It said 400."},
    }  # fmt: skip
    httpserver.expect_request(f"{API}/{ID}/parked", method="GET").respond_with_json(
        {"parked": [entry], "next": None}
    )
    httpserver.expect_request(f"{API}/{ID}/parked/asset-operations:5/retry", method="POST").respond_with_json(
        {"changed": 1}
    )
    httpserver.expect_request(f"{API}/{ID}/parked/discard", method="POST").respond_with_json({"changed": 40})
    assert "It said 400." in run("parked", ID).stdout
    assert "1 will be delivered again" in run("parked", ID, "asset-operations:5", "--retry").stderr
    assert json.loads(run("parked", ID, "--all", "--discard", "--json").stdout) == {"changed": 40}
    for wrong in (["--retry"], ["asset-operations:5"], ["asset-operations:5", "--all", "--retry"]):
        run("parked", ID, *wrong, exits=2)


def test_a_rotated_secret_is_printed_once(run: Run, httpserver: HTTPServer) -> None:
    made = {"secret": SECRET, "previousValidUntil": "2026-11-22T19:30:00Z"}
    httpserver.expect_request(
        f"{API}/{ID}/secret/rotate", method="POST", json={"overlapSeconds": 60}
    ).respond_with_json(made)
    result = run("rotate-secret", ID, "--overlap", "60")
    assert (result.stdout.strip(), "2026-11-22" in result.stderr) == (SECRET, True)


def test_encrypting_anew_says_what_was_done_and_whose_key_is_missing(
    run: Run, httpserver: HTTPServer
) -> None:
    done = {"changed": 2, "unchanged": 1, "unreadable": []}
    httpserver.expect_ordered_request(f"{API}/reencrypt", method="POST").respond_with_json(done)
    assert "2 encrypted under the newest key, 1 were already" in run("reencrypt").stderr
    httpserver.expect_ordered_request(f"{API}/reencrypt", method="POST").respond_with_json(
        done | {"unreadable": [ID]}
    )
    assert ID in run("reencrypt", exits=1).stderr
