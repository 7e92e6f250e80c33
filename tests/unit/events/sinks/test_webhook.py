"""Webhooks: what is sent, what answers mean, what users may not do."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from standardwebhooks import Webhook as Verifier

from app.events.sinks import signatures
from app.events.sinks.aws import Aws
from app.events.sinks.base import Kind, Outcome, Sink
from app.events.sinks.factory import Sinks
from app.events.sinks.webhook import meaning
from app.platform.clock import to_ms, utcnow
from app.platform.errors import InvalidInput
from app.platform.guard import AddressGuard
from tests.support.receiver import Receiver, Reply
from tests.support.sinks import LOOPBACK, delivery

Build = Callable[..., Sink]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as running:
        yield running


@pytest.fixture
def build(receiver: Receiver) -> Iterator[Build]:
    made: list[Sink] = []

    def build(guard: AddressGuard = LOOPBACK, url: str = "", ordered: bool = True, **secrets: Any) -> Sink:
        sink = {"type": "webhook", "url": url or receiver.url, "headers": sorted(secrets.get("headers", ()))}
        made.append(
            Sinks(guard, Aws()).build(sink, {"signing": signatures.first(), **secrets}, ordered=ordered)
        )
        return made[-1]

    yield build
    for sink in made:
        sink.close()


def send(sink: Sink, *deliveries: Any, within: float = 10) -> list[Outcome]:
    return sink.send(list(deliveries) or [delivery(7)], time.monotonic() + within)


def test_the_body_is_the_event_and_the_headers_say_where_it_stands(receiver: Receiver, build: Build) -> None:
    event = '{"eventName":"x",  "guid": "g-ö", "n": 0.0, "e": [], "o": {}, "t":"2026-11-21T19:30:00+00:00"}'.encode()
    send(build(headers={"X-Api-Key": "k1234"}), delivery(7, event=event, previous=3, guid="g-ö"))
    (got,) = receiver.got
    assert (got.method, got.path, got.body) == ("POST", "/hook", event)
    assert got.headers["content-type"] == "application/json"
    assert got.headers["user-agent"] == "mediaops-sync"
    assert got.headers["x-api-key"] == "k1234"
    assert got.headers["x-mediaops-topic"] == "asset-operations"
    assert got.headers["x-mediaops-sequence"] == "7"
    assert got.headers["x-mediaops-previous-sequence"] == "3"
    assert got.headers["webhook-id"] == "g-%C3%B6"  # a header can't hold it as it is
    assert "x-mediaops-redelivery" not in got.headers


def test_the_standards_library_verifies_with_every_valid_secret(receiver: Receiver, build: Build) -> None:
    old = signatures.first()
    rotated = signatures.rotate(old, to_ms(utcnow()))
    send(build(signing=rotated))
    (got,) = receiver.got
    assert got.headers["webhook-id"] == "guid-7"
    for secret in (old[0]["secret"], rotated[0]["secret"]):
        assert Verifier(secret).verify(got.body, dict(got.headers))["guid"] == "guid-7"


def test_an_overlap_that_ends_while_the_sink_lives_is_noticed(receiver: Receiver, build: Build) -> None:
    ended = signatures.rotate(signatures.first(), to_ms(utcnow()) - 10_000, overlap_ms=5_000)
    send(build(signing=ended))
    assert len(receiver.got[0].headers["webhook-signature"].split(" ")) == 1


def test_a_redelivery_says_so(receiver: Receiver, build: Build) -> None:
    send(build(), delivery(1, redelivery="parked"))
    assert receiver.got[0].headers["x-mediaops-redelivery"] == "parked"


def test_a_users_user_agent_takes_the_place_of_ours(receiver: Receiver, build: Build) -> None:
    send(build(headers={"user-agent": "theirs"}))
    assert receiver.got[0].headers["user-agent"] == "theirs"


def test_the_query_is_sent_and_not_shown(receiver: Receiver, build: Build) -> None:
    receiver.answer = lambda got: Reply(400, body=f"unknown: {got.path}".encode())
    sink = build(url=f"{receiver.url}?token=sesame%2Fopen&x=1")
    (outcome,) = send(sink)
    assert receiver.got[0].path == "/hook?token=sesame%2Fopen&x=1"
    shown = f"{outcome} {sink.request_summary([delivery(1)])}"
    assert "sesame" not in shown
    assert "/hook" in shown


def test_connections_are_kept(receiver: Receiver, build: Build) -> None:
    sink = build()
    for n in range(5):
        send(sink, delivery(n))
    assert (len(receiver.got), receiver.connections) == (5, 1)


def test_a_kept_connection_that_breaks_is_replaced_at_once(receiver: Receiver, build: Build) -> None:
    sink = build()
    send(sink, delivery(1))
    replies = iter([Reply(reset=True), Reply()])
    receiver.answer = lambda _: next(replies)
    (outcome,) = send(sink, delivery(2))
    assert outcome.error is None
    assert [got.headers["webhook-id"] for got in receiver.got] == ["guid-1", "guid-2", "guid-2"]
    assert receiver.connections == 2


def test_a_new_connection_that_breaks_is_left_to_the_retries(receiver: Receiver, build: Build) -> None:
    receiver.answer = lambda _: Reply(reset=True)
    (outcome,) = send(build())
    assert outcome.error is not None
    assert outcome.error.code == "connection_reset"
    assert len(receiver.got) == 1


NOW = datetime(2026, 11, 21, 19, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (200, None, None),
        (201, None, None),
        (204, None, None),
        (299, None, None),
        (300, "redirected", Kind.RETRY),
        (301, "redirected", Kind.RETRY),
        (304, "redirected", Kind.RETRY),
        (307, "redirected", Kind.RETRY),
        (400, "refused", Kind.REFUSED),
        (401, "unauthorized", Kind.RETRY),
        (403, "forbidden", Kind.RETRY),
        (404, "not_found", Kind.RETRY),
        (405, "unexpected_status", Kind.RETRY),
        (408, "request_timeout", Kind.RETRY),
        (409, "unexpected_status", Kind.RETRY),
        (410, "gone", Kind.GONE),
        (413, "refused", Kind.REFUSED),
        (422, "refused", Kind.REFUSED),
        (429, "throttled", Kind.RETRY),
        (500, "server_error", Kind.RETRY),
        (502, "server_error", Kind.RETRY),
        (503, "unavailable", Kind.RETRY),
        (504, "server_error", Kind.RETRY),
        (599, "server_error", Kind.RETRY),
    ],
)
def test_what_answers_mean(status: int, code: str | None, kind: Kind | None) -> None:
    error = meaning(status, {}, NOW)
    assert (error.code, error.kind) == (code, kind) if error else code is None


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120),
        ("0", 0),
        (format_datetime(NOW + timedelta(seconds=90), usegmt=True), 90),
        (format_datetime(NOW - timedelta(seconds=90), usegmt=True), 0),
        ("soon", None),
        ("-5", None),
        ("", None),
    ],
)
@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_understood_in_seconds_and_as_a_date(
    status: int, value: str, seconds: float | None
) -> None:
    error = meaning(status, {"Retry-After": value}, NOW)
    assert error is not None
    assert error.retry_after_s == seconds


def test_gone_ends_the_sending(receiver: Receiver, build: Build) -> None:
    receiver.answer = lambda _: Reply(410)
    outcomes = send(build(ordered=False), delivery(1), delivery(2))
    assert [o.error.kind for o in outcomes if o.error] == [Kind.GONE, Kind.RETRY]
    assert len(receiver.got) == 1


def test_redirects_are_not_followed(receiver: Receiver, build: Build) -> None:
    with Receiver() as inner:
        receiver.answer = lambda _: Reply(307, {"Location": inner.url})
        (outcome,) = send(build())
        assert outcome.error is not None
        assert (outcome.status, outcome.error.code) == (307, "redirected")
        assert inner.connections == 0


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::ffff:127.0.0.1]", "2130706433"])
def test_a_receiver_that_may_not_be_reached_gets_no_connection(
    receiver: Receiver, build: Build, host: str
) -> None:
    (outcome,) = send(build(guard=AddressGuard(), url=f"http://{host}:{receiver.port}/"))
    assert outcome.error is not None
    assert (outcome.error.code, outcome.error.kind) == ("address_refused", Kind.RETRY)
    assert receiver.connections == 0


@pytest.mark.parametrize(
    "reply",
    [
        Reply(200, body=b"x" * 5_000, drip_s=0.01),
        Reply(500, body=b"x" * 5_000, drip_s=0.01),
        Reply(hang=True),
    ],
    ids=["drip", "drip-500", "hang"],
)
def test_the_whole_answer_must_come_in_time(receiver: Receiver, build: Build, reply: Reply) -> None:
    receiver.answer = lambda _: reply
    started = time.monotonic()
    (outcome,) = send(build(), within=0.4)
    assert time.monotonic() - started < 1
    assert outcome.error is not None
    assert (outcome.error.code, outcome.error.kind) == ("timeout", Kind.RETRY)


def test_no_request_lasts_longer_than_its_own_limit(
    receiver: Receiver, build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.events.sinks.webhook.REQUEST_S", 0.3)
    receiver.answer = lambda _: Reply(hang=True)
    started = time.monotonic()
    (outcome,) = send(build(), within=30)
    assert time.monotonic() - started < 1
    assert outcome.error is not None
    assert outcome.error.code == "timeout"


def test_a_long_answer_is_read_so_far_and_the_event_is_delivered(receiver: Receiver, build: Build) -> None:
    receiver.answer = lambda _: Reply(body=b"y" * 1_000_000)
    sink = build()
    for n in (1, 2):
        (outcome,) = send(sink, delivery(n))
        assert outcome.error is None
        assert outcome.answer == "y" * 1000


def test_a_receiver_that_repeats_what_we_sent_does_not_bring_secrets_into_the_log(
    receiver: Receiver, build: Build
) -> None:
    receiver.answer = lambda got: Reply(500, body=repr(dict(got.headers)).encode() + b"\n\x00end")
    secrets = signatures.first()
    headers = {"Authorization": "Bearer abc/def+ghi", "X-Key": 'quo"ted', "X-Short": "1"}
    (outcome,) = send(build(signing=secrets, headers=headers))
    assert "webhook-signature" in outcome.answer
    for hidden in ("abc/def+ghi", 'quo"ted', secrets[0]["secret"], "\n", "\x00"):
        assert hidden not in outcome.answer
    assert "abc" not in repr(outcome.error)


def test_the_summary_names_headers_without_their_values(build: Build) -> None:
    summary = build(headers={"X-Api-Key": "k1234"}).request_summary([delivery(1)])
    assert summary["method"] == "POST"
    assert summary["bytes"] == len(delivery(1).event)
    assert {"X-Api-Key", "webhook-id", "webhook-signature", "webhook-timestamp"} <= set(summary["headers"])
    assert "k1234" not in str(summary)


@pytest.mark.parametrize(
    "name",
    [
        "Host",
        "host",
        "Connection",
        "Keep-Alive",
        "Transfer-Encoding",
        "TE",
        "Trailer",
        "Upgrade",
        "Proxy-Authorization",
        "Content-Type",
        "Content-Length",
        "Content-Encoding",
        "Expect",
        "Webhook-Signature",
        "webhook-id",
        "X-Mediaops-Sequence",
        "x-mediaops-anything",
        "",
        "a b",
        "a:b",
        "a\r\nb",
        "ä",
        "x" * 129,
    ],
)
def test_headers_that_users_can_not_set(name: str) -> None:
    assert refusal({name: "value"}) == f"sink.headers.{name[:128]}"


@pytest.mark.parametrize("value", ["", " a", "a ", "a\r\nX: b", "a\nb", "a\x00b", "ä", "x" * 4097])
def test_values_that_no_header_can_have(value: str) -> None:
    assert refusal({"X-Key": value}) == "sink.headers.X-Key"


def test_a_refusal_does_not_repeat_the_value() -> None:
    with pytest.raises(InvalidInput) as refused:
        Sinks(LOOPBACK, Aws()).check(webhook({"X-Key": "sesame\nopen"}))
    assert "sesame" not in str(refused.value.details)


def test_a_name_may_not_stand_twice_nor_too_many() -> None:
    assert refusal({"X-Key": "1", "x-key": "2"}) == "sink.headers"
    assert refusal({f"X-{n}": "1" for n in range(33)}) == "sink.headers"


def webhook(headers: dict[str, str]) -> dict[str, Any]:
    return {"type": "webhook", "url": "https://93.184.216.34/", "headers": headers}


def refusal(headers: dict[str, str]) -> str | None:
    with pytest.raises(InvalidInput) as refused:
        Sinks(LOOPBACK, Aws()).check(webhook(headers))
    return refused.value.field


def test_good_sinks_are_let_through() -> None:
    sink = webhook({"X-Key": "value", "Authorization": "Bearer a.b", "X-Blanks": "a  b"})
    Sinks(AddressGuard(), Aws()).check(sink)
    Sinks(AddressGuard(), Aws()).check({"type": "webhook", "url": "https://93.184.216.34/"})


def test_a_sink_of_no_known_type_is_refused() -> None:
    with pytest.raises(InvalidInput) as refused:
        Sinks(AddressGuard(), Aws()).check({"type": "pigeon"})
    assert refused.value.field == "sink.type"
