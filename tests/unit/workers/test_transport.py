"""Messages fetched some at a time, by kombu's own loop, from a real server."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import pytest
from kombu import Connection, Consumer, Queue
from kombu import transport as transports
from kombu.asynchronous import Hub, get_event_loop, set_event_loop
from kombu.transport import redis as kombus
from redis import Redis

from app.platform.dispatch import Envelope
from tests.support.server import RealServer
from tests.support.wait import until
from workers.transport import AT_ONCE, BatchTransport, Channel, install


class Fetched:
    """One consumer of two queues and what it has been given, in order; nothing is acknowledged by itself."""

    def __init__(self, connection: Connection, prefetch: int) -> None:
        self.bodies: list[Any] = []
        self.messages: list[Any] = []
        self.turns = 0
        self.hub = Hub()
        set_event_loop(self.hub)
        connection.transport.register_with_event_loop(connection.connection, self.hub)
        self.channel = channel = connection.channel()
        queues = [Queue(name, routing_key=name) for name in ("live", "pending")]
        self.consumer = Consumer(channel, queues, callbacks=[self._take], accept=["json"])
        self.consumer.qos(prefetch_count=prefetch)
        self.consumer.consume()
        self._loop = self.hub.create_loop()

    def _take(self, body: Any, message: Any) -> None:
        self.bodies.append(body)
        self.messages.append(message)

    def until(self, count: int, turns: int = 2000) -> None:
        """Let the loop turn until so many messages are there; the server answers in a turn or two."""
        while len(self.bodies) < count:
            assert self.turns < turns, f"{len(self.bodies)} of {count} messages after {turns} turns"
            self.turns += 1
            next(self._loop)


@pytest.fixture
def connection(real_server: RealServer, tenant: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Connection]:
    # A worker installs it before its first connection; here others may have been open before, and come after.
    monkeypatch.setattr(transports, "_transport_cache", {})
    for scheme in ("redis", "rediss"):
        monkeypatch.setitem(transports.TRANSPORT_ALIASES, scheme, "none")
    install()
    options = {"global_keyprefix": Envelope(tenant).prefix, "ack_emulation": False, "priority_steps": [0]}
    with Connection(real_server.broker_url, transport_options=options) as connection:
        assert isinstance(connection.transport, BatchTransport)
        yield connection
        if (hub := get_event_loop()) is not None:
            hub.close()
        # What was asked for and not answered yet stands in no pool.
        for channel in list(connection.connection.channels):
            if (asking := getattr(channel.__dict__.get("client"), "connection", None)) is not None:
                asking.disconnect()
    set_event_loop(None)


def publish(connection: Connection, queue: str, numbers: range) -> None:
    with connection.Producer(serializer="json") as producer:
        for number in numbers:
            producer.publish(number, routing_key=queue, declare=[Queue(queue, routing_key=queue)])


def calls(client: Redis, command: str) -> int:
    return int(client.info("commandstats").get(f"cmdstat_{command}", {"calls": 0})["calls"])


def test_a_backlog_comes_in_order_and_some_at_a_time(connection: Connection, redis_client: Redis) -> None:
    publish(connection, "live", range(40))
    before = calls(redis_client, "blmpop")
    fetched = Fetched(connection, prefetch=100)
    fetched.until(40)
    assert fetched.bodies == list(range(40))
    assert calls(redis_client, "blmpop") - before <= 40 // AT_ONCE + 2


def test_no_more_is_held_than_the_prefetch_count_allows(connection: Connection, redis_client: Redis) -> None:
    publish(connection, "live", range(30))
    fetched = Fetched(connection, prefetch=5)
    fetched.until(5)
    for _ in range(3):
        next(fetched._loop)
    assert fetched.bodies == list(range(5))
    for message in fetched.messages:
        message.ack()
    fetched.until(10)
    assert fetched.bodies == list(range(10))


def test_no_queue_waits_for_another(connection: Connection) -> None:
    publish(connection, "live", range(100))
    publish(connection, "pending", range(1000, 1003))
    fetched = Fetched(connection, prefetch=200)
    fetched.until(2 * AT_ONCE)
    assert {1000, 1001, 1002} <= set(fetched.bodies)


def test_what_cannot_be_read_is_dropped_alone(
    connection: Connection, redis_client: Redis, tenant: str, capsys: pytest.CaptureFixture[str]
) -> None:
    publish(connection, "live", range(2))
    queue = Envelope(tenant).queue_key("live")
    last, first = redis_client.lrange(queue, 0, -1)
    half = b'{"properties":{"delivery_tag":"t","body_encoding":"base64"},"body":"x"}'
    bad = [b"{no json", b"\xff", b'"text"', b"null", b"[]", b"{}", b"[" * 100_000, half]
    redis_client.delete(queue)
    redis_client.lpush(queue, first, *bad, last)
    fetched = Fetched(connection, prefetch=100)
    fetched.until(2)
    assert fetched.bodies == [0, 1]
    assert capsys.readouterr().out.count("a message can't be read and is dropped") == len(bad)


def test_a_message_that_breaks_its_consumer_takes_no_other_with_it(
    connection: Connection, redis_client: Redis, tenant: str
) -> None:
    publish(connection, "live", range(4))
    fetched = Fetched(connection, prefetch=100)

    def broken(body: Any, message: Any) -> None:
        fetched.bodies.append(body)
        if body == 1:
            raise RuntimeError("a fault of ours")

    fetched.consumer.callbacks = [broken]
    with pytest.raises(RuntimeError):
        fetched.until(4)
    assert fetched.bodies == [0, 1]
    assert redis_client.llen(Envelope(tenant).queue_key("live")) == 2


def test_what_was_popped_for_who_stops_goes_back_as_it_was(
    connection: Connection, redis_client: Redis, tenant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetched = Fetched(connection, prefetch=100)
    # The question stays open, however slow this machine is.
    monkeypatch.setattr(fetched.channel, "brpop_timeout", 60)
    for _ in range(3):
        next(fetched._loop)  # it asks, and is answered by nobody
    queue = Envelope(tenant).queue_key("live")
    messages = [Envelope(tenant).canary("live", "live", at) for at in range(20)]
    redis_client.lpush(queue, *messages)
    # The server takes the question before or after the messages: who asked doesn't wait for it.
    until(lambda: redis_client.llen(queue) < len(messages), what="the open question's answer")
    fetched.consumer.cancel()
    assert redis_client.lrange(queue, 0, -1) == [message.encode() for message in reversed(messages)]
    assert fetched.bodies == []
    assert redis_client.keys(f"{tenant}:unblock*") == []


def test_who_has_stopped_pops_nothing_more(connection: Connection, redis_client: Redis, tenant: str) -> None:
    fetched = Fetched(connection, prefetch=100)
    for _ in range(3):
        next(fetched._loop)
    fetched.consumer.cancel()
    queue = Envelope(tenant).queue_key("live")
    redis_client.lpush(queue, "a message")
    assert redis_client.lrange(queue, 0, -1) == [b"a message"]
    assert redis_client.keys(f"{tenant}:unblock*") == []


def test_what_is_replaced_is_still_what_kombu_calls() -> None:
    """For the pinned version: the two halves of asking, with the arguments that they have here."""
    for name in ("_brpop_start", "_brpop_read"):
        ours, theirs = (inspect.signature(getattr(kind, name)) for kind in (Channel, kombus.Channel))
        assert list(ours.parameters) == list(theirs.parameters)
    poller = inspect.getsource(kombus.MultiChannelPoller)
    assert "_brpop_start()" in poller
    assert "_brpop_read" in inspect.getsource(kombus.Channel.__init__)
