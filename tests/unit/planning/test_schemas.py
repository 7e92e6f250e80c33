"""What of planning's input is taken, what is refused, and how the refusal names the field."""

from __future__ import annotations

import copy
from datetime import UTC, datetime
from typing import Any

import pytest

from app.planning.schemas import EventSchema, JobSchema, VersionParameter
from app.platform.errors import InvalidInput
from app.platform.inputs import Schema, load
from tests.unit.planning.conftest import event_body, job_body


def fields_of(schema: Schema, body: Any) -> list[str | None]:
    with pytest.raises(InvalidInput) as caught:
        load(schema, body)
    return [field for field, _ in caught.value.problems]


def changed(body: dict[str, Any], path: list[Any], value: Any) -> dict[str, Any]:
    """A copy with one member set."""
    made = copy.deepcopy(body)
    place: Any = made
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    return made


def test_the_contract_page_s_examples_pass_unchanged() -> None:
    assert load(EventSchema(), event_body(programmeId="GLOBAL_p1")) == event_body(programmeId="GLOBAL_p1")
    assert load(JobSchema(), job_body()) == job_body()


@pytest.mark.parametrize(
    ("path", "value", "field"),
    [
        (["name"], 7, "name"),
        (["name"], None, "name"),
        (["name"], "a\x00b", "name"),
        (["extra"], 1, "extra"),
        (["eventEnd"], "tomorrow", "eventEnd"),
        (["eventEnd"], 1764000000, "eventEnd"),
        (["eventStart"], "2026-02-30T10:00:00Z", "eventStart"),
        (["sourceVersion"], True, "sourceVersion"),
        (["sourceVersion"], 1.5, "sourceVersion"),
        (["sourceVersion"], -1, "sourceVersion"),
        (["sourceVersion"], 2**63, "sourceVersion"),
        (["sourceVersion"], "v1", "sourceVersion"),
        (["programmeId"], "", "programmeId"),
        (["livestreams"], {}, "livestreams"),
        (["livestreams", 0, "livestreamId"], 6, "livestreams[0].livestreamId"),
        (["livestreams", 0, "livestreamId"], "x" * 2000, "livestreams[0].livestreamId"),
        (["livestreams", 0, "livestreamId"], "a\nb", "livestreams[0].livestreamId"),
        (["livestreams", 0, "txEventType"], 1, "livestreams[0].txEventType"),
        (["livestreams"], [{"livestreamId": "a"}, {"livestreamId": "a"}], "livestreams[1].livestreamId"),
        (["livestreams"], [{"livestreamId": str(number)} for number in range(101)], "livestreams"),
    ],
)
def test_an_event_s_fault_is_named(path: list[Any], value: Any, field: str) -> None:
    assert fields_of(EventSchema(), changed(event_body(), path, value)) == [field]


NODE = ["nodes", 0]


@pytest.mark.parametrize(
    ("path", "value", "field"),
    [
        (["eventId"], None, "eventId"),
        (["status"], "cancelled", "status"),
        (["status"], 3, "status"),
        (["jobInfo", "jobStart"], "noon", "jobInfo.jobStart"),
        (["jobInfo", "other"], "x", "jobInfo.other"),
        ([*NODE, "nodeType"], 8, "nodes[0].nodeType"),
        ([*NODE, "nodeType"], True, "nodes[0].nodeType"),
        ([*NODE, "nodeType"], "resource", "nodes[0].nodeType"),
        ([*NODE, "nodeType"], [], "nodes[0].nodeType"),
        ([*NODE, "order"], "1", "nodes[0].order"),
        ([*NODE, "order"], 1.5, "nodes[0].order"),
        ([*NODE, "hidden"], "no", "nodes[0].hidden"),
        ([*NODE, "resource"], "r-1", "nodes[0].resource"),
        ([*NODE, "resource", "properties", 1, "value"], {}, "nodes[0].resource.properties[1].value"),
        ([*NODE, "resource", "properties", 1, "name"], 5, "nodes[0].resource.properties[1].name"),
        (
            ["nodes"],
            [{"nodeId": "1", "nodeType": 0}, {"nodeId": "1", "nodeType": 0}],
            "nodes[1].nodeId",
        ),
        (["nodes"], [{"nodeId": str(number), "nodeType": 0} for number in range(1001)], "nodes"),
    ],
)
def test_a_job_s_fault_is_named(path: list[Any], value: Any, field: str) -> None:
    assert fields_of(JobSchema(), changed(job_body(), path, value)) == [field]


def test_what_is_needed_is_asked_for() -> None:
    assert fields_of(EventSchema(), {}) == ["name"]
    assert fields_of(JobSchema(), {}) == ["eventId"]
    assert fields_of(EventSchema(), []) == [None]


def test_times_are_kept_in_utc_and_one_without_zone_is_utc() -> None:
    body = load(
        EventSchema(),
        {"name": "n", "eventEnd": "2026-11-21T22:45:00+01:00", "eventStart": "2026-11-21T19:00:00"},
    )
    assert (body["eventEnd"], body["eventStart"]) == ("2026-11-21T21:45:00Z", "2026-11-21T19:00:00Z")


@pytest.mark.parametrize(
    "nothing", [None, "0001-01-01T00:00:00Z", "0001-01-01T00:00:00", "0001-01-01T00:00:00+14:00"]
)
def test_null_and_year_one_are_no_value(nothing: str | None) -> None:
    assert load(EventSchema(), {"name": "n", "eventEnd": nothing}) == {"name": "n"}


def test_an_end_before_its_start_is_planning_s_own_business() -> None:
    info = {"jobStart": "2026-11-21T18:00:00Z", "jobEnd": "2026-11-21T17:00:00Z"}
    assert load(JobSchema(), {"eventId": "e", "jobInfo": info})["jobInfo"] == info


@pytest.mark.parametrize("value", ["", "true", True, False, 0, 1, 1.5, None])
def test_a_property_s_value_is_kept_as_it_came(value: Any) -> None:
    made = load(JobSchema(), changed(job_body(), [*NODE, "resource", "properties", 0, "value"], value))
    kept = made["nodes"][0]["resource"]["properties"][0]["value"]
    assert kept == value
    assert type(kept) is type(value)


def test_node_types_are_names_or_numbers() -> None:
    for value in ("Resource", 2, "DestinationInstance", 7, 0):
        assert (
            load(JobSchema(), changed(job_body(), [*NODE, "nodeType"], value))["nodes"][0]["nodeType"]
            == value
        )


def test_a_version_in_a_query_is_a_number_or_a_time() -> None:
    assert VersionParameter().deserialize("12") == 12
    assert VersionParameter().deserialize("2026-11-21T19:30:00Z") == datetime(
        2026, 11, 21, 19, 30, tzinfo=UTC
    )
