"""What has to happen for consumers from time to time. Each of these may run twice at once, or late.

All methods raise `Unavailable` while the store is away.
"""

from __future__ import annotations

from typing import Final

from app.events.catalogue import TOPICS
from app.events.consumers.claims import ConsumerScripts
from app.events.keys import EventKeys
from app.platform.redis import store_errors

# Consumers of one script call, so that nothing holds the server for long (quiet: 40 microseconds each).
TICK_CHUNK: Final = 32
AUDIT_CHUNK: Final = 32
# So many entries may pass a listening consumer's filter by, until the audit notes that it has seen them.
PASSED: Final = 5_000


class ConsumerTicks:
    """The safety net under lost wake-ups, dead workers and broken-off scripts."""

    def __init__(self, scripts: ConsumerScripts) -> None:
        self._scripts = scripts
        self._client = scripts.client
        self._keys = EventKeys.of(scripts.keys)

    def look_after(self) -> int:
        """Wake what has rested long enough, take back what a dead worker had, replace lost wake-ups, and
        wake the listeners of topics whose message was lost; how many consumers were looked at."""
        looked, count = 0, TICK_CHUNK
        while count == TICK_CHUNK:
            count = int(self._scripts.run("tick", {"limit": TICK_CHUNK}))
            looked += count
        with store_errors():
            topics = self._client.smembers(self._keys.consumers_news)
        for topic in topics:
            self.fan_out(topic.decode(), called=False)
        return looked

    def fan_out(self, topic: str, *, called: bool = True) -> int:
        """Wake the listeners of a topic that has news, some dozens a script; how many. `called`: the
        topic's message has come. The whole of task `deliveries.fan_out`."""
        control = {"topic": topic} | ({"called": True} if called else {})
        woken, more = 0, True
        while more:
            count, more = self._scripts.run("fan_out", control)
            woken += int(count)
        return woken

    def audit(self) -> int:
        """Mend what no script should have left; how many consumers that were (those whose filter lets
        little through among them: of these it only notes how far they have seen)."""
        mended, place, looked = 0, 0, AUDIT_CHUNK
        while looked == AUDIT_CHUNK:
            control = {"from": place, "limit": AUDIT_CHUNK, "passed": PASSED}
            some, looked = map(int, self._scripts.run("audit", control))
            mended += some
            place += looked
        self._forget_former_keys()
        return mended

    def _forget_former_keys(self) -> None:
        """Keys in which releases before kept listeners and messages. Those listeners are listening by now, or
        awake."""
        listeners = (f"{self._keys.log(topic)}:feeds" for topic in TOPICS)
        with store_errors():
            self._client.delete(*listeners, self._keys.consumer_messages)
