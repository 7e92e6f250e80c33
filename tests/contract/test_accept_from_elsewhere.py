"""A script of another package accepts changes in its own call: what it does and what follows from it happen together. On
fakeredis and on a real server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from app.outgoing.control import acceptance_control
from app.outgoing.model import Acceptance, Guard, Happening, Idempotency, TimelineNote
from app.outgoing.scripts import SCRIPTS, SHARED_SCRIPTS
from app.platform.scripts import ScriptFolder, Scripts
from tests.support.outgoing import PLAIN_MESSAGES, Bench

FIRE = """#!lua
-- Fire: a timer's change and its requests, for each timer that is due; all of them, or none.
-- ARGV[1] {changes: [{change, payloads: how many}]}; ARGV[2…] the payloads of all
-- include: _accept.lua

local first, calls = 2, {}
for i, one in ipairs(ctl.changes) do
  local from = first - 1
  calls[i] = { one.change, function(n) return ARGV[from + n] end }
  first = first + one.payloads
end
for _, call in ipairs(calls) do
  local refused = refusal(call[1])
  if refused then return { refused } end
end
local answers = {}
for i, call in ipairs(calls) do
  answers[i] = accept(call[1], call[2])
  redis.call('HSET', P .. 'timers', int(i), 'fired')
end
return answers
"""


class Timers:
    """Another package, with one script of its own."""

    def __init__(self, bench: Bench, folder: Path) -> None:
        (folder / "fire.lua").write_text(FIRE)
        self.bench = bench
        made = bench.store.scripts.made(PLAIN_MESSAGES)
        scripts = ScriptFolder(folder, shared=[SCRIPTS, *SHARED_SCRIPTS], made=made, flags=bench.flags)
        now_ms = lambda: int(bench.now.timestamp() * 1000)  # noqa: E731 - as the bench has it
        self.scripts = Scripts(bench.client, bench.keys, scripts, now_ms=now_ms)

    def fire(self, *acceptances: Acceptance) -> list[list[bytes]]:
        made = [acceptance_control(one, self.bench.store.destinations) for one in acceptances]
        changes = [{"change": change, "payloads": len(payloads)} for change, payloads in made]
        payloads = [one for _, some in made for one in some]
        answers: list[list[bytes]] = self.scripts.run("fire", {"changes": changes}, *payloads)
        return answers


@pytest.fixture
def timers(bench: Bench, tmp_path: Path) -> Timers:
    return Timers(bench, tmp_path)


def change(bench: Bench, media: str, **more: Any) -> Acceptance:
    return Acceptance(
        requests=(bench.patch(media, members={"a": media}), bench.barrier(media)),
        happenings=(Happening("livestream-operations", "livestream-registered", {"livestreamId": media}),),
        notes=(TimelineNote(media, "fired", {"by": media}),),
        **more,
    )


def test_two_acceptances_in_one_call(bench: Bench, timers: Timers) -> None:
    first, second = change(bench, "A"), change(bench, "B")
    answers = timers.fire(first, second)
    assert [answer[0] for answer in answers] == [b"ok", b"ok"]
    ids = [one.id for acceptance in (first, second) for one in acceptance.requests]
    assert [one.decode() for answer in answers for one in answer[2:]] == ids
    assert bench.client.hgetall(bench.keys.prefix + "timers") == {b"1": b"fired", b"2": b"fired"}
    assert bench.client.llen(bench.keys.prefix + "pending") == 1, "one wake-up for both"
    assert len(bench.client.xrange(bench.keys.log("livestream-operations"))) == 2
    taken = bench.take()
    assert sorted(taken) == sorted([ids[0], ids[2]])
    assert {bench.send(one)["a"] for one in taken} == {'"A"', '"B"'}  # type: ignore[index]
    assert sorted(bench.take()) == sorted([ids[1], ids[3]])


def test_guids_of_one_call_differ(bench: Bench, timers: Timers) -> None:
    timers.fire(change(bench, "A"), change(bench, "B"))
    entries = bench.client.xrange(bench.keys.log("livestream-operations"))
    assert len({fields[b"guid"] for _, fields in entries}) == 2


def test_a_later_one_sees_what_an_earlier_one_has_asked_for(bench: Bench, timers: Timers) -> None:
    older, newer = (Acceptance(requests=(bench.patch("A", members={"a": n}),)) for n in (1, 2))
    timers.fire(older, newer)
    assert bench.state(older.requests[0].id) == "superseded"
    assert bench.run() == {"a": "2"}


def test_one_that_is_refused_refuses_all_before_anything_is_written(bench: Bench, timers: Timers) -> None:
    moved = Guard(("GET", bench.keys.prefix + "revision"), "7")
    answers = timers.fire(change(bench, "A"), change(bench, "B", guards=(moved,)))
    assert answers == [[b"again"]]
    assert bench.client.keys(bench.keys.prefix + "*") == []


def test_each_is_known_again_by_its_key(bench: Bench, timers: Timers) -> None:
    once = change(bench, "A", idempotency=Idempotency("d", "f"))
    [first] = timers.fire(once)
    [again] = timers.fire(once)
    assert (again[0], again[2:]) == (b"repeated", first[2:])
