"""Subscribers that hang, refuse and drip beside those that are well: nobody waits for them, and nothing of theirs is lost."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import pytest

from tests.chaos.publishers import TOPICS, Publisher
from tests.chaos.stream import EventStream
from tests.chaos.stream_judge import ANY, Excuse, Subscribed, judge
from tests.integration.event_deployment import EventDeployment
from tests.support.callers import eventually
from tests.support.deployment import TOKEN

EVENTS: Final = 150
# An answer in drips takes longer than a call may.
BAD: Final[dict[str, dict[str, Any]]] = {
    "hanging": {"hang": True},
    "refusing": {"status": 503},
    "dripping": {"drip_s": 0.5, "drips": 100},
}
WELL: Final = ("first", "second", "third", "fourth")
WHOLE: Final[dict[str, frozenset[str]]] = dict.fromkeys(TOPICS, frozenset())
ALL: Final = [
    *(Subscribed(name, WHOLE) for name in (*WELL, *BAD)),
    # The same again with several calls at once.
    *(Subscribed(f"{name}-free", WHOLE, order=ANY) for name in BAD),
]


def told_wrong(view: dict[str, Any]) -> str | None:
    code: str | None = (view["lastError"] or {}).get("code")
    return code


@pytest.mark.processes
@pytest.mark.slow
@pytest.mark.timeout(200)
def test_receivers_that_hang_refuse_or_drip_stop_nobody_else(tmp_path: Path) -> None:
    with EventDeployment(tmp_path, slots=8) as deployment:
        publisher = Publisher("publisher", "isolation", [deployment.api.url], TOKEN, EVENTS, 3)
        stream = EventStream(deployment.api, deployment.subscribers, [publisher], ALL)
        stream.subscribe()
        for name, switches in BAD.items():
            deployment.subscribers.behave(name, switches)
            deployment.subscribers.behave(f"{name}-free", switches)
        stream.start()
        assert stream.until_heard(60) == []

        def received(name: str) -> int:
            places = {
                (one.topic, one.sequence)
                for one in deployment.subscribers.receipts()
                if one.subscription == name
            }
            return len(places)

        eventually(lambda: all(received(name) == EVENTS for name in WELL), timeout_s=60, what="the others")
        bad = [name for name in stream.ids if name not in WELL]
        shown = {name: deployment.api.get(f"/api/subscriptions/{stream.ids[name]}") for name in bad}
        assert all(view["counters"].get("delivered", 0) == 0 for view in shown.values()), shown

        def all_told() -> bool:
            views = {name: deployment.api.get(f"/api/subscriptions/{stream.ids[name]}") for name in bad}
            return all(told_wrong(view) for view in views.values())

        eventually(all_told, timeout_s=60, what="what is wrong with them to be shown")
        log = deployment.api.get(f"/api/subscriptions/{stream.ids['hanging']}/deliveries")["deliveries"]
        assert log[0]["outcome"] == "failed"
        assert log[0]["latencyMs"] <= 20_000, "a call has its end"

        # Well again, they get all of it. Who dripped had taken an event long before its answer was given up.
        for name in bad:
            deployment.subscribers.behave(name, {})
        left = stream.until_delivered(120)
        assert not any(left.values()), left
        published = publisher.heard.events
        excuses = [Excuse(0, float("inf"), name) for name in ("dripping", "dripping-free")]
        assert judge(ALL, deployment.subscribers.receipts(), published, excuses).wrong == {}
