"""A feed's topics are changed while its events are under way: what isn't wanted any more leaves nothing behind."""

from __future__ import annotations

from app.events.feeds.model import FeedState
from tests.support.feeds import DOWN, OK, OTHER, TOPIC, FeedBench


def test_an_event_that_fails_after_its_topic_was_taken_out_is_not_tried_again(feeds: FeedBench) -> None:
    sink = feeds.feed(topics={TOPIC: (), OTHER: ()}, ordered=False, in_flight=2)
    without = feeds.spec(topics={OTHER: ()}, ordered=False, in_flight=2)
    sink.during = lambda: None if sink.calls else feeds.store.update(without)
    sink.say = lambda one: DOWN if one.topic == TOPIC else OK
    feeds.publish()
    feeds.work()
    assert [one.topic for call in sink.calls for one in call] == [TOPIC]
    assert feeds.status().open == 0
    feeds.tick(400)
    feeds.publish(topic=OTHER)
    feeds.work()
    assert [one.topic for call in sink.calls for one in call] == [TOPIC, OTHER]
    feeds.is_settled()


def test_a_replay_leaves_out_a_topic_that_is_taken_out_and_ends(feeds: FeedBench) -> None:
    sink = feeds.feed(topics={TOPIC: (), OTHER: ()})
    feeds.publish(3)
    feeds.publish(2, topic=OTHER)
    feeds.work()
    sink.taken.clear()
    sink.say = lambda _: DOWN
    progress = feeds.store.replay("s1", 0)
    assert feeds.work() == ["resting"]
    feeds.store.update(feeds.spec(topics={OTHER: ()}))
    # Wanted again: the live delivery begins now, and the replay has no place on it any more.
    feeds.store.update(feeds.spec(topics={TOPIC: (), OTHER: ()}))
    sink.say = lambda _: OK
    feeds.tick(2)
    feeds.work()
    assert [(one.topic, one.sequence) for one in sink.taken] == [(OTHER, 1), (OTHER, 2)]
    after = feeds.store.replay_progress("s1", progress.id)
    assert after is not None
    assert (after.state, after.done, after.total) == (FeedState.DONE, 5, 5)
    feeds.is_settled()
