"""The commands against the real API on a real server, over HTTP: names and shapes agree on both sides."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from structlog.testing import capture_logs

from app.cli.importer import register
from app.cli.root import main
from app.client import ApiClient, ApiRefused
from app.settings import Settings
from tests.expectations.sample_expectations import SAMPLE, SampleExpectations
from tests.integration.served import Served

TOKEN = "test-token-" + "0" * 32
Run = Callable[..., Result]


@pytest.fixture
def url(settings: Settings) -> Iterator[str]:
    served = Served(settings)
    with capture_logs():  # the API runs in this process: its log would stand among what the commands print
        yield served.start()
        served.stop()


@pytest.fixture
def run(url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    monkeypatch.setenv("MEDIAOPS_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("MEDIAOPS_API_TOKEN", TOKEN)

    def invoke(*args: str, exits: int = 0) -> Result:
        result = CliRunner().invoke(main, ["--url", url, *args])
        assert result.exit_code == exits, result.output
        assert TOKEN not in result.output
        return result

    return invoke


@pytest.fixture
def sample(run: Run) -> SampleExpectations:
    """The sample plan imported and registered. No worker runs: what is queued stays pending."""
    run("import", str(SAMPLE / "plan.ndjson"))
    run("register", str(SAMPLE / "registrations.json"))
    return SampleExpectations()


def read(result: Result) -> Any:
    return json.loads(result.stdout)


def test_the_sample_plan_goes_in_whole_and_what_must_be_refused_is(
    sample: SampleExpectations, run: Run, url: str
) -> None:
    client = ApiClient(url, TOKEN)
    for one in sample.refused:
        with pytest.raises(ApiRefused) as caught:
            register(client, one.livestream_id, one.content_media_id)
        assert caught.value.status == one.status
        assert one.detail in (None, caught.value.detail)
    answers = client.post("/api/custom/messages", {"messages": sample.changes})["results"]
    assert [answer["status"] for answer in answers] == [row.status for row in sample.answers]
    for answer, row, message in zip(answers, sample.answers, sample.changes, strict=True):
        assert row.queues in (None, bool(answer.get("requestIds"))), message["id"]
    again = run("import", str(SAMPLE / "plan.ndjson"))
    assert f"{len(sample.plan)} rows: {len(sample.plan)} accepted" in again.stderr
    late = run("import", str(SAMPLE / "changes.ndjson"), exits=1)
    assert "case-change-stale" in late.stderr
    client.close()


def test_looking_at_the_fleet(sample: SampleExpectations, run: Run) -> None:
    found = read(run("status", "--json"))
    failing = sum(bool(shown.rejected) for shown in sample.registered.values())
    assert found["contentmedia"] == {
        "in_step": 0, "behind": len(sample.registered) - failing, "failing": failing, "orphaned": 0,
    }  # fmt: skip
    assert found["requests"]["rejected"]["count"] == failing
    assert "oldest" in run("status").stdout

    rejected = read(run("requests", "list", "--state", "rejected", "--json"))
    assert {one["contentMediaId"] for one in rejected} == {
        m for m, shown in sample.registered.items() if shown.rejected
    }
    assert "no_dmhe_resource" in run("requests", "list", "--error", "no_dmhe_resource").stdout
    assert "no_dmhe_resource" in run("requests", "show", rejected[0]["id"]).stdout
    assert len(read(run("requests", "list", "--limit", "7", "--json"))) == 7

    listed = read(run("contentmedia", "list", "--limit", "1000", "--json"))
    assert {one["contentMediaId"] for one in listed} == set(sample.registered)
    assert "CM-no-nodes-0" in run("contentmedia", "list", "--state", "failing").stdout
    assert "case-odd" not in run("contentmedia", "list", "--name", "canceled newer").stdout


def test_ids_with_every_character_are_found(sample: SampleExpectations, run: Run) -> None:
    odd = "CM odd/Ünï & 100%:#?1"
    for identifier in (odd, "case/odd ids & ümläut:100%2F?#1", "job {odd}/../\\x", "Live Stream+ü/1&x=2"):
        assert run("why", identifier).stdout.strip()
    assert read(run("timeline", odd, "--json"))
    assert "is held." in run("contentmedia", "hold", odd).stderr
    assert "is held already" in run("contentmedia", "hold", odd).stderr
    assert "holds" in run("why", odd).stdout
    assert "goes on" in run("contentmedia", "release", odd).stderr
    assert len(read(run("update", odd, "--json"))["requestIds"]) == 2
    run("why", "nothing-has-this-id", exits=1)
    run("update", "nothing-has-this-id", exits=1)


def test_acting_on_requests_and_destinations(sample: SampleExpectations, run: Run) -> None:
    assert sample.registered
    first, second = read(run("requests", "list", "--state", "pending", "--limit", "2", "--json"))
    assert read(run("requests", "discard", first["id"], "--json"))[0]["state"] == "discarded"
    assert "can't be" in run("requests", "retry", second["id"], exits=1).stderr
    assert read(run("requests", "retry", first["id"], "--json"))[0]["state"] == "pending"
    operation = run("requests", "discard", "--state", "pending", "--yes", "--no-wait").stdout.strip()
    assert (
        read(run("requests", "operation", operation, "--json"))["state"] == "running"
    )  # no tick works on it here
    run("requests", "discard", "--all", "--yes", exits=1)

    run("destinations", "pause", "avos")
    assert read(run("destinations", "list", "--json"))[0]["state"] == "paused"
    assert "paused" in run("destinations", "list").stdout
    run("destinations", "resume", "avos")
    run("destinations", "pause", "elsewhere", exits=1)


def test_tokens_have_only_their_scopes(run: Run, tmp_path: Path) -> None:
    made = read(run("tokens", "create", "looker", "--scope", "read", "--json"))
    (tmp_path / "looker").write_text(made["token"])
    assert made["token"] not in run("tokens", "list").output
    looker = ("--token-file", str(tmp_path / "looker"))
    run(*looker, "destinations", "list")
    assert "tokens create" in run(*looker, "destinations", "pause", "avos", exits=1).stderr
    run("tokens", "revoke", made["id"])
    assert read(run("tokens", "list", "--json")) == []
    assert "knows" in run(*looker, "destinations", "list", exits=1).stderr


def test_the_life_of_a_subscription(run: Run, tmp_path: Path) -> None:
    """No worker runs: what is published waits."""
    options = (
        "--topic",
        "asset-operations:asset-created",
        "--webhook",
        "https://1.1.1.1/hook",
        "--header",
        "X-Key=v1",
    )
    made = read(run("subscriptions", "create", *options, "--name", "Newsroom", "--json"))
    assert "isn't shown again" in run("subscriptions", "create", *options).stderr
    one = made["id"]
    assert "Newsroom" in run("subscriptions", "list").stdout
    assert len(read(run("subscriptions", "list", "--limit", "1", "--json"))) == 1
    changed = read(
        run("subscriptions", "update", one, "--name", "Desk", "--unordered", "--in-flight", "3", "--json")
    )
    assert (changed["name"], changed["inFlight"], changed["revision"]) == ("Desk", 3, 2)
    assert changed["sink"]["headers"] == {"X-Key": None}
    refused = run("subscriptions", "update", one, "--webhook", "https://8.8.8.8/hook", exits=1)
    assert "another host" in refused.stderr
    refused = run("subscriptions", "create", "--topic", "player-events", "--kinesis", "s", exits=1)
    assert "is gone" in refused.stderr
    assert "resume" in run("subscriptions", "pause", one).stderr
    assert read(run("subscriptions", "list", "--state", "paused", "--json"))[0]["id"] == one
    assert "paused" in run("why", one).stdout
    run("subscriptions", "resume", one)
    assert read(run("subscriptions", "deliveries", one, "--json")) == []
    assert read(run("subscriptions", "parked", one, "--json")) == []
    assert read(run("subscriptions", "parked", one, "--all", "--retry", "--json")) == {"changed": 0}
    replay = read(run("subscriptions", "replay", one, "--since", "2026-01-01T00:00:00Z", "--json"))
    assert (replay["state"], replay["total"]) == ("done", 0)
    rotated = run("subscriptions", "rotate-secret", one).stdout.strip()
    assert rotated.startswith("whsec_")
    assert rotated not in run("subscriptions", "show", one).output
    assert "MEDIAOPS_SECRETS_KEY_FILE" in run("subscriptions", "reencrypt", exits=1).stderr
    run("subscriptions", "delete", one, "--yes")
    assert "no such subscription" in run("subscriptions", "show", one, exits=1).stderr


def test_bad_rows_are_told_with_their_fields(run: Run, tmp_path: Path) -> None:
    rows = (
        '{"type":"event","id":"e1","body":{"name":"A","livestreams":[{"livestreamId":"L","preKoUtc":"soon"}]}}',
        '{"type":"event","id":"e2","body":{"name":"B","livestreams":[]}}',
        '{"type":"show","id":"e3","body":{}}',
        '{"type":"job","id":"j1","body":{"eventId":7,"extra":1}}',
        '{"type":"job","id":"..","body":{"eventId":"e2"}}',
        "[" * 60,
        "[1]",
    )
    file = tmp_path / "rows"
    file.write_text("\n".join(rows))
    report = read(run("import", str(file), "--json", exits=1))
    assert report["accepted"] == 1
    assert sorted({(bad["line"], bad["field"]) for bad in report["bad"]}, key=str) == [
        (1, "body.livestreams[0].preKoUtc"), (3, "type"), (4, "body.eventId"), (4, "body.extra"), (5, "id"),
        (6, None), (7, None),
    ]  # fmt: skip
