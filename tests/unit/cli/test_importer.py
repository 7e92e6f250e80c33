"""Importing files: bounded calls, bad rows told one by one, nothing lost when the API goes away."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from app.cli import importer
from app.cli.importer import STDIN, import_files, register_all
from app.client import ApiClient, ApiRefused, Patience

Handler = Callable[[Request], Response]


def answering(*, bad: dict[str, dict[str, Any]] | None = None) -> tuple[list[list[Any]], Handler]:
    """A messages endpoint that takes everything but the ids in `bad`."""
    calls: list[list[Any]] = []

    def answer(request: Request) -> Response:
        messages = request.get_json()["messages"]
        calls.append(messages)
        results = [
            {"index": at, "status": 200, "requestIds": ["r"]} | (bad or {}).get(str(one.get("id")), {})
            for at, one in enumerate(messages)
        ]
        return Response(json.dumps({"results": results}), mimetype="application/json")

    return calls, answer


def impatient() -> Patience:
    return Patience(0, wait=lambda _s: None)


def ndjson(path: Path, count: int) -> Path:
    path.write_text("".join(f'{{"type":"event","id":"e{n}","body":{{}}}}\n' for n in range(count)))
    return path


def test_rows_go_out_in_bounded_calls(
    client: ApiClient, httpserver: HTTPServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls, answer = answering()
    httpserver.expect_request(importer.MESSAGES).respond_with_handler(answer)
    monkeypatch.setattr(importer, "MAX_ROWS", 4)
    report = import_files(client, [ndjson(tmp_path / "a", 10), ndjson(tmp_path / "b", 1)])
    assert [len(call) for call in calls] == [4, 4, 3]
    assert (report.rows, report.accepted, report.queued, report.exit_code) == (11, 11, 11, 0)
    monkeypatch.setattr(importer, "MAX_BYTES", 100)
    import_files(client, [tmp_path / "a"])
    assert all(len(call) <= 3 for call in calls[3:])


def test_bad_rows_are_told_by_file_line_and_field(
    client: ApiClient, httpserver: HTTPServer, tmp_path: Path
) -> None:
    details = ("messages[1].body.eventEnd: Not a time.", "messages[1].body.x: Unknown field.")
    errors = [{"title": "Bad Request", "detail": detail} for detail in details]
    wrong = {"status": 400, "field": "messages[1].body.eventEnd", "errors": errors}
    stale = {"status": 409, "errors": [{"title": "Conflict", "detail": "Older than stored."}]}
    _, answer = answering(bad={"e1": wrong, "e2": stale})
    httpserver.expect_request(importer.MESSAGES).respond_with_handler(answer)
    file = ndjson(tmp_path / "plan", 3)
    file.write_text(file.read_text() + '{"id":\n7\n')
    report = import_files(client, [file, tmp_path / "missing"])
    assert [str(bad) for bad in sorted(report.bad, key=lambda bad: (bad.file, bad.line))] == [
        f"{tmp_path}/missing:0: The file can't be read (No such file or directory).",
        f"{file}:2: e1: body.eventEnd: Not a time.",
        f"{file}:2: e1: body.x: Unknown field.",
        f"{file}:3: e2: Older than stored.",
        f"{file}:4: The row is not valid JSON (line 1, column 7: Expecting value).",
        f"{file}:5: A row must be a JSON object.",
    ]
    assert (report.accepted, report.exit_code) == (1, 1)
    assert report.as_json()["bad"][0]["line"]


def test_a_call_refused_as_a_whole_is_halved_to_the_row_to_blame(
    client: ApiClient, httpserver: HTTPServer, tmp_path: Path
) -> None:
    _, take = answering()

    def answer(request: Request) -> Response:
        if b'"e5"' in request.get_data():
            return Response('{"detail": "Too large."}', 413, mimetype="application/problem+json")
        return take(request)

    httpserver.expect_request(importer.MESSAGES).respond_with_handler(answer)
    report = import_files(client, [ndjson(tmp_path / "a", 9)])
    assert (report.accepted, [(bad.line, bad.status) for bad in report.bad]) == (8, [(6, 413)])


def test_an_api_that_stays_away_leaves_the_rest_unsent_and_says_where(
    client: ApiClient, httpserver: HTTPServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importer, "MAX_ROWS", 2)
    _, answer = answering()
    httpserver.expect_ordered_request(importer.MESSAGES).respond_with_handler(answer)
    httpserver.expect_ordered_request(importer.MESSAGES).respond_with_json({"detail": "Away."}, status=503)
    file = ndjson(tmp_path / "a", 7)
    report = import_files(client, [file], patience=impatient())
    assert (report.accepted, report.unsent, report.first_unsent) == (2, 5, f"{file}:3")
    assert (str(report.stopped), report.exit_code) == ("Away.", 1)


def test_a_token_that_is_refused_stops_the_import_at_once(
    client: ApiClient, httpserver: HTTPServer, tmp_path: Path
) -> None:
    httpserver.expect_oneshot_request(importer.MESSAGES).respond_with_json({"detail": "No."}, status=403)
    report = import_files(client, [ndjson(tmp_path / "a", 500)])
    assert (report.accepted, report.unsent, report.exit_code) == (0, 500, 2)
    assert isinstance(report.stopped, ApiRefused)


def test_stdin_and_shifted_times(client: ApiClient, httpserver: HTTPServer) -> None:
    calls, answer = answering()
    httpserver.expect_request(importer.MESSAGES).respond_with_handler(answer)
    given = io.BytesIO(b'[{"id": "e", "body": {"eventEnd": "2026-11-21T21:00:00+01:00"}}]')
    assert import_files(client, [STDIN], stdin=given, shift_days=7).exit_code == 0
    assert calls[0][0]["body"] == {"eventEnd": "2026-11-28T21:00:00+01:00"}


def test_registrations_are_made_one_by_one(client: ApiClient, httpserver: HTTPServer, tmp_path: Path) -> None:
    def answer(request: Request) -> Response:
        if request.args["livestreamId"] == "unknown":
            return Response('{"detail": "Livestream not found"}', 404, mimetype="application/problem+json")
        body = json.dumps({"contentMediaId": request.get_json()["contentMediaId"], "requestIds": ["1", "2"]})
        return Response(body, 201, mimetype="application/json")

    httpserver.expect_request(importer.REGISTRATIONS, method="POST").respond_with_handler(answer)
    file = tmp_path / "r.json"
    pairs = [("a b/ü", "C1"), ("unknown", "C2"), ("l", None), ("last", "C3")]
    listed = [{"livestreamId": livestream, "contentMediaId": media} for livestream, media in pairs]
    file.write_text(json.dumps({"registrations": listed, "refused": listed}, indent=0))
    report = register_all(client, file)
    assert (report.accepted, report.queued) == (2, 4)
    assert [(bad.id, bad.field, bad.detail, bad.status) for bad in report.bad] == [
        ("C2", None, "Livestream not found", 404),
        (None, "contentMediaId", "Must be there, as a string.", None),
    ]


def test_rows_that_the_api_had_no_store_for_are_sent_again_alone(
    client: ApiClient, httpserver: HTTPServer, tmp_path: Path
) -> None:
    away = {
        "status": 503,
        "retryAfter": 2,
        "errors": [{"title": "t", "detail": "The store is not reachable."}],
    }
    first, broken = answering(bad={"e2": away, "e3": away})
    second, whole = answering()
    httpserver.expect_ordered_request(importer.MESSAGES).respond_with_handler(broken)
    httpserver.expect_ordered_request(importer.MESSAGES).respond_with_handler(whole)
    pauses: list[float] = []
    report = import_files(client, [ndjson(tmp_path / "a", 4)], patience=Patience(60, wait=pauses.append))
    assert (report.accepted, report.exit_code, pauses) == (4, 0, [2])
    assert [one["id"] for one in second[0]] == ["e2", "e3"]
    keys = {request.headers["Idempotency-Key"] for request, _ in httpserver.log}
    assert len(keys) == 2  # another body needs another key

    httpserver.expect_request(importer.MESSAGES).respond_with_handler(broken)
    report = import_files(client, [ndjson(tmp_path / "a", 4)], patience=impatient())
    assert (report.accepted, report.unsent, report.first_unsent) == (2, 2, f"{tmp_path}/a:3")
    assert (report.exit_code, len(first[0])) == (1, 4)
