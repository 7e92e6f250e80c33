from __future__ import annotations

import json
from typing import Any

import pytest
from celery import Celery, chain
from kombu import Connection
from redis import Redis

from app.platform.dispatch import GET_LAST_MODIFIED, PROMOTE, SEND, SEND_PATCH, TEMPLATES, Envelope, fill
from tests.support.server import RealServer

TASK, LINK, TAG, ARGUMENT = "1" * 32, "2" * 32, "3" * 32, "a" * 32
LINE = 'Brøndby "Øst" - A/B \\ @@ARG@@: booking of CM-1\n(PATCH) 😀'
NAMES = {"promote": PROMOTE, "patch": GET_LAST_MODIFIED, "send": SEND}


@pytest.fixture
def celery(real_server: RealServer, tenant: str) -> Celery:
    """A publisher as plain Celery has it, under this test's tenant."""
    app = Celery("publisher", broker=real_server.broker_url, set_as_current=False)
    app.conf.update(
        broker_transport_options={"global_keyprefix": Envelope(tenant).prefix},
        task_ignore_result=True,
        task_serializer="json",
    )
    return app


def handmade(tenant: str, kind: str) -> dict[str, Any]:
    text = fill(
        TEMPLATES[kind],
        task_id=TASK,
        link_id=LINK,
        delivery_tag=TAG,
        argument=ARGUMENT,
        line=LINE,
    )
    message: dict[str, Any] = json.loads(text)
    return message


@pytest.mark.parametrize("kind", ["promote", "patch", "send"])
def test_a_handmade_message_says_what_celerys_own_says(
    kind: str, celery: Celery, tenant: str, redis_client: Redis
) -> None:
    first = celery.signature(NAMES[kind], args=(ARGUMENT,)).set(queue=NAMES[kind].split(".")[0], task_id=TASK)
    call = (
        chain(first, celery.signature(SEND_PATCH).set(task_id=LINK), app=celery) if kind == "patch" else first
    )
    call.apply_async()
    raw = redis_client.rpop(Envelope(tenant).queue_key(NAMES[kind].split(".")[0]))
    assert isinstance(raw, bytes)
    pushed = json.loads(raw)
    ours = handmade(tenant, kind)

    assert set(ours["headers"]) == set(pushed["headers"])
    for name in set(ours["headers"]) - {"origin", "ignore_result", "root_id", "id", "argsrepr"}:
        assert ours["headers"][name] == pushed["headers"][name], name
    assert set(pushed["properties"]) - set(ours["properties"]) == {"body_encoding"}
    assert set(ours["properties"]) <= set(pushed["properties"])
    for name in ("content-encoding", "content-type"):
        assert ours[name] == pushed[name]


@pytest.mark.parametrize("kind", ["promote", "patch", "send"])
def test_kombu_decodes_a_handmade_message(kind: str, tenant: str, real_server: RealServer) -> None:
    with Connection(
        real_server.broker_url, transport_options={"global_keyprefix": Envelope(tenant).prefix}
    ) as connection:
        channel: Any = connection.default_channel
        message = channel.message_to_python(handmade(tenant, kind))
        args, kwargs, embed = message.decode()
    assert (args, kwargs) == ([ARGUMENT], {})
    assert message.headers["task"] == NAMES[kind]
    assert message.headers["id"] == message.headers["root_id"] == message.properties["correlation_id"] == TASK
    assert message.headers["expires"] is None
    assert message.delivery_tag == TAG
    assert message.headers["argsrepr"] == (f"({ARGUMENT!r},)" if kind == "promote" else LINE)
    if kind == "patch":
        (link,) = embed["chain"]
        assert (link["task"], link["options"]["task_id"], link["immutable"]) == (SEND_PATCH, LINK, False)
    else:
        assert embed["chain"] is None


def test_a_template_has_exactly_the_placeholders_that_the_scripts_fill(tenant: str) -> None:
    for kind in NAMES:
        assert "@@" not in json.dumps(handmade(tenant, kind)).replace(json.dumps(LINE), "")


def test_queues_stand_under_the_tenant(tenant: str) -> None:
    assert Envelope(tenant).queue_key("live") == f"{tenant}:live"
