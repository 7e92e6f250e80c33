"""Hand-built Celery messages, which the Lua scripts push with the change that they announce.

A message of Celery's protocol 2, as kombu's Redis transport stores it, made once with placeholders that a script
replaces by plain text: what takes a placeholder's place needs no escaping (hexadecimal ids, names of
destinations), or has been escaped (`LINE`). Pushing one costs a fourth of `apply_async` and needs no round trip. The tests hold this format against
kombu's own decoder and a real worker, for the pinned versions.

Tasks are known here by name only: `app` never imports `workers`.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from typing import Any, Final

TASK_ID: Final = "@@ID1@@"
LINK_ID: Final = "@@ID2@@"
DELIVERY_TAG: Final = "@@TAG@@"
ARGUMENT: Final = "@@ARG@@"
# What a live task is about, in a line for people: JSON text without its quotes, and never a payload or a secret.
LINE: Final = "@@LINE@@"

# A queue takes the tasks of its own name: task `live.send` goes to queue `live`.
PROMOTE: Final = "pending.promote"
GET_LAST_MODIFIED: Final = "live.get_last_modified"
SEND_PATCH: Final = "live.send_patch"
SEND: Final = "live.send"
DELIVER: Final = "deliveries.deliver"
FAN_OUT: Final = "deliveries.fan_out"
CANARY: Final = "watch.canary"  # goes to any queue
# Both take `deliveries.deliver`: of consumers that keep up, and of the others.
# Not "events": queues share the prefix of all keys, and `{tenant}:events` is the listing of planning's events.
EVENTS: Final = ("deliveries", "deliveries-slow")


class Envelope:
    """The messages of one tenant. Pushed (LPUSH) to `queue_key(queue)`, they are what kombu would have put there."""

    def __init__(self, tenant: str) -> None:
        self.prefix = f"{tenant}:"  # kombu's `global_keyprefix`

    def canary(self, queue: str, target: str, sent_ms: int) -> str:
        """A message for `queue` that only says when it was run; the same bytes for the same arguments, so that it can
        be looked for."""
        task_id = str(uuid.uuid5(uuid.NAMESPACE_URL, f"{self.prefix}{target}:{sent_ms}"))
        template = _message(CANARY, queue=queue, arguments=[target, sent_ms])
        return fill(template, task_id=task_id, link_id="", delivery_tag=task_id, argument=target)

    def queue_key(self, queue: str) -> str:
        """The Redis list in which kombu keeps a queue."""
        return f"{self.prefix}{queue}"


def direct_queue(worker: str) -> str:
    """The queue that only this worker process (by node name) consumes: Celery's `worker_direct`."""
    return f"{worker}.dq2"


def fill(
    template: str, *, task_id: str, link_id: str, delivery_tag: str, argument: str, line: str = ""
) -> str:
    """What the scripts do with a template; for tests and for a message pushed by hand."""
    values = {
        TASK_ID: task_id,
        LINK_ID: link_id,
        DELIVERY_TAG: delivery_tag,
        ARGUMENT: argument,
        LINE: json.dumps(line)[1:-1],
    }
    for placeholder, value in values.items():
        template = template.replace(placeholder, value)
    return template


def _message(
    task: str,
    *,
    then: str | None = None,
    queue: str | None = None,
    arguments: list[Any] | None = None,
    shown: str = f"('{ARGUMENT}',)",
) -> str:
    queue = queue or task.partition(".")[0]
    # The chain stands in reverse, the next link last; it gets this task's result as its argument.
    chain = None if then is None else [_link(then)]
    body = [arguments or [ARGUMENT], {}, {"callbacks": None, "errbacks": None, "chain": chain, "chord": None}]
    message: dict[str, Any] = {
        "body": json.dumps(body, separators=(",", ":")),
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": {
            "lang": "py",
            "task": task,
            "id": TASK_ID,
            "shadow": None,
            "eta": None,
            "expires": None,  # the record decides whether it is still wanted
            "group": None,
            "group_index": None,
            "retries": 0,
            "timelimit": [None, None],
            "root_id": TASK_ID,
            "parent_id": None,
            "argsrepr": shown,
            "kwargsrepr": "{}",
            "origin": "mediaops-sync",
            "ignore_result": True,
            "replaced_task_nesting": 0,
            "stamped_headers": None,
            "stamps": {},
        },
        "properties": {
            # No `body_encoding`: the body is plain text, not base64.
            "correlation_id": TASK_ID,
            "reply_to": "",
            "delivery_mode": 2,
            "delivery_info": {"exchange": "", "routing_key": queue},
            "priority": 0,
            "delivery_tag": DELIVERY_TAG,
        },
    }
    return json.dumps(message, separators=(",", ":"))


def _link(task: str) -> dict[str, Any]:
    """A signature as Celery writes one."""
    return {
        "task": task,
        "args": [],
        "kwargs": {},
        "options": {"task_id": LINK_ID, "reply_to": ""},
        "subtask_type": None,
        "immutable": False,
    }


# "promote" (of a destination), "patch" (the chain GET, then PATCH), "send" (of a request); "deliveries" and
# "deliveries-slow" (deliver a consumer) after their queues, "fan_out" (wake the listeners of a topic). The same for every
# tenant; platform/lua/_messages.lua fills them.
TEMPLATES: Final[Mapping[str, str]] = {
    "promote": _message(PROMOTE),
    "patch": _message(GET_LAST_MODIFIED, then=SEND_PATCH, shown=LINE),
    "send": _message(SEND, shown=LINE),
    **{queue: _message(DELIVER, queue=queue) for queue in EVENTS},
    "fan_out": _message(FAN_OUT),
}
