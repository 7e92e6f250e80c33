"""The checker is checked: it reports each kind of violation, and nothing where there is none."""

from __future__ import annotations

import itertools
from typing import Any

from tests.support import checker
from tests.support.checker import Wishes

PATH = "/external/contentMedia/live/C1"
WISHES = [Wishes("C1", "ko", ["one", "two", "three"])]
_times = itertools.count(1)


def get(shown: str, **more: Any) -> dict[str, Any]:
    return entry("GET", None, shown, **more)


def patch(value: str, under: str, **more: Any) -> dict[str, Any]:
    return entry("PATCH", {"lastModified": under, "ko": value}, under, **more)


def entry(method: str, body: Any, before: str, *, applied: bool = True, **more: Any) -> dict[str, Any]:
    number = next(_times)
    written = method == "PATCH" and applied
    return {
        "seq": number,
        "method": method,
        "path": PATH,
        "contentMediaId": "C1",
        "body": body,
        "lastModified": body["lastModified"] if body else None,
        "before": before,
        "status": 200,
        "applied": written,
        "appliedAs": number if written else None,
        "appliedAt": number + 0.1 if written else None,
        "arrived": float(number),
        "answered": number + 0.5,
    } | more


def record(state: str, value: str, **more: Any) -> dict[str, Any]:
    sent = [{"send": {"body": {"lastModified": "x", "ko": value}}}] if state == "delivered" else []
    return {
        "state": state,
        "contentMediaId": "c1",
        "path": PATH,
        "body": {"ko": value},
        "attempts": sent,
        "supersededBy": None,
    } | more


GOOD = [get("a"), patch("one", "a"), get("b"), patch("three", "b")]


def test_a_good_run_is_found_good() -> None:
    records = {
        "r1": record("delivered", "one"),
        "r2": record("superseded", "two", supersededBy="r3"),
        "r3": record("delivered", "three"),
    }
    states = {"C1": {"fields": {"ko": "three"}, "source": {}}}
    assert checker.judge(GOOD, list(records), records, WISHES, states) == {}


def test_an_old_value_after_a_newer_one_is_stale() -> None:
    [problem] = checker.stale([patch("two", "a"), patch("one", "b")], WISHES)
    assert "ko = one (number 0) after number 1" in problem
    [problem] = checker.stale([patch("four", "a")], WISHES)
    assert "nobody asked for" in problem
    assert checker.stale([patch("two", "a"), patch("one", "b", applied=False)], WISHES) == []


def test_what_is_nowhere_is_lost() -> None:
    records = {
        "gone": None,
        "stuck": record("pending", "one"),
        "claimed": record("delivered", "two"),
        "nowhere": record("superseded", "one", supersededBy="gone"),
        "seen": record("failed", "one"),
    }
    found = checker.lost(records, records, GOOD)
    assert [line.split(":")[0] for line in found] == ["gone", "stuck", "claimed", "nowhere"]


def test_a_wrong_value_in_the_end_is_reported() -> None:
    assert checker.wrong_in_the_end({"C1": {"fields": {"ko": "two"}, "source": {}}}, WISHES)


def test_two_writes_at_once_are_side_by_side() -> None:
    first = patch("one", "a", arrived=10.0, answered=12.0)
    assert checker.side_by_side([first, patch("two", "b", arrived=11.0, answered=13.0)])
    assert not checker.side_by_side([first, patch("two", "b", arrived=12.5, answered=13.0)])


def test_a_patch_without_a_get_of_its_own_is_reported() -> None:
    assert checker.unread(GOOD) == []
    assert checker.unread([get("a"), patch("one", "a"), patch("two", "b")]), "no GET in between"
    assert checker.unread([get("a"), patch("one", "old")]), "not what the GET returned"
    assert checker.unread([get("a", status=500), patch("one", "a")])
