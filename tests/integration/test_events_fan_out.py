"""Many subscriptions that listen to the same topics: a worker wakes them, and each gets all of it in order."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from tests.chaos.publishers import TOPICS, Publisher
from tests.chaos.stream import EventStream
from tests.chaos.stream_judge import Subscribed, judge
from tests.integration.event_deployment import EventDeployment
from tests.support.deployment import TOKEN

EVENTS: Final = 40
MANY: Final = 40  # above what a publishing script wakes by itself
WHOLE: Final[dict[str, frozenset[str]]] = dict.fromkeys(TOPICS, frozenset())


@pytest.mark.processes
@pytest.mark.slow
@pytest.mark.timeout(200)
def test_many_that_listen_get_everything_in_order(tmp_path: Path) -> None:
    wanted = [Subscribed(f"one-{number}", WHOLE) for number in range(MANY)]
    with EventDeployment(tmp_path, slots=8) as deployment:
        publisher = Publisher("publisher", "fan-out", [deployment.api.url], TOKEN, EVENTS, 3)
        stream = EventStream(deployment.api, deployment.subscribers, [publisher], wanted)
        stream.subscribe()
        stream.start()
        assert stream.until_heard(90) == []
        left = stream.until_delivered(90)
        assert not any(left.values()), left
        assert judge(wanted, deployment.subscribers.receipts(), publisher.heard.events).wrong == {}
        logs = "".join(
            part.written for part in deployment.parts.values() if part.name.startswith("deliveries")
        )
        assert "unregistered task" not in logs
