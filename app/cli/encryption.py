"""`subscriptions reencrypt`, and whether what the store keeps secret is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import click

from app.cli.output import clean, print_json
from app.cli.session import Session, json_option, pass_session
from app.cli.subscriptions import SUBSCRIPTIONS
from app.platform.encryption import Encryption, Standing
from app.platform.errors import Unavailable
from app.platform.keys import Keys
from app.platform.redis import RedisClient, connect, store_errors, typed
from app.settings import Settings, own_command
from app.watch.evaluation import WatchFinding

_NOTHING = b"{}"  # SNS and Kinesis are called as this process's AWS account


@click.command()
@json_option
@pass_session
def reencrypt(session: Session, *, as_json: bool) -> None:
    """Store all webhook secrets and header values under the newest key.

    That is the first line of MEDIAOPS_SECRETS_KEY_FILE, as the API has read it at its start. After it an older key may be
    taken out of the file.
    """
    done = session.client.post(f"{SUBSCRIPTIONS}/reencrypt")
    if as_json:
        print_json(session.out, done)
    else:
        session.say(f"{done['changed']} encrypted under the newest key, {done['unchanged']} were already.")
        for subscription_id in done["unreadable"]:
            session.say(f"{clean(subscription_id)}: none of the keys is that of its secrets.")
    if done["unreadable"]:
        click.get_current_context().exit(1)


def check_secrets(settings: Settings) -> Iterator[WatchFinding]:
    """Are the secrets of subscriptions encrypted, under a key that is there?"""
    client = connect(settings.redis_url)
    try:
        yield from findings_of(
            _stored(typed(client), Keys(settings.tenant)), Encryption(settings.secrets_key)
        )
    except Unavailable as error:
        yield WatchFinding("secrets", "bad", str(error), "Is Redis overloaded?")
    finally:
        client.close()


def _stored(client: RedisClient, keys: Keys) -> list[str]:
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
