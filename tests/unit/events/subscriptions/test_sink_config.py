"""Of a sink, what is shown and what isn't; and what a change keeps."""

from __future__ import annotations

from typing import Any

import pytest

from app.events.subscriptions.answers import shown_sink
from app.events.subscriptions.sink_config import divided, with_values, without_query
from app.platform.errors import InvalidInput

URL = "https://example.com/hook?key=k"


def webhook(url: str = URL, **headers: str | None) -> dict[str, Any]:
    return {"type": "webhook", "url": url, "headers": headers}


def test_header_values_and_the_secret_stand_apart_from_what_is_shown() -> None:
    public, secrets = divided(webhook(Authorization="Bearer x"))
    assert public == {"type": "webhook", "url": URL, "headers": ["Authorization"]}
    assert secrets["headers"] == {"Authorization": "Bearer x"}
    assert secrets["signing"][0]["secret"].startswith("whsec_")
    assert with_values(public, secrets) == webhook(Authorization="Bearer x")
    assert shown_sink(public) == webhook(Authorization=None)
    assert without_query(public) == {**public, "url": "https://example.com/hook?…"}


def test_what_is_shown_can_be_given_back_and_changes_nothing() -> None:
    public, secrets = divided(webhook(Authorization="Bearer x", **{"X-Team": "live"}))
    again = divided(shown_sink(public), public, secrets)
    assert again == (public, secrets)
    renamed, kept = divided(webhook(authorization=None), public, secrets)
    assert (renamed["headers"], kept["headers"]) == (["authorization"], {"authorization": "Bearer x"})


@pytest.mark.parametrize(
    "url", ["https://elsewhere.example/hook", "http://example.com/hook", "https://example.com:8443/hook"]
)
def test_a_kept_value_never_goes_to_another_host(url: str) -> None:
    public, secrets = divided(webhook(Authorization="Bearer x"))
    with pytest.raises(InvalidInput) as caught:
        divided(webhook(url, Authorization=None), public, secrets)
    assert caught.value.field == "sink.headers.Authorization"
    moved, after = divided(webhook(url, Authorization="Bearer y"), public, secrets)
    assert (moved["url"], after["headers"]) == (url, {"Authorization": "Bearer y"})
    assert after["signing"] == secrets["signing"]


def test_a_header_that_was_never_given_has_no_value_to_keep() -> None:
    with pytest.raises(InvalidInput, match="no stored value"):
        divided(webhook(Authorization=None))


def test_another_kind_of_sink_forgets_the_secrets() -> None:
    public, secrets = divided(webhook(Authorization="Bearer x"))
    queue = {"type": "sns", "topicArn": "arn:aws:sns:eu-west-1:1:t"}
    assert divided(queue, public, secrets) == (queue, {})
    back, fresh = divided(webhook(), queue, {})
    assert back["headers"] == []
    assert fresh["signing"] != secrets["signing"]
