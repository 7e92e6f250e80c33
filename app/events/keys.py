"""Redis keys of the event log, of consumers and of subscriptions (docs/data-model.md)."""

from __future__ import annotations

from app.platform.keys import Keys


class EventKeys(Keys):
    """Consumers keep their names of an earlier release, `feed:` and `feeds:`."""

    def log(self, topic: str) -> str:
        return f"{self.prefix}log:{topic}"

    def log_sequence(self, topic: str) -> str:
        return f"{self.log(topic)}:sequence"

    def log_guids(self, topic: str, span: int) -> str:
        return f"{self.log(topic)}:guids:{span}"

    @property
    def events_room(self) -> str:
        return f"{self.prefix}store:events-room"

    @property
    def events_memory(self) -> str:
        return f"{self.prefix}store:events"

    @property
    def log_epoch(self) -> str:
        return f"{self.prefix}log:epoch"

    # Consumers and subscriptions: their ids are ours, of letters, digits, '-' and '.'.
    def listening(self, topic: str, name: str | None = None) -> str:
        """Consumers that listen to all of a topic, or to events of this name."""
        return f"{self.log(topic)}:listeners" + (f":{name}" if name else "")

    def log_news(self, topic: str) -> str:
        return f"{self.log(topic)}:news"

    def consumer(self, consumer_id: str) -> str:
        return f"{self.prefix}feed:{consumer_id}"

    def consumer_part(self, consumer_id: str, part: str) -> str:
        """`part`: cursor, previous, open, ahead, attempts, parked, parked:why, counters."""
        return f"{self.consumer(consumer_id)}:{part}"

    @property
    def consumers(self) -> str:
        return f"{self.prefix}feeds"

    @property
    def consumers_due(self) -> str:
        return f"{self.prefix}feeds:due"

    @property
    def consumers_news(self) -> str:
        return f"{self.prefix}feeds:news"

    @property
    def consumers_totals(self) -> str:
        return f"{self.prefix}feeds:totals"

    @property
    def consumer_messages(self) -> str:
        return f"{self.prefix}feeds:messages"

    def subscription(self, subscription_id: str) -> str:
        return f"{self.prefix}subscription:{subscription_id}"

    @property
    def subscriptions(self) -> str:
        return f"{self.prefix}subscriptions"

    def deliveries(self, subscription_id: str) -> str:
        return f"{self.subscription(subscription_id)}:deliveries"
