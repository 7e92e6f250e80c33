"""What `doctor` checks of subscriptions: whether the store keeps their secrets encrypted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from app.events.keys import EventKeys
from app.platform.container import Container
from app.platform.encryption import Encryption, Standing
from app.platform.redis import RedisClient, store_errors
from app.settings import own_command
from app.watch.evaluation import WatchFinding

_NOTHING = b"{}"  # SNS and Kinesis are called as this process's AWS account


def check_secrets(container: Container) -> Iterator[WatchFinding]:
    """Are the secrets of subscriptions encrypted, under a key that is there? Raises Unavailable."""
    yield from findings_of(_stored(container.client, EventKeys.of(container.keys)), container[Encryption])


def _stored(client: RedisClient, keys: EventKeys) -> list[str]:
    """The secrets of the subscriptions that have some, as they are stored."""
    with store_errors():
        ids = client.zrange(keys.subscriptions, 0, -1)
        pipe = client.pipeline(transaction=False)
        for one in ids:
            pipe.hget(keys.consumer(one.decode()), "secrets")
        return [one.decode() for one in pipe.execute() if one and one != _NOTHING]


def findings_of(stored: Sequence[str], encryption: Encryption) -> Iterator[WatchFinding]:
    """What their standing means."""
    count = Counter(encryption.standing(one) for one in stored)
    command = f"`{own_command('subscriptions reencrypt')}` encrypts them."
    if count[Standing.UNREADABLE]:
        yield WatchFinding(
            "secrets",
            "bad",
            f"those of {count[Standing.UNREADABLE]} subscription(s) can't be decrypted",
            "Put their key back into MEDIAOPS_SECRETS_KEY_FILE, or make these subscriptions anew.",
        )
    if count[Standing.PLAIN]:
        way_out = command if encryption.has_key else f"Set MEDIAOPS_SECRETS_KEY_FILE; then {command}"
        detail = f"those of {count[Standing.PLAIN]} subscription(s) are stored in plain text"
        yield WatchFinding("secrets", "warning", detail, way_out)
    if count[Standing.OLDER]:
        detail = f"those of {count[Standing.OLDER]} subscription(s) are encrypted under an older key"
        yield WatchFinding("secrets", "warning", detail, f"Before that key is taken away, {command}")
    if len(stored) == count[Standing.NEWEST]:
        yield WatchFinding(
            "secrets", "ok", f"{len(stored)} subscription(s) have some, all encrypted under the newest key"
        )
