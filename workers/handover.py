"""How a chain goes on: handed over in this process, or sent through the broker.

A hop through the broker costs three round trips and lets, under a backlog, every GET run before the first PATCH. So the
second link of a chain runs in the worker that has just run the first (setting MEDIAOPS_INLINE_CHAIN, on by default): as a
request of its own with its own id, through that task's own tracer, with its own received, started and succeeded events,
after the first link's. Celery's accounting, Flower and the logs see two tasks, as they do when the broker carries it.

A link that returns None ends its chain either way: there is nothing to hand on.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from typing import Any

from celery import Task, signature
from celery.app.trace import fast_trace_task, trace_task_ret
from celery.worker.request import Request
from celery.worker.state import task_reserved


class Handover:
    """What a link leaves for the request that carries it: the rest of its chain, and what it returned."""

    __slots__ = ("chain", "value")

    def __init__(self) -> None:
        self.chain: list[Any] | None = None
        self.value: Any = None


@dataclass(frozen=True, slots=True)
class _NoMessage:
    """A request that no broker has carried."""

    delivery_info: dict[str, Any]
    properties: dict[str, Any] = field(default_factory=dict)


# Typed loosely: celery-types has other signatures for some of its methods than Celery.
_Request: Any = Request


class ChainRequest(_Request):  # type: ignore[misc]
    """A request whose task may leave a link to be run in its place, once it is done with itself."""

    def __init_subclass__(cls) -> None:
        # The worker derives a class for each task, with an `on_success` of its own that calls nobody's. This runs after it.
        finish = cls.on_success

        def on_success(self: ChainRequest, outcome: tuple[bool, Any, float], **options: Any) -> None:
            finish(self, outcome, **options)
            self._hand_over()

        cls.on_success = on_success

    def on_accepted(self, pid: int, time_accepted: float) -> None:
        # In another process (prefork) a link would be left in a copy, and this one would wait for the whole call.
        if pid == os.getpid() and self.app.conf.get("inline_chain", True):
            self.request_dict["handover"] = Handover()
        super().on_accepted(pid, time_accepted)

    def _hand_over(self) -> None:
        handover = self.request_dict.pop("handover", None)
        if handover is None or handover.chain is None:
            return
        link = self._next_request(signature(handover.chain.pop(), app=self.app), handover)
        if link.revoked():
            return
        task_reserved(link)
        link.send_event(
            "task-received",
            name=link.name,
            args=link.argsrepr,
            kwargs=link.kwargsrepr,
            root_id=link.root_id,
            parent_id=link.parent_id,
            retries=0,
            eta=None,
            expires=None,
        )
        link.on_accepted(os.getpid(), time.monotonic())
        trace = fast_trace_task if self.app.use_fast_trace_task else trace_task_ret
        link.on_success(trace(link.type, link.id, link.request_dict, link.body, None, None))

    def _next_request(self, link: Any, handover: Handover) -> ChainRequest:
        """The link as the request that the broker would have brought."""
        args = link.args if link.immutable else (handover.value, *link.args)
        made = self.app.amqp.create_task_message(
            link.options["task_id"],
            link.task,
            args=args,
            kwargs=link.kwargs,
            chain=handover.chain,
            root_id=self.root_id or self.id,
            parent_id=self.id,
            ignore_result=True,
            # Flower would show the first kilobyte of it, and writing that out costs a tenth of a link.
            argsrepr=f"(<result of {self.name}{self.argsrepr}>,)",
            kwargsrepr="{}",
        )
        request = type(self)(
            _NoMessage(self.delivery_info, made.properties),
            hostname=self.hostname,
            eventer=self.eventer,
            app=self.app,
            connection_errors=self.connection_errors,
            task=self.app.tasks[link.task],
            body=made.body,
            headers=made.headers,
            decoded=True,
        )
        request.acknowledged = True  # there is no message to acknowledge
        return request


class ChainLink(Task):  # type: ignore[type-arg]
    """The base of tasks that stand in a chain."""

    abstract = True
    Request = f"{__name__}:ChainRequest"

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        result = self.run(*args, **kwargs)
        chain, handover = self.request.chain, self.request.get("handover")
        if chain and (result is None or handover is not None):
            if result is not None:
                handover.chain, handover.value = chain, result
            self.request.chain = None  # the tracer sends what it still finds here
        return result
