"""However a body is spelled, each event of it is found whole, and only what is missing is added."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.events.catalogue import TOPICS
from app.events.envelope import Filling, complete, split
from app.platform.errors import BadRequest

TEXT = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\x00"), max_size=12)
LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT
JSON = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4)
)
BLANKS = st.text(" \t\r\n", max_size=3)
KNOWN: frozenset[str] = frozenset(
    [
        "eventName",
        "assetId",
        "originator",
        "tenant",
        "versions",
        "timestamp",
        "guid",
        "properties",
        "metadata",
        "platforms",
        "assetCreationDate",
    ]
)
MEMBERS = st.dictionaries(TEXT.filter(lambda name: str(name) not in KNOWN), JSON, max_size=5)


def spelled(value: Any, *, ascii_only: bool, indent: int | None) -> str:
    return json.dumps(value, ensure_ascii=ascii_only, indent=indent)


@given(st.lists(JSON, min_size=1, max_size=6), st.booleans(), st.sampled_from([None, 0, 2]), BLANKS, BLANKS)
def test_the_items_of_an_array_are_found_as_they_stand(
    values: list[Any], ascii_only: bool, indent: int | None, before: str, after: str
) -> None:
    texts = [spelled(value, ascii_only=ascii_only, indent=indent) for value in values]
    body = f"{before}[{before}" + f"{before},{after}".join(texts) + f"{after}]{after}"
    assert split(body.encode()) == ([text.encode() for text in texts], True)


@given(MEMBERS, st.booleans(), st.sampled_from([None, 0, 2]), BLANKS, BLANKS)
def test_an_event_keeps_every_byte_and_gains_an_envelope(
    members: dict[str, Any], ascii_only: bool, indent: int | None, before: str, after: str
) -> None:
    text = spelled(
        {"eventName": "asset-created", "assetId": 1, **members}, ascii_only=ascii_only, indent=indent
    )
    [raw], several = split(f"{before}{text}{after}".encode())
    assert not several
    made = complete(TOPICS["asset-operations"], raw, Filling("t", "o", "g")).event
    assert made.startswith(text[:-1].rstrip().encode())
    assert {name: value for name, value in json.loads(made).items() if name in members} == json.loads(
        json.dumps(members)
    )


@given(st.text(st.sampled_from('[]{},:"\\ 1ea'), max_size=20))
def test_what_is_no_array_of_json_is_refused_and_nothing_else(text: str) -> None:
    body = f"[{text}"
    try:
        valid = len(json.loads(body)) > 0
    except ValueError:
        valid = False
    if valid:
        items, _ = split(body.encode())
        assert [json.loads(item) for item in items] == json.loads(body)
    else:
        with pytest.raises(BadRequest):
            split(body.encode())
