"""What a subscription may be made of, and how each mistake is named."""

from __future__ import annotations

from typing import Any

import pytest

from app.events.subscriptions.schemas import ConfigSchema, ReplaySchema, RotateSchema
from app.platform.errors import InvalidInput
from app.platform.inputs import load

WEBHOOK = {"type": "webhook", "url": "https://example.com/hook"}
TOPICS = [{"topic": "asset-operations"}]


def problems(body: Any, schema: Any = None) -> dict[str | None, str]:
    with pytest.raises(InvalidInput) as caught:
        load(schema or ConfigSchema(), body)
    return dict(caught.value.problems)


def test_what_is_left_out_has_its_default() -> None:
    loaded = load(ConfigSchema(), {"topics": TOPICS, "sink": WEBHOOK})
    assert (loaded["ordered"], loaded["start"], loaded["name"], "inFlight" in loaded) == (
        True,
        "now",
        None,
        False,
    )


@pytest.mark.parametrize(
    "sink",
    [
        WEBHOOK | {"headers": {"X-Api-Key": "value", "X-Kept": None}},
        {"type": "sns", "topicArn": "arn:aws:sns:eu-west-1:123456789012:events", "region": "eu-west-1"},
        {"type": "kinesis", "streamName": "events"},
    ],
)
def test_each_sink_has_its_own_members(sink: dict[str, Any]) -> None:
    assert load(ConfigSchema(), {"topics": TOPICS, "sink": sink})["sink"] == sink


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"topics": []}, "topics"),
        ({"topics": [{"topic": "no-such"}]}, "topics[0].topic"),
        ({"topics": [{"topic": 7}]}, "topics[0].topic"),
        ({"topics": TOPICS * 2}, "topics[1].topic"),
        ({"topics": [{"topic": "asset-operations", "eventNames": []}]}, "topics[0].eventNames"),
        (
            {"topics": [{"topic": "asset-operations", "eventNames": ["asset-created", "category-created"]}]},
            "topics[0].eventNames[1]",
        ),
        ({"topics": [{"topic": "asset-operations", "names": []}]}, "topics[0].names"),
        ({"sink": "https://example.com"}, "sink"),
        ({"sink": {"url": "https://example.com"}}, "sink.type"),
        ({"sink": {"type": "ftp"}}, "sink.type"),
        ({"sink": {"type": ["webhook"]}}, "sink.type"),
        ({"sink": {"type": "webhook"}}, "sink.url"),
        ({"sink": WEBHOOK | {"secret": "mine"}}, "sink.secret"),
        ({"sink": WEBHOOK | {"headers": {"X": 1}}}, "sink.headers.X.value"),
        ({"sink": {"type": "sns", "url": "https://example.com"}}, "sink.topicArn"),
        ({"sink": {"type": "kinesis", "streamName": "s", "topicArn": "a"}}, "sink.topicArn"),
        ({"ordered": "yes"}, "ordered"),
        ({"ordered": True, "inFlight": 2}, "inFlight"),
        ({"ordered": False, "inFlight": 0}, "inFlight"),
        ({"ordered": False, "inFlight": 51}, "inFlight"),
        ({"start": "soon"}, "start"),
        ({"start": 7}, "start"),
        ({"extra": 1}, "extra"),
    ],
)
def test_a_mistake_is_named_by_its_field(change: dict[str, Any], field: str) -> None:
    assert field in problems({"topics": TOPICS, "sink": WEBHOOK} | change)


@pytest.mark.parametrize(
    "topic",
    [{"topic": "player-events"}, {"topic": "asset-operations", "eventNames": ["vmfm-archive-started"]}],
)
def test_what_is_gone_since_2x_says_so(topic: dict[str, Any]) -> None:
    (text,) = problems({"topics": [topic], "sink": WEBHOOK}).values()
    assert "is gone" in text
    assert "2.x" in text


def test_verbs_take_what_they_need() -> None:
    assert problems({}, ReplaySchema()) == {"since": "Missing data for required field."}
    assert "overlapSeconds" in problems({"overlapSeconds": -1}, RotateSchema())
    assert load(RotateSchema(), {})["overlapSeconds"] == 86400
