"""Rows of import files: three forms, and what is broken in them costs no good row."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest

from app.cli import rows as reading
from app.cli.rows import Row, rows


def read(data: bytes) -> list[Row]:
    return list(rows(io.BytesIO(data)))


def values(data: bytes) -> list[Any]:
    return [row.value if row.fault is None else f"line {row.line}" for row in read(data)]


@pytest.mark.parametrize(
    "data",
    [
        b'{"a":1}\n{"b":[2,"]"]}\n',
        b'{"a":1}\r\n\r\n{"b":[2,"]"]}',
        b'[{"a":1},{"b":[2,"]"]}]',
        b'\xef\xbb\xbf [\n {"a":1},\n {"b":[2,"]"]}\n]\n',
        b'{"messages": [{"a":1},\n{"b":[2,"]"]}]}',
        b'{ "registrations":[{"a":1},{"b":[2,"]"]}], "refused": [{"c":3}]}',
        b'{"activeLivestreams":[{"a":1},{"b":[2,"]"]}]}',
    ],
)
def test_three_forms_of_the_same_rows(data: bytes) -> None:
    assert values(data) == [{"a": 1}, {"b": [2, "]"]}]


def test_a_bad_line_is_told_by_its_number_and_the_rest_is_read() -> None:
    found = read(b'{"a":1}\n{"a":\n\n\xff\xfe\n{"a":1,"a":2}\n{"b":NaN}\n{"c":3}\n')
    assert [(row.line, row.fault is None) for row in found] == [
        (1, True), (2, False), (4, False), (5, False), (6, False), (7, True),
    ]  # fmt: skip
    assert next(row.fault for row in found if row.fault).startswith(
        "The row is not valid JSON (line 1, column"
    )


def test_a_bad_element_of_an_array_is_skipped_with_its_line() -> None:
    assert values(b'[\n{"a":1},\n{"a" 2},\n\n{"c":"\\"],[\\\\"}\n]') == [{"a": 1}, "line 3", {"c": '"],[\\'}]
    assert values(b'[{"a":1},,{"b":2}]') == [{"a": 1}, "line 1", {"b": 2}]
    assert values(b'[{"a":1},]') == [{"a": 1}, "line 1"]
    assert values(b"[]") == values(b"") == values(b"\n \n") == []


def test_a_file_that_ends_inside_its_list_says_so() -> None:
    found = read(b'[{"a":1},{"b":')
    assert (found[0].value, found[1].fault) == (
        {"a": 1},
        "The file ends inside its list: rows may be missing.",
    )


@pytest.mark.parametrize("chunk", [1, 2, 3, 7])
def test_where_a_read_ends_makes_no_difference(monkeypatch: pytest.MonkeyPatch, chunk: int) -> None:
    given = [
        {"name": 'quote " back \\ brace } über', "n": [[], {}, [1, {"x": "]"}]]},
        {"b": 9007199254740993},
    ]
    array = json.dumps(given, indent=1, ensure_ascii=False).encode()
    lines = "\n".join(json.dumps(one) for one in given).encode()
    whole = values(array)
    monkeypatch.setattr(reading, "_CHUNK", chunk)
    stream = io.BytesIO(array)
    assert values(array) == whole == given
    assert values(lines) == given
    assert stream.tell() == 0


def test_a_row_without_end_is_not_kept_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "LONGEST_ROW", 1000)
    monkeypatch.setattr(reading, "_CHUNK", 100)
    long = b'{"a":"' + b"x" * 5000 + b'"}'
    found = read(long + b'\n{"b":1}\n' + long)
    assert [(row.line, row.value) for row in found] == [(1, None), (2, {"b": 1}), (3, None)]
    assert "longer than" in str(found[0].fault)
    assert "wasn't read" in str(read(b'[{"b":1},' + long + b"]")[1].fault)


def test_deep_nesting_is_a_bad_row() -> None:
    assert values(b"[" * 40 + b"]" * 40) == ["line 1"]
    assert values(b'{"a":' * 5000 + b"1" + b"}" * 5000) == ["line 1"]
