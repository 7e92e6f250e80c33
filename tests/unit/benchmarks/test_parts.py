"""The benchmarks' own parts do what they are for. No test looks at a time."""

from __future__ import annotations

import itertools
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from celery import chain
from rich.console import Console

from app.settings import Settings
from benchmarks.acceptance import Planning
from benchmarks.failed_table import DUE, FailedTable
from benchmarks.farside import FarSide
from benchmarks.load import Connection, press, request
from benchmarks.naive.settings import BESIDE, COMPARED, CONFIGURATION, TUNINGS
from benchmarks.naive.tasks import app, update
from benchmarks.ours import environment
from benchmarks.plan import FULL, QUICK, Plan
from benchmarks.processes import Broken, Program, cpu_s, family, memory, wait_until
from benchmarks.report import Report, number, percentile
from benchmarks.run import BACKLOG, OURS, backlog, comparisons
from benchmarks.sides import BODY


@pytest.fixture
def far(tmp_path: Path) -> Iterator[FarSide]:
    side = FarSide(tmp_path, os.environ)
    yield side
    side.stop()


def test_the_caller_keeps_its_connections_and_counts_answers(far: FarSide) -> None:
    calls = (request("GET", f"/external/contentMedia/live/c{n}", {}) for n in range(40))
    answered = press(far.port, calls, seconds=30, connections=4)
    assert answered.statuses == {200: 40}
    assert len(answered.took_s) == answered.accepted == 40


def test_the_far_side_tells_applied_patches_from_other_calls(far: FarSide) -> None:
    for _ in range(2):  # the second time on a journal that has been emptied
        far.behave(0)
        connection = Connection(far.port)
        path = "/external/contentMedia/live/C1"
        _, body = connection.call(request("GET", path, {}))
        last_modified = json.loads(body)["lastModified"]
        connection.call(request("PATCH", path, {"lastModified": last_modified, **BODY}))
        connection.call(request("PATCH", path, {"lastModified": "of yesterday", **BODY}))
        connection.close()
        far.wait_for(3, timeout_s=10)
        assert [found.media for found in far.updates()] == ["C1"]


def test_waiting_for_calls_that_never_come_is_an_error(far: FarSide) -> None:
    with pytest.raises(Broken, match="2 calls reach the far side"):
        far.wait_for(2, timeout_s=0.1)


def test_a_process_is_counted_with_its_children(tmp_path: Path) -> None:
    code = "import subprocess,sys; subprocess.run([sys.executable, '-c', 'import time; time.sleep(60)'])"
    program = Program("parent", [sys.executable, "-c", code], os.environ, tmp_path)
    wait_until(lambda: len(family(program.pid)) == 2, "the child starts", timeout_s=20)
    child = family(program.pid)[1]
    assert cpu_s([program.pid]) >= 0
    assert memory(program.pid).rss >= memory(program.pid).pss > 0
    os.kill(child, 9)
    program.stop()
    with pytest.raises(Broken, match="parent ended"):
        program.check()


def test_the_table_is_claimed_expired_and_trimmed_whole(tmp_path: Path) -> None:
    table = FailedTable(tmp_path)
    try:
        table.fill(DUE + 500)
        claimed = table.claim()
        assert min(claimed.sweep_ms, claimed.promote_ms, claimed.claim_ms, claimed.server_ms) > 0
        assert table.expire(300).count == 300
        assert table.trim().count == 300
    finally:
        table.stop()


def test_our_processes_get_settings_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDIAOPS_TENANT", "somebody-elses")
    settings = Settings.load(
        environment(tmp_path, "http://127.0.0.1:9", MEDIAOPS_INLINE_CHAIN="false"), running=False
    )
    assert (settings.tenant, settings.inline_chain) == ("default", False)
    assert settings.data_dir.is_relative_to(tmp_path)


def test_every_call_to_planning_moves_something() -> None:
    planning = Planning.__new__(Planning)
    planning._token, planning._pairs = "t", 3
    puts = list(itertools.islice(planning.puts(), 12))
    assert len(set(puts)) == 12
    assert [b"/events/" in put for put in puts[:6]] == [True] * 3 + [False] * 3


def test_the_plain_side_is_a_chain_with_a_backend_and_task_events() -> None:
    assert isinstance(update("C1", dict(BODY)), type(chain(app.signature("a"), app.signature("b"))))
    assert CONFIGURATION["result_backend"]
    assert CONFIGURATION["worker_send_task_events"]
    assert (*COMPARED, *BESIDE) == tuple(TUNINGS) == ("defaults", "late", "lean", "resultless")
    assert not any("task_ignore_result" in TUNINGS[name] for name in COMPARED)


def test_a_median_and_its_ratio_to_the_best_tuning() -> None:
    report = Report()
    for value in (30.0, 90.0, 33.0):
        report.add(BACKLOG, backlog(0, OURS), value, "1/s")
    for tuning, value in zip(FULL.tunings, (3.0, 11.0, 10.0), strict=True):
        report.add(BACKLOG, backlog(0, f"naive {tuning}"), value, "1/s")
    rows = {what: (ratio, goal) for what, ratio, goal in comparisons(FULL, report)}
    assert rows[f"updates/s at 0 ms, ours : naive {FULL.tunings[1]}"] == ("3.0", "≥ 3 (stretch 8)")


def test_a_report_is_shown_and_written(tmp_path: Path) -> None:
    report = Report()
    report.add("Section", "figure", 12.5, "ms")
    report.note("said twice")
    report.note("said twice")
    console = Console(width=100, record=True, quiet=True)
    report.show(console, [("what", "2.0", "≥ 1")])
    report.write(tmp_path / "new" / "figures.json", "command", [("what", "2.0", "≥ 1")])
    written = json.loads((tmp_path / "new" / "figures.json").read_text())
    assert written["figures"][0]["median"] == 12.5
    assert written["comparisons"] == [{"what": "what", "ratio": "2.0", "goal": "≥ 1"}]
    assert written["notes"] == ["said twice"]
    assert {"cores", "python", "server"} <= set(written["machine"])


@pytest.mark.parametrize(("value", "text"), [(1234.5, "1,234"), (12.34, "12.3"), (0.1234, "0.12")])
def test_numbers_have_three_digits(value: float, text: str) -> None:
    assert number(value) == text


def test_percentiles_are_values_that_were_measured() -> None:
    assert percentile([3.0, 1.0, 2.0], 0.5) == 2.0
    assert percentile([3.0, 1.0, 2.0], 0.99) == 3.0


@pytest.mark.parametrize("plan", [FULL, QUICK], ids=["full", "quick"])
def test_a_plan_has_a_backlog_and_a_rate_for_every_latency(plan: Plan) -> None:
    for latency in plan.latencies_ms:
        assert plan.backlog.ours[latency] > plan.backlog.naive[latency]
        assert plan.steady_rates[latency] <= plan.busy_rate
