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

from celery import signature
from celery.app.trace import fast_trace_task, trace_task_ret
from celery.worker.state import task_reserved

from workers.presentation import Note, ShownTask, ShownTaskRequest


@dataclass(frozen=True, slots=True)
class _NoMessage:
    """A request that no broker has carried."""

    delivery_info: dict[str, Any]
    properties: dict[str, Any] = field(default_factory=dict)


class ChainRequest(ShownTaskRequest):
    """A request whose task may leave a link to be run in its place, once it is done with itself."""

    def __init_subclass__(cls) -> None:
        # The worker derives a class for each task, with an `on_success` of its own that calls nobody's. This runs after it.
        finish = cls.on_success

        def on_success(self: ChainRequest, outcome: tuple[bool, Any, float], **options: Any) -> None:
            finish(self, outcome, **options)
            self._hand_over()

        cls.on_success = on_success

    def result_line(self, text: str) -> str:
        return f"{text}: {self.argsrepr}"

    def _hand_over(self) -> None:
        note = self.request_dict.pop("note", None)
        if note is None or note.chain is None:
            return
        link = self._next_request(signature(note.chain.pop(), app=self.app), note)
        if link.revoked():
            return
        task_reserved(link)
        link.on_accepted(os.getpid(), time.monotonic())
        trace = fast_trace_task if self.app.use_fast_trace_task else trace_task_ret
        link.on_success(trace(link.type, link.id, link.request_dict, link.body, None, None))

    def _next_request(self, link: Any, note: Note) -> ChainRequest:
        """The link as the request that the broker would have brought."""
        args = link.args if link.immutable else (note.value, *link.args)
        made = self.app.amqp.create_task_message(
            link.options["task_id"],
            link.task,
            args=args,
            kwargs=link.kwargs,
            chain=note.chain,
            root_id=self.root_id or self.id,
            parent_id=self.id,
            ignore_result=True,
            argsrepr=self.argsrepr,  # what both are about
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


class ChainLink(ShownTask):
    """The base of tasks that stand in a chain. `handed_on`: what is shown of one whose result the next link gets."""

    abstract = True
    Request = f"{__name__}:ChainRequest"
    handed_on = "handed on"

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        result = super().__call__(*args, **kwargs)
        request: Any = self.request
        chain, note = request.chain, request.get("note")
        if not chain:
            return result
        inline = note is not None and self.app.conf.get("inline_chain", True)
        if result is not None:
            self.show(self.handed_on)
            if inline:
                note.chain, note.value = chain, result
            else:
                chain[-1]["options"]["argsrepr"] = request.get("argsrepr")
        if result is None or inline:
            request.chain = None  # the tracer sends what it still finds here
        return result
