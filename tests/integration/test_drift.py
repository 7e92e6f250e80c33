"""What somebody else, or an old write of ours, does to AVOS: told, overwritten, healed. A far side whose lastModified
has whole seconds, and which spells or hides what it shows in every way that the domain page allows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration.plan import Match, soon, text
from tests.support.deployment import QUICK, Deployment
from tests.support.wait import until

pytestmark = [pytest.mark.processes, pytest.mark.xdist_group("drift")]

ROUNDS = {"MEDIAOPS_DRIFT_INTERVAL_S": "1", "MEDIAOPS_DRIFT_WINDOW_H": "24"}
SPELLINGS = {
    "zoneless": "in_step",
    "otherCase": "in_step",
    "none": "not_observable",
    "some": "not_observable",
}


@pytest.fixture(scope="module")
def drifting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """Rounds of a second."""
    with Deployment(tmp_path_factory.mktemp("drift"), **QUICK, **ROUNDS) as deployment:
        deployment.avos.control(coarse=True)
        yield deployment


def found(deployment: Deployment, match: Match, state: str) -> dict[str, Any]:
    """What the audit says of a match, once it is in this state."""

    def look() -> Any:
        listed = deployment.api.get("/api/custom/drift", state=state, limit="1000")["drift"]
        return next((one for one in listed if one["contentMediaId"] == match.media), None)

    result = until(look, timeout_s=30, what=f"{match.media} to be {state}")
    assert isinstance(result, dict)
    return result


def told(deployment: Deployment, match: Match) -> list[dict[str, Any]]:
    return [
        event
        for event in deployment.happenings()
        if event["eventName"] == "sync-drifted" and event["contentMediaId"] == match.media
    ]


def test_the_audit_finds_a_foreign_edit_and_the_next_update_overwrites_it(drifting: Deployment) -> None:
    match = Match(drifting.api).in_step()
    found(drifting, match, "in_step")
    theirs = text(soon(hours=20))
    drifting.avos.edit(match.media, {"eventEndTime": theirs})
    result = found(drifting, match, "drifted")
    assert result["members"] == [
        {"kind": "booking", "member": "eventEndTime", "wanted": text(match.end), "shown": theirs}
    ]
    preview = drifting.api.get(f"/api/custom/contentmedia/{match.media}/preview")
    verdicts = {
        one["member"]: one["verdict"] for request in preview["requests"] for one in request["members"]
    }
    assert [name for name, verdict in verdicts.items() if verdict != "equal"] == ["eventEndTime"]
    assert [event["cause"] for event in told(drifting, match)] == ["audit"], "once, not at each round"

    drifting.api.all_become(match.force(), "delivered")
    found(drifting, match, "in_step")
    assert drifting.avos.state(match.media)["fields"]["eventEndTime"] == text(match.end)
    happened = drifting.api.what_happened(match.media)
    assert {"drifted", "foreign-edit", "drift-ended"} <= set(happened)


@pytest.mark.parametrize(("shows", "state"), SPELLINGS.items())
def test_spelling_and_hiding_are_no_drift(drifting: Deployment, shows: str, state: str) -> None:
    match = Match(drifting.api)
    drifting.avos.control(match.media, shows=shows, coarse=True)
    match.in_step()
    found(drifting, match, state)
    drifting.api.all_become(match.move(soon(hours=6)), "delivered")
    assert drifting.avos.state(match.media)["fields"]["bookingPreKOStartTime"] == text(match.kick_off)
    assert told(drifting, match) == []


@pytest.mark.parametrize("shows", ["all", "none"])
def test_an_old_write_that_lands_after_a_newer_one_is_undone(drifting: Deployment, shows: str) -> None:
    """Which it can within one second: the PATCH that was lost, and sent again, lands at last."""
    match = Match(drifting.api)
    drifting.avos.control(match.media, shows=shows, coarse=True)
    match.in_step()
    drifting.avos.control(
        match.media,
        shows=shows,
        coarse=True,
        faults=[{"kind": "reset", "when": "before", "on": "patch", "next": 1}],
    )
    old = soon(hours=7)
    drifting.api.all_become(match.move(old), "delivered")
    drifting.api.all_become(match.move(soon(hours=6)), "delivered")
    drifting.avos.edit(match.media, {"bookingPreKOStartTime": text(old)})
    until(
        lambda: drifting.avos.state(match.media)["fields"]["bookingPreKOStartTime"] == text(match.kick_off),
        timeout_s=30,
        what="the newer value to be back",
    )
    word = "healed" if shows == "all" else "sent-again"
    assert word in drifting.api.what_happened(match.media)
