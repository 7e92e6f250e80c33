"""The commands: what each asks the API, what it shows, and how it exits."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from pytest_httpserver import HTTPServer

from app.cli.root import main
from app.settings import own_command
from tests.unit.cli.conftest import TOKEN

Run = Callable[..., Result]
API = "/api/custom"


@pytest.fixture
def run(httpserver: HTTPServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("MEDIAOPS_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("MEDIAOPS_API_TOKEN", TOKEN)

    def invoke(*args: str, stdin: str | None = None) -> Result:
        result = CliRunner().invoke(main, ["--url", httpserver.url_for(""), *args], input=stdin)
        assert TOKEN not in result.output
        return result

    return invoke


def record(number: int, **more: Any) -> dict[str, Any]:
    return {
        "id": f"{number:032x}", "state": "failed", "method": "PATCH", "kind": "booking", "contentMediaId": f"CM-{number}",
        "path": f"/external/contentMedia/live/CM-{number}", "attemptCount": 3, "createdAt": "2026-11-21T19:30:00Z",
        "nextTryAt": None, "error": {"code": "timeout", "detail": "No answer."}, "attempts": [],
    } | more  # fmt: skip


@pytest.mark.parametrize(("limit", "said"), [("2", True), ("3", False)])
def test_a_listing_that_was_cut_off_says_so(run: Run, httpserver: HTTPServer, limit: str, said: bool) -> None:
    httpserver.expect_request(f"{API}/requests").respond_with_json(
        {"requests": [record(1), record(2)], "next": None}
    )
    shown = run("requests", "list", "--limit", limit)
    assert ("The newest 2; --limit shows more." in shown.output) is said


def test_a_listing_is_a_table_or_one_json_document(run: Run, httpserver: HTTPServer) -> None:
    found = [record(1), record(2, contentMediaId="CM-\x1b[31mred")]
    wanted = {"state": "failed", "contentMediaId": "a/b", "error": "timeout", "limit": "50"}
    httpserver.expect_request(f"{API}/requests", query_string=wanted).respond_with_json(
        {"requests": found, "next": None}
    )
    options = ("requests", "list", "--state", "failed", "--content-media", "a/b", "--error", "timeout")
    shown = run(*options)
    assert shown.exit_code == 0, shown.output
    assert "CM-1" in shown.stdout
    assert "\x1b" not in shown.stdout  # nobody's id steers the terminal
    assert json.loads(run(*options, "--json").stdout) == found


def test_one_request_with_its_attempts(run: Run, httpserver: HTTPServer) -> None:
    attempt = {
        "at": "2026-11-21T19:31:00Z",
        "send": {"status": 503},
        "outcome": "failed",
        "error": "server_error",
    }
    httpserver.expect_request(f"{API}/requests/abc").respond_with_json(record(1, attempts=[attempt]))
    shown = run("requests", "show", "abc").stdout
    assert "server_error" in shown
    assert "attempt 1" in shown


def test_retry_of_some_tells_which_were_refused(run: Run, httpserver: HTTPServer) -> None:
    problem = {"detail": "A request that is live can't be retried.", "code": "not_allowed_in_state"}
    httpserver.expect_request(f"{API}/requests/a/retry", method="POST").respond_with_json(
        record(1, state="pending"), 202
    )
    httpserver.expect_request(f"{API}/requests/b/retry", method="POST").respond_with_json(problem, 409)
    result = run("requests", "retry", "b", "a")
    assert (result.exit_code, "can't be retried" in result.stderr, "pending" in result.stdout) == (
        1,
        True,
        True,
    )


def test_retry_of_all_that_match_is_followed_to_its_end(run: Run, httpserver: HTTPServer) -> None:
    operation = {"id": "op", "state": "running", "changed": 0, "refused": 0}
    httpserver.expect_request(
        f"{API}/requests/retry", method="POST", json={"state": "failed"}
    ).respond_with_json(operation, 202)
    httpserver.expect_oneshot_request(f"{API}/operations/op").respond_with_json(operation | {"changed": 7})
    httpserver.expect_request(f"{API}/operations/op").respond_with_json(
        operation | {"changed": 12, "refused": 1, "state": "done"}
    )
    assert json.loads(run("requests", "retry", "--state", "failed", "--json").stdout)["changed"] == 12
    assert run("requests", "retry", "--state", "failed", "--no-wait").stdout.strip() == "op"
    assert "done" in run("requests", "operation", "op", "--wait").stdout


def test_all_of_them_is_never_meant_by_accident(run: Run, httpserver: HTTPServer) -> None:
    assert run("requests", "retry").exit_code == 2
    assert run("requests", "retry", "abc", "--all").exit_code == 2
    assert run("requests", "discard", "--state", "failed", stdin="n\n").exit_code == 1
    assert not httpserver.log


def test_ids_travel_whole(run: Run, httpserver: HTTPServer) -> None:
    httpserver.expect_request(f"{API}/contentmedia/CM odd/Ü%:#?1/hold", method="POST").respond_with_json(
        {"contentMediaId": "x", "held": True, "changed": True}
    )
    result = run("contentmedia", "hold", "CM odd/Ü%:#?1")
    assert (result.exit_code, result.stderr.strip()) == (0, "CM odd/Ü%:#?1 is held.")


def test_release_says_when_nothing_was_held(run: Run, httpserver: HTTPServer) -> None:
    httpserver.expect_request(f"{API}/contentmedia/c/release", method="POST").respond_with_json(
        {"changed": False}
    )
    assert "was not held" in run("contentmedia", "release", "c").stderr


def test_the_fleet_and_one_timeline(run: Run, httpserver: HTTPServer) -> None:
    member = {
        "contentMediaId": "C1", "state": "in_step", "held": False, "missing": None, "livestreamId": "L1",
        "eventName": "Home - [bold]Away", "preKoUtc": "2026-11-21T19:30:00Z",
    }  # fmt: skip
    httpserver.expect_request(
        f"{API}/contentmedia", query_string={"state": "in_step", "limit": "50"}
    ).respond_with_json({"contentmedia": [member], "next": None})
    entry = {"at": "2026-11-21T19:30:00Z", "what": "delivered", "detail": {"requestId": "r1"}}
    httpserver.expect_request(f"{API}/contentmedia/C1/timeline").respond_with_json(
        {"timeline": [entry], "next": None}
    )
    assert "Home - [bold]Away" in run("contentmedia", "list", "--state", "in_step").stdout
    assert "requestId r1" in run("timeline", "C1").stdout
    assert json.loads(run("timeline", "C1", "--json").stdout) == [entry]


def test_why_says_what_it_is_since_when_what_comes_next_and_what_to_do(
    run: Run, httpserver: HTTPServer
) -> None:
    cause = {
        "code": "paused",
        "says": "It is paused.",
        "since": "2026-11-21T19:30:00Z",
        "next": "Nothing.",
        "todo": "`resume`.",
    }
    finding = {"kind": "request", "about": ["It waits."], "causes": [cause], "see": "/x"}
    httpserver.expect_request(f"{API}/why/r1").respond_with_json({"id": "r1", "findings": [finding]})
    said = run("why", "r1").stdout
    assert said.startswith("It waits.")
    for words in ("It is paused.", "2026-11-21T19:30:00Z (", "Nothing.", "`resume`."):
        assert words in said


def test_a_forced_update_can_be_waited_for(run: Run, httpserver: HTTPServer) -> None:
    httpserver.expect_request(
        f"{API}/livestreams/update", query_string={"contentMediaId": "c"}
    ).respond_with_json({"requestIds": ["r1", "r2"]}, 202)
    for request_id in ("r1", "r2"):
        httpserver.expect_request(
            f"{API}/requests/{request_id}", query_string={"wait": "20"}
        ).respond_with_json(record(1, id=request_id, state="delivered"))
    assert json.loads(run("update", "c", "--json").stdout) == {"requestIds": ["r1", "r2"]}
    assert run("update", "c", "--wait", "20").stdout.count("delivered") == 2


def test_status_puts_the_numbers_together(run: Run, httpserver: HTTPServer) -> None:
    metrics = (
        '# TYPE mediaops_requests gauge\nmediaops_requests{state="failed"} 4.0\n'
        "# TYPE mediaops_oldest_request_age_seconds gauge\n"
        'mediaops_oldest_request_age_seconds{state="failed"} 7200.5\n'
        "# TYPE mediaops_held_lanes gauge\nmediaops_held_lanes 2.0\n"
    )
    httpserver.expect_request("/metrics").respond_with_data(metrics)
    media = [{"state": state} for state in ("in_step", "in_step", "failing")]
    httpserver.expect_request(f"{API}/contentmedia").respond_with_json({"contentmedia": media, "next": None})
    destination = {"name": "avos", "state": "paused", "runnable": 1, "live": 0, "failed": 4}
    httpserver.expect_request(f"{API}/destinations").respond_with_json(
        {"destinations": [destination], "next": None}
    )
    found = json.loads(run("status", "--json").stdout)
    assert found["contentmedia"] == {"in_step": 2, "behind": 0, "failing": 1, "orphaned": 0}
    assert found["requests"]["failed"] == {"count": 4, "oldestSeconds": 7200.5}
    assert found["requests"]["live"] == {"count": 0, "oldestSeconds": None}
    shown = run("status").stdout
    assert "2 h" in shown
    assert "2 content media are held" in shown


def test_a_destination_is_paused_and_resumed(run: Run, httpserver: HTTPServer) -> None:
    for verb in ("pause", "resume"):
        httpserver.expect_request(f"{API}/destinations/avos/{verb}", method="POST").respond_with_json(
            {"name": "avos"}
        )
        assert run("destinations", verb, "avos").exit_code == 0
    listed = {
        "name": "avos", "state": "paused", "runnable": 1, "live": 0, "failed": 4, "maxInFlight": 200,
        "pausedBy": "ops", "pausedAt": "2026-11-21T19:30:00Z",
    }  # fmt: skip
    httpserver.expect_request(f"{API}/destinations").respond_with_json(
        {"destinations": [listed], "next": None}
    )
    assert "by ops" in run("destinations", "list").stdout


def test_a_new_token_is_the_only_secret_ever_printed(run: Run, httpserver: HTTPServer) -> None:
    made = {"id": "1a", "name": "ci", "scopes": ["read"], "createdAt": "2026-11-21T19:30:00Z"}
    wanted = {"name": "ci", "scopes": ["read", "write"]}
    httpserver.expect_request("/api/tokens", method="POST", json=wanted).respond_with_json(
        made | {"token": "s" * 43}, 201
    )
    httpserver.expect_request("/api/tokens", method="GET").respond_with_json({"tokens": [made], "next": None})
    httpserver.expect_request("/api/tokens/1a", method="DELETE").respond_with_json(made)
    assert run("tokens", "create", "ci", "--scope", "read", "--scope", "write").stdout.strip() == "s" * 43
    assert "ci" in run("tokens", "list").stdout
    assert "revoked" in run("tokens", "revoke", "1a").stderr


def test_import_tells_bad_rows_and_exits_accordingly(
    run: Run, httpserver: HTTPServer, tmp_path: Path
) -> None:
    results = [{"index": 0, "status": 200, "requestIds": ["r"]}]
    httpserver.expect_request(f"{API}/messages", method="POST").respond_with_json({"results": results})
    good = '{"type":"event","id":"e1","body":{}}\n'
    (tmp_path / "good").write_text(good)
    (tmp_path / "bad").write_text("{]\n")
    whole = run("import", str(tmp_path / "good"))
    assert (whole.exit_code, "1 rows: 1 accepted; 1 requests" in whole.stderr) == (0, True)
    some = run("import", "-", stdin=good + "{]\n")
    assert (some.exit_code, "stdin:2: The row is not valid JSON" in some.stderr) == (1, True)
    assert run("import", str(tmp_path / "bad")).exit_code == 2
    assert json.loads(run("import", "--json", str(tmp_path / "bad")).stdout)["bad"][0]["line"] == 1


def test_register_one_pair_or_a_file(run: Run, httpserver: HTTPServer, tmp_path: Path) -> None:
    httpserver.expect_request(
        f"{API}/livestreams/registrations",
        method="POST",
        query_string={"livestreamId": "L"},
        json={"contentMediaId": "C"},
    ).respond_with_json({"requestIds": ["1", "2"]}, 201)
    one = run("register", "--livestream", "L", "--media", "C")
    assert (one.exit_code, one.stderr.strip()) == (0, "L is linked to C; 2 requests queued.")
    file = tmp_path / "pairs"
    file.write_text('[{"livestreamId": "L", "contentMediaId": "C"}]')
    assert "1 rows: 1 registered; 2 requests" in run("register", str(file)).stderr
    for wrong in ([], ["--livestream", "L"], [str(file), "--livestream", "L", "--media", "C"]):
        assert run("register", *wrong).exit_code == 2


def test_a_refusal_says_what_to_do(run: Run, httpserver: HTTPServer) -> None:
    problem = {"detail": "The token lacks the scope operate.", "code": "missing_scope", "field": "operate"}
    httpserver.expect_request(f"{API}/destinations").respond_with_json(problem, 403)
    result = run("destinations", "list")
    assert (result.exit_code, "lacks the scope operate" in result.stderr) == (1, True)
    assert "tokens create" in result.stderr


def test_an_api_that_is_not_there_says_what_to_do(run: Run, httpserver: HTTPServer) -> None:
    result = run("--url", "http://127.0.0.1:1", "status")
    assert (result.exit_code, f"`{own_command('up')}`" in result.stderr) == (2, True)


def test_without_a_token_it_says_where_one_is_looked_for(
    run: Run, httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("MEDIAOPS_API_TOKEN")
    result = run("status")
    assert (result.exit_code, "--token-file" in result.stderr) == (1, True)
    httpserver.expect_request(
        f"{API}/destinations", headers={"Authorization": f"Bearer {TOKEN}"}
    ).respond_with_json({"destinations": []})
    (tmp_path / "api-token").write_text(TOKEN + "\n")
    assert run("destinations", "list").exit_code == 0
    assert run("--token-file", str(tmp_path / "nothing"), "status").exit_code == 1


def test_wrong_settings_are_all_told(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDIAOPS_HTTP_PORT", "eighty")
    monkeypatch.setenv("MEDIAOPS_LOG_LEVEL", "LOUD")
    result = run("status")
    assert result.exit_code == 2
    assert "MEDIAOPS_HTTP_PORT" in result.stderr
    assert "MEDIAOPS_LOG_LEVEL" in result.stderr
