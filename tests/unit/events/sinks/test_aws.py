"""SNS and Kinesis: what a call carries, and what AWS's answers mean."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError, NoRegionError

from app.events.sinks import kinesis, sns
from app.events.sinks.aws import Aws, halved, of_code, of_failure
from app.events.sinks.aws_settings import AwsSettings
from app.events.sinks.base import Delivery, Kind, Outcome, SinkError
from app.events.sinks.factory import Sinks
from app.platform.errors import InvalidInput
from app.platform.guard import AddressGuard
from tests.support.aws import REGION, environment
from tests.support.receiver import Got, Receiver, Reply
from tests.support.sinks import delivery

TOPIC = "arn:aws:sns:eu-west-1:123456789012:events"


@pytest.fixture(autouse=True)
def configured(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in environment("http://127.0.0.1:1").items():
        monkeypatch.setenv(name, value)


def refusal(sink: dict[str, Any], **settings: Any) -> str | None:
    with pytest.raises(InvalidInput) as refused:
        Sinks(AddressGuard(), Aws(AwsSettings(**settings))).check(sink)
    return refused.value.field


# Checks ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arn",
    [
        "",
        "events",
        "arn:aws:sqs:eu-west-1:123456789012:events",
        "arn:aws:sns:eu-west-1:12345:events",
        "arn:aws:sns:eu-west-1:123456789012:events:subscription",
        "arn:aws:sns:eu-west-1:123456789012:ev ents",
        "arn:aws:sns:eu.evil.example/:123456789012:events",
        TOPIC + "\n",
    ],
)
def test_what_is_no_topic_is_refused(arn: str) -> None:
    assert refusal({"type": "sns", "topicArn": arn}) == "sink.topicArn"


@pytest.mark.parametrize("name", ["", "a b", "a/b", "x" * 129, "a\n"])
def test_what_is_no_stream_is_refused(name: str) -> None:
    assert refusal({"type": "kinesis", "streamName": name}) == "sink.streamName"


@pytest.mark.parametrize("region", ["", "eu", "evil.example/", "eu-west-1.evil.example", "EU-WEST-1"])
def test_what_is_no_region_is_refused(region: str) -> None:
    assert refusal({"type": "kinesis", "streamName": "s", "region": region}) == "sink.region"


def test_a_topics_region_is_its_arns() -> None:
    assert refusal({"type": "sns", "topicArn": TOPIC, "region": "us-east-1"}) == "sink.region"


def test_a_stream_without_any_region_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    assert refusal({"type": "kinesis", "streamName": "s"}) == "sink.region"


def test_only_targets_on_the_operators_list_are_let_through() -> None:
    lists = {"sns_topics": ("arn:aws:sns:*:123456789012:public-*",), "kinesis_streams": ("a-*", "b")}
    assert refusal({"type": "sns", "topicArn": TOPIC}, **lists) == "sink.topicArn"
    assert refusal({"type": "kinesis", "streamName": "c"}, **lists) == "sink.streamName"
    assert refusal({"type": "kinesis", "streamName": "B"}, **lists) == "sink.streamName"
    sinks = Sinks(AddressGuard(), Aws(AwsSettings(**lists)))  # type: ignore[arg-type]
    sinks.check({"type": "sns", "topicArn": "arn:aws:sns:eu-west-1:123456789012:public-1.fifo"})
    for name in ("a-1", "b"):
        sinks.check({"type": "kinesis", "streamName": name})


def test_a_target_that_is_not_allowed_any_more_is_not_built() -> None:
    sinks = Sinks(AddressGuard(), Aws(AwsSettings(sns_topics=("other",), kinesis_streams=())))
    for sink in ({"type": "sns", "topicArn": TOPIC}, {"type": "kinesis", "streamName": "s"}):
        with pytest.raises(InvalidInput):
            sinks.build(sink, {}, ordered=True)


def test_aws_sinks_have_no_secrets() -> None:
    for sink in (
        {"type": "sns", "topicArn": TOPIC},
        {"type": "kinesis", "streamName": "s", "region": REGION},
        {"type": "sns", "topicArn": "arn:aws-us-gov:sns:us-gov-west-1:123456789012:e.fifo"},
    ):
        Sinks(AddressGuard(), Aws()).check(sink)


# What a call carries --------------------------------------------------------------------------------


def entry(made: Delivery, arn: str = TOPIC, *, ordered: bool = True) -> dict[str, Any]:
    parcel = sns.Sns({"topicArn": arn}, ordered=ordered, aws=Aws())._parcel(made)
    found: dict[str, Any] = parcel.content
    return found


def test_attributes_for_filter_policies() -> None:
    event = b'{"eventType": "CREATE", "payload": {"eventType": "inner"}}'
    attributes = entry(delivery(9, event=event, previous=4))["MessageAttributes"]
    assert {name: a["StringValue"] for name, a in attributes.items()} == {
        "topic": "asset-operations",
        "eventName": "asset-updated",
        "tenant": "default",
        "eventType": "CREATE",
        "sequence": "9",
        "previousSequence": "4",
    }
    assert {name for name, a in attributes.items() if a["DataType"] == "Number"} == {
        "sequence",
        "previousSequence",
    }


@pytest.mark.parametrize(
    "event", [b"{}", b'{"eventType": ""}', b'{"eventType": 7}', b'{"a": {"eventType": "x"}}']
)
def test_no_event_type_is_no_attribute(event: bytes) -> None:
    assert "eventType" not in entry(delivery(1, event=event))["MessageAttributes"]


def test_a_plain_topic_gets_no_fifo_ids() -> None:
    assert not {"MessageGroupId", "MessageDeduplicationId"} & entry(delivery(1)).keys()


@pytest.mark.parametrize(
    ("text", "kept"),
    [("asset-1", True), ("a" * 128, True), ("a" * 129, False), ("ö", False), ("a b", False)],
)
def test_fifo_ids_are_hashed_where_sns_would_not_take_them(text: str, kept: bool) -> None:
    made = entry(delivery(1, text, guid=text), TOPIC + ".fifo")
    for name in ("MessageGroupId", "MessageDeduplicationId"):
        assert (made[name] == text) is kept
        assert sns._ID.fullmatch(made[name])


def test_a_redelivery_is_no_duplicate_of_the_first() -> None:
    ids = {
        entry(delivery(1, redelivery=r), TOPIC + ".fifo")["MessageDeduplicationId"]
        for r in (None, "parked", "replay-1", "replay-2")
    }
    assert ids == {"guid-1", "guid-1:parked", "guid-1:replay-1", "guid-1:replay-2"}


@pytest.mark.parametrize("length", [1, 200, 248, 249, 10_000])
def test_partition_keys_have_at_most_256_characters_and_stay_apart(length: int) -> None:
    keys = {kinesis.partition_key("default", "ö" * length + end) for end in ("", "1", "2")}
    assert len(keys) == 3
    assert all(1 <= len(key) <= 256 and key.startswith("default:ö") for key in keys)


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (b'{"a":1}', b'{"a":1,"sequence":7,"previousSequence":3}'),
        (b"{}", b'{"sequence":7,"previousSequence":3}'),
        (b"{ \n}", b'{ \n"sequence":7,"previousSequence":3}'),
        (b'  {"a" : [ ] , "b":{}}\n', b'  {"a" : [ ] , "b":{},"sequence":7,"previousSequence":3}'),
        (b'{"a": 0.0, "b": {}, "c": "\xc3\xb6"  }', b'{"a": 0.0, "b": {}, "c": "\xc3\xb6"  ,"sequence":7,"previousSequence":3}'),
        (b'{"a": {"sequence": 1}}', b'{"a": {"sequence": 1},"sequence":7,"previousSequence":3}'),
        (b'{"sequence": 1}', b'{"sequence": 1,"mediaopsSequence":7,"mediaopsPreviousSequence":3}'),
        (b'{"previousSequence": null}', b'{"previousSequence": null,"mediaopsSequence":7,"mediaopsPreviousSequence":3}'),
    ],
)  # fmt: skip
def test_a_record_is_the_event_with_members_more(event: bytes, expected: bytes) -> None:
    assert kinesis.record(delivery(7, event=event, previous=3)) == expected
    json.loads(expected)


def test_a_record_that_is_sent_once_more_says_so() -> None:
    again = delivery(7, event=b'{"a":1}', previous=3, redelivery="parked")
    assert kinesis.record(again) == b'{"a":1,"sequence":7,"previousSequence":3,"redelivery":"parked"}'
    own = delivery(7, event=b'{"redelivery":0}', previous=3, redelivery="r1")
    assert json.loads(kinesis.record(own)) == {
        "redelivery": 0, "mediaopsSequence": 7, "mediaopsPreviousSequence": 3, "mediaopsRedelivery": "r1",
    }  # fmt: skip


# Answers --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "status", "refused", "expected", "kind"),
    [
        ("ProvisionedThroughputExceededException", 400, False, "throttled", Kind.RETRY),
        ("Throttled", 429, False, "throttled", Kind.RETRY),
        ("Throttling", None, True, "throttled", Kind.RETRY),
        ("InternalFailure", None, False, "server_error", Kind.RETRY),
        ("InternalError", 500, False, "server_error", Kind.RETRY),
        ("ServiceUnavailable", 503, False, "unavailable", Kind.RETRY),
        ("AuthorizationError", 403, True, "unauthorized", Kind.RETRY),
        ("ExpiredTokenException", 400, False, "unauthorized", Kind.RETRY),
        ("SomethingNew", 403, False, "unauthorized", Kind.RETRY),
        ("NotFound", 404, False, "not_found", Kind.RETRY),
        ("ResourceNotFoundException", 400, False, "not_found", Kind.RETRY),
        ("KMSDisabledException", 400, True, "kms", Kind.RETRY),
        ("KMSThrottlingException", 400, False, "throttled", Kind.RETRY),
        ("InvalidParameter", 400, False, "refused", Kind.REFUSED),
        ("ValidationException", 400, False, "refused", Kind.REFUSED),
        ("SomethingNew", None, True, "refused", Kind.REFUSED),
        ("SomethingNew", 400, False, "server_error", Kind.RETRY),
        ("", 502, False, "server_error", Kind.RETRY),
    ],
)
def test_what_error_codes_mean(
    code: str, status: int | None, refused: bool, expected: str, kind: Kind
) -> None:
    error = of_code(code, "why", status=status, refused=refused)
    assert (error.code, error.kind) == (expected, kind)


def test_a_wrong_target_does_not_park_every_event() -> None:
    error = of_code("InvalidParameter", "Invalid parameter: TopicArn")
    assert (error.code, error.kind) == ("bad_target", Kind.RETRY)


def test_errors_about_keys_do_not_repeat_what_was_signed() -> None:
    message = "The Canonical String should have been 'x-amz-security-token:SESAME'"
    error = ClientError(
        {
            "Error": {"Code": "SignatureDoesNotMatch", "Message": message},
            "ResponseMetadata": {"HTTPStatusCode": 403},  # type: ignore[typeddict-item]
        },
        "PutRecords",
    )
    outcome = of_failure(error, time.monotonic())
    assert "SESAME" not in repr(outcome)
    assert outcome.status == 403


def test_a_mistake_in_the_settings_is_passing_trouble() -> None:
    outcome = of_failure(NoRegionError(), time.monotonic())
    assert outcome.error is not None
    assert (outcome.error.code, outcome.error.kind) == ("aws_settings", Kind.RETRY)


@pytest.mark.parametrize(("sender_fault", "kind"), [(True, Kind.REFUSED), (False, Kind.RETRY)])
def test_only_what_the_sender_is_at_fault_for_is_given_up(sender_fault: bool, kind: Kind) -> None:
    outcome = sns._of_failed({"Code": "InvalidParameter", "SenderFault": sender_fault}, 5)
    assert outcome.error is not None
    assert outcome.error.kind is kind


def test_a_refused_call_is_halved_down_to_the_bad_one() -> None:
    calls: list[list[int]] = []

    def call(batch: list[int]) -> list[Outcome]:
        calls.append(batch)
        bad = 300 in batch
        error = SinkError("refused", "", Kind.REFUSED) if bad else None
        return [Outcome(error, 400 if bad else 200)] * len(batch)

    outcomes = halved(list(range(500)), call)
    assert [n for n, outcome in enumerate(outcomes) if outcome.error] == [300]
    assert len(calls) < 25


# The way there --------------------------------------------------------------------------------------

Serve = Callable[[Callable[[Got], Reply]], Receiver]


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Serve]:
    with Receiver() as receiver:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{receiver.port}")

        def set_up(answer: Callable[[Got], Reply]) -> Receiver:
            receiver.answer = answer
            return receiver

        yield set_up


def put(aws: Aws, *deliveries: Delivery) -> list[Outcome]:
    return kinesis.Kinesis({"streamName": "s"}, ordered=False, aws=aws).send(
        deliveries or [delivery(1)], time.monotonic() + 5
    )


def test_calls_are_signed_and_never_repeated_by_boto(serve: Serve) -> None:
    receiver = serve(lambda _: Reply(500, body=b"{}"))
    (outcome,) = put(Aws())
    assert outcome.error is not None
    assert (outcome.error.code, outcome.status) == ("server_error", 500)
    (got,) = receiver.got
    assert got.headers["authorization"].startswith("AWS4-HMAC-SHA256 Credential=AKIATESTTESTTEST/")
    assert got.headers["host"] == f"127.0.0.1:{receiver.port}"


@pytest.mark.parametrize("body", [b"nonsense", b"{}", b'{"FailedRecordCount":0,"Records":[]}', b""])
def test_an_answer_that_does_not_fit_is_passing_trouble(serve: Serve, body: bytes) -> None:
    serve(lambda _: Reply(200, {"Content-Type": "application/x-amz-json-1.1"}, body))
    outcomes = put(Aws(), delivery(1), delivery(2))
    assert [o.error.kind if o.error else None for o in outcomes] == [Kind.RETRY, Kind.RETRY]


def test_an_sns_answer_that_leaves_an_entry_out_is_passing_trouble(serve: Serve) -> None:
    body = (
        b'<PublishBatchResponse xmlns="http://sns.amazonaws.com/doc/2010-03-31/"><PublishBatchResult><Successful>'
        b"<member><Id>1</Id><MessageId>m</MessageId></member></Successful><Failed/></PublishBatchResult>"
        b"</PublishBatchResponse>"
    )
    serve(lambda _: Reply(200, {"Content-Type": "text/xml"}, body))
    sink = sns.Sns({"topicArn": TOPIC}, ordered=False, aws=Aws())
    outcomes = sink.send([delivery(1), delivery(2)], time.monotonic() + 5)
    assert [o.error.code if o.error else None for o in outcomes] == ["malformed_answer", None]


def test_clients_are_shared_by_all_sinks_of_the_process() -> None:
    aws = Aws()
    assert aws.sns("eu-west-1") is aws.sns("eu-west-1")
    assert aws.sns("eu-west-1") is not aws.sns("us-east-1")
    assert aws.kinesis(None).meta.region_name == REGION


def test_a_proxy_is_asked_for_by_the_endpoint() -> None:
    asked: list[str] = []

    def proxy_for(url: str) -> str | None:
        asked.append(url)
        return "http://127.0.0.1:1"

    (outcome,) = put(Aws(AwsSettings(proxy_for=proxy_for)))
    assert outcome.error is not None
    assert outcome.error.code == "connect_failed"
    assert asked == ["http://127.0.0.1:1"]


def test_a_bad_answer_keeps_no_key_of_ours(serve: Serve) -> None:
    serve(
        lambda got: Reply(400, body=json.dumps({"__type": "Odd", "message": str(dict(got.headers))}).encode())
    )
    (outcome,) = put(Aws())
    assert "a-secret-that-must-not-be-shown" not in repr(outcome)
