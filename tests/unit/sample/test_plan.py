"""The sample plan is what its README says, and its generator writes it again byte for byte."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.local.samples import MEANT_TO_FAIL
from tests.expectations.sample_expectations import SAMPLE, SampleExpectations, differences

FILES = ("plan.ndjson", "changes.ndjson", "registrations.json")


@pytest.fixture(scope="module")
def sample() -> SampleExpectations:
    return SampleExpectations()


def texts(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for one in value.values():
            yield from texts(one)
    elif isinstance(value, list):
        for one in value:
            yield from texts(one)
    elif isinstance(value, str):
        yield value


def test_the_generator_writes_the_shipped_files_again(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "deploy.sample.generate", "--out", tmp_path], check=True, cwd=SAMPLE.parents[1]
    )
    for name in FILES:
        assert (tmp_path / name).read_bytes() == (SAMPLE / name).read_bytes()


def test_another_seed_writes_another_plan(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "deploy.sample.generate", "--seed", "7", "--out", tmp_path],
        check=True,
        cwd=SAMPLE.parents[1],
    )
    assert (tmp_path / "plan.ndjson").read_bytes() != (SAMPLE / "plan.ndjson").read_bytes()
    SampleExpectations(tmp_path)  # raises where a pair or a message isn't what it is listed as


def test_the_files_are_small_enough_for_git() -> None:
    assert sum((SAMPLE / name).stat().st_size for name in FILES) < 2_000_000


def test_a_weekend_of_many_sports_zones_and_every_job_status(sample: SampleExpectations) -> None:
    events = [one["body"] for one in sample.plan if one["type"] == "event"]
    jobs = [one["body"] for one in sample.plan if one["type"] == "job"]
    offsets = {
        m[1] for event in events for t in texts(event) if (m := re.search(r"T[\d:]+([+-]\d\d:\d\d)\Z", t))
    }
    assert len(events) >= 300
    assert len(offsets) >= 12
    assert {job["status"] for job in jobs} == {
        "draft", "tentative", "confirmed", "running", "completed", "ready_for_invoice", "canceled", "invoiced",
    }  # fmt: skip
    assert sum(len(event["livestreams"]) > 1 for event in events) >= 50


def test_nodes_come_in_several_types_by_name_and_by_number(sample: SampleExpectations) -> None:
    nodes = [node for one in sample.plan if one["type"] == "job" for node in one["body"]["nodes"]]
    types = {node["nodeType"] for node in nodes}
    assert {"Resource", 2, "Source", 0, "ResourcePool", 3, "Destination", 4} <= types
    assert any(node.get("hidden") for node in nodes)


def test_the_samples_that_are_meant_to_fail_are_those_that_do(sample: SampleExpectations) -> None:
    assert set(MEANT_TO_FAIL) == {media for media, shown in sample.registered.items() if shown.rejected}


def test_many_registrations_can_be_made_and_some_end_rejected(sample: SampleExpectations) -> None:
    assert len(sample.registered) == len(sample.registrations) >= 250
    rejected = {code for shown in sample.registered.values() for code in shown.rejected.values()}
    later = {code for shown in sample.changed.values() for code in shown.rejected.values()}
    assert rejected == {"no_dmhe_resource"}
    assert later == {"no_dmhe_resource", "no_job", "no_livestream"}
    assert {(one.status, one.detail) for one in sample.refused} == {
        (404, "Livestream not found"),
        (404, "Event has no Job attached"),
        (400, "Content Media Already Registered"),
        (400, None),
    }


def test_times_move_by_whole_days_and_nothing_else_does(sample: SampleExpectations) -> None:
    later = SampleExpectations(shift_days=7)
    one, other = (each.registered["CM-configured-order-0"] for each in (sample, later))
    assert one.booking["eventEndTime"] == "2026-11-21T15:00:00+00:00"
    assert other.booking["eventEndTime"] == "2026-11-28T15:00:00+00:00"
    assert one.source == other.source


def test_the_page_of_a_case_worked_out_by_hand(sample: SampleExpectations) -> None:
    shown = sample.registered["CM-configured-order-0"]
    order = [
        (one["destination"][-7:], [r["order"] for r in one["resources"]])
        for one in shown.source["heSourceAddresses"]
    ]
    # configured -1 4 7 9 10 30 100 → head ends 2 1 3 1 3 2 1
    assert order == [("ngest/2", [1, 2]), ("ngest/1", [1, 2, 3]), ("ngest/1", [1, 2])]
    assert [one["destination"] for one in shown.source["heSourceAddresses"]][2].startswith("http://he-south")
    third = sample.registered["CM-third-of-three-registered-2"]
    assert (third.source["txEventType"], third.booking["bookingPreKOStartTime"]) == (
        "Delayed",
        "2026-11-21T14:30:00+00:00",
    )


def test_differences_are_told_field_by_field(sample: SampleExpectations) -> None:
    shown = sample.registered["CM-no-event-end-0"]
    document = {
        "BOOKINGPREKOSTARTTIME": "2026-11-21T13:30:00.000Z",
        "bookingStartTime": "2026-11-21T12:00:00",
        "technicalMedia": {"sourceMedia": shown.source},
    }
    assert differences(shown, document) == []
    assert differences(shown, document | {"eventEndTime": "2026-11-21T15:00:00Z"}) == [
        "CM-no-event-end-0: eventEndTime must be None and is '2026-11-21T15:00:00Z'"
    ]
    assert len(differences(shown, {})) == 5
