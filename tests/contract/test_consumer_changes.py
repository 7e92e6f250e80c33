"""A consumer's topics are changed while its events are under way: what isn't wanted any more leaves nothing behind."""

from __future__ import annotations

from app.events.consumers.model import ConsumerState
from tests.support.consumers import DOWN, OK, OTHER, TOPIC, ConsumerBench


def test_an_event_that_fails_after_its_topic_was_taken_out_is_not_tried_again(
    consumers: ConsumerBench,
) -> None:
    sink = consumers.consumer(topics={TOPIC: (), OTHER: ()}, ordered=False, in_flight=2)
    without = consumers.spec(topics={OTHER: ()}, ordered=False, in_flight=2)
    sink.during = lambda: None if sink.calls else consumers.store.update(without)
    sink.say = lambda one: DOWN if one.topic == TOPIC else OK
    consumers.publish()
    consumers.work()
    assert [one.topic for call in sink.calls for one in call] == [TOPIC]
    assert consumers.status().open == 0
    consumers.tick(400)
    consumers.publish(topic=OTHER)
    consumers.work()
    assert [one.topic for call in sink.calls for one in call] == [TOPIC, OTHER]
    consumers.stands_in_one_place()


def test_a_replay_leaves_out_a_topic_that_is_taken_out_and_ends(consumers: ConsumerBench) -> None:
    sink = consumers.consumer(topics={TOPIC: (), OTHER: ()})
    consumers.publish(3)
    consumers.publish(2, topic=OTHER)
    consumers.work()
    sink.taken.clear()
    sink.say = lambda _: DOWN
    progress = consumers.store.replay("s1", 0)
    assert consumers.work() == ["resting"]
    consumers.store.update(consumers.spec(topics={OTHER: ()}))
    # Wanted again: the live delivery begins now, and the replay has no place on it any more.
    consumers.store.update(consumers.spec(topics={TOPIC: (), OTHER: ()}))
    sink.say = lambda _: OK
    consumers.tick(2)
    consumers.work()
    assert [(one.topic, one.sequence) for one in sink.taken] == [(OTHER, 1), (OTHER, 2)]
    after = consumers.store.replay_progress("s1", progress.id)
    assert after is not None
    assert (after.state, after.done, after.total) == (ConsumerState.DONE, 5, 5)
    consumers.stands_in_one_place()
