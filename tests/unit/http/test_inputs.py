"""Reading JSON strictly, and in bounded time whatever is sent."""

from __future__ import annotations

import time

import pytest

from app.platform.errors import BadRequest, TooLarge
from app.platform.inputs import check_identifier, identifier_fault
from app.platform.json_text import MOST_BULK_VALUES, MOST_VALUES, strict_json


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        (
            b'{"a": [], "b": {}, "n": 9007199254740993, "f": 0.5}',
            {"a": [], "b": {}, "n": 2**53 + 1, "f": 0.5},
        ),
        (rb'"\ud83d\ude00"', "\N{GRINNING FACE}"),
        (rb'"\\u0000"', r"\u0000"),
        (b'{"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[": "{{{{{{{{{{{{"}', {"[" * 40: "{" * 12}),
        (b"[" * 32 + b"]" * 32, None),
        (b" null ", None),
    ],
)
def test_json_is_read_as_it_is(raw: bytes, value: object) -> None:
    read = strict_json(raw)
    assert value is None or read == value


@pytest.mark.parametrize(
    ("raw", "code", "field"),
    [
        (rb'{"a": {"b": ["x", "\u0000"]}}', "invalid_input", "a.b[1]"),
        (rb'["\ud800"]', "invalid_input", "[0]"),
        (rb'{"\u0000": 1}', "invalid_input", None),
        (b"\xef\xbb\xbf{}", "invalid_json", None),
        ("{}".encode("utf-16"), "invalid_json", None),
        (b"[Infinity]", "invalid_json", None),
        (b"[1] x", "invalid_json", None),
        (b"{'a': 1}", "invalid_json", None),
        (b"[" * 33 + b"]" * 33, "json_too_deep", None),
    ],
)
def test_what_others_would_read_differently_is_refused(raw: bytes, code: str, field: str | None) -> None:
    with pytest.raises(BadRequest) as refused:
        strict_json(raw)
    assert (refused.value.code, refused.value.field) == (code, field)


DEEP = b"[1," * 30 + b"1" + b"]" * 30


@pytest.mark.parametrize(
    "raw",
    [
        b'\\"' * 2_000_000,
        b'"' + b'\\"' * 2_000_000,
        b"[" * 4_000_000,
        b'"a",[' * 600_000,
        b'{"a":' * 800_000,
        b"[" + b"0," * 150_000 + b"\\" * 4_000_000,
        b"[" + b",".join([DEEP] * 3_000) + rb',"\u0000"]',
        b'{"' + b"n" * 4_000_000 + b'":[' + b"[1]," * 90_000 + rb'"\u0000"]}',
    ],
)
def test_no_text_takes_long(raw: bytes) -> None:
    began = time.process_time()
    with pytest.raises((BadRequest, TooLarge)):
        strict_json(raw, MOST_BULK_VALUES)
    assert time.process_time() - began < 2


def zeros(count: int) -> bytes:
    return b"[" + b",".join([b"0"] * count) + b"]"


def test_values_are_counted_before_they_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(strict_json(zeros(MOST_VALUES - 10))) == MOST_VALUES - 10
    assert strict_json(b'["' + b"[,{" * MOST_VALUES + b'"]')[0].startswith("[,{")  # text is one value
    assert len(strict_json(b"[" + b'"\\"[,", ' * 100 + b"{}]")) == 101
    monkeypatch.setattr("json.loads", lambda *_, **__: pytest.fail("it was read"))
    for raw in (zeros(MOST_VALUES + 10), b"[" * (MOST_VALUES + 10), b'{"a":[' * MOST_VALUES):
        with pytest.raises(TooLarge) as refused:
            strict_json(raw)
        assert refused.value.code == "too_many_values"


@pytest.mark.parametrize("value", ["", " ", ".", "..", "a\0", "\n", "x" * 257, "\ud800", chr(0xFFFD), "\x85"])
def test_what_no_system_could_mean_by_an_id(value: str) -> None:
    assert identifier_fault(value)
    with pytest.raises(BadRequest) as refused:
        check_identifier(value, "eventId")
    assert refused.value.field == "eventId"


@pytest.mark.parametrize("value", ["6gr51t8jdhl7", "../x", "%2e", "@host", "a/b", "ø", "x" * 256, "..."])
def test_ids_are_opaque(value: str) -> None:
    assert check_identifier(value, "eventId") == value
