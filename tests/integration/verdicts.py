"""What the independent checker needs, fetched over HTTP."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tests.integration.load import Load
from tests.support import checker
from tests.support.deployment import Deployment


def judgement(deployment: Deployment, loads: Sequence[Load]) -> dict[str, list[str]]:
    """What is wrong with a run that has settled; empty when nothing is."""
    wishes = [wish for load in loads for wish in load.wishes.values()]
    acknowledged = [request_id for load in loads for request_id in load.acknowledged]
    records: dict[str, Any] = {}
    for wish in wishes:
        records |= {record["id"]: record for record in deployment.api.requests(contentMediaId=wish.media)}
    states = {wish.media: deployment.avos.state(wish.media) for wish in wishes}
    media = {wish.media.casefold() for wish in wishes}
    journal = [
        e
        for e in deployment.avos.journal()
        if e["contentMediaId"] and e["contentMediaId"].casefold() in media
    ]
    assert acknowledged
    assert journal
    return checker.judge(journal, acknowledged, records, wishes, states)
