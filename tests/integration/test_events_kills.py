"""Events while their workers and the store are killed again and again: none missing, order kept, what comes twice explained.

Two thousand of them here; `make chaos ARGS='--events 20000 …'` does the same with as many as one likes, and everything else.
"""

from __future__ import annotations

import random
import threading
import time
from pathlib import Path
from typing import Any, Final

import pytest

from tests.chaos.publishers import ASSETS, CATEGORIES, Publisher
from tests.chaos.stream import DELIVERY, SUBSCRIBED, EventStream
from tests.chaos.stream_judge import Excuse, Verdict, judge
from tests.chaos.subscribers import KINESIS
from tests.integration.event_deployment import DELIVERERS, EventDeployment
from tests.support.deployment import TOKEN

EVENTS: Final = 2_000
SECONDS: Final = 12.0
WHO: Final = [one for one in SUBSCRIBED if one.name in ("whole", "names", KINESIS)]
RECEIVING_S: Final = 0.004
# What a worker may do after the store has died beneath it, with an acknowledgement on its way.
_AFTERMATH_S: Final = 6.0


class Killer:
    """Kills a worker of events every second or so, and the store every now and then."""

    def __init__(self, deployment: EventDeployment) -> None:
        self._deployment = deployment
        self._random = random.Random(4)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.excuses: list[Excuse] = []
        self.kills = 0
        self.cuts = 0

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(self._random.uniform(0.6, 1.2)):
            began = time.monotonic()
            if self._random.random() < 0.2:
                self._deployment.power_cut()
                self.excuses.append(Excuse(began, time.monotonic() + _AFTERMATH_S))
                self.cuts += 1
            else:
                part = self._deployment.parts[self._random.choice(DELIVERERS)]
                self.kills += part.alive
                part.kill()
                self.excuses.append(Excuse(began, time.monotonic() + 1))


@pytest.mark.processes
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_no_event_is_lost_or_out_of_order_while_workers_and_the_store_are_killed(tmp_path: Path) -> None:
    with EventDeployment(tmp_path, aws=True) as deployment:
        publisher = Publisher("publisher", "kills", [deployment.api.url], TOKEN, EVENTS, SECONDS)
        stream = EventStream(deployment.api, deployment.subscribers, [publisher], WHO)
        stream.subscribe()
        for name in ("whole", "names"):  # so that there is always something under way to be broken off
            deployment.subscribers.behave(name, {"latency_s": RECEIVING_S})
        killer = Killer(deployment)
        stream.start()
        killer.start()
        try:
            problems = stream.until_heard(60)
        finally:
            killer.stop()
        left = stream.until_delivered(120)
        verdict = judged(deployment, stream, killer)
        facts: dict[str, Any] = {"kills": killer.kills, "power cuts": killer.cuts, **verdict.counted}
        assert (problems, verdict.wrong) == ([], {}), f"{facts}\n{deployment.report()}"
        assert not any(left.values()), f"{left} {facts}\n{deployment.report()}"
        assert stream.problems() == []
        assert killer.kills >= 5
        assert killer.cuts >= 1, facts
        assert publisher.acknowledged == EVENTS
        assert verdict.counted["whole: received"] >= EVENTS
        assert verdict.counted["kinesis: received"] == EVENTS
        print(facts)  # noqa: T201 - for whoever wants to know (-s)


def judged(deployment: EventDeployment, stream: EventStream, killer: Killer) -> Verdict:
    ended = [at for name in DELIVERERS for at in deployment.parts[name].ended]
    excuses = [*killer.excuses, *(Excuse(at - 2.5, at) for at in ended)]
    published = stream.publishers[0].heard.events
    return judge(WHO, deployment.subscribers.receipts(), published, excuses, own=[DELIVERY])


def test_both_kinds_of_subscription_are_among_them() -> None:
    whole, names, stream = WHO
    assert not whole.topics[ASSETS]
    assert names.topics[ASSETS]
    assert names.topics[CATEGORIES]
    assert stream.order == "key"
