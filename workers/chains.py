"""How a chain goes on: in this process, or through the broker.

Through the broker a link costs three round trips, and under a backlog every GET would run before
the first PATCH. So by default (setting MEDIAOPS_INLINE_CHAIN) the worker that has run the first
link of a chain runs the second one too, at once. The second link is a request of its own, with its
own id; its task's own tracer runs it, and its received, started and succeeded events follow those
of the first link. Celery's accounting, Flower and the logs see two tasks, as they do with the
broker.

Either way a link that returns None ends its chain: there is nothing to hand on.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from typing import Any

from celery import signature
from celery.app.trace import fast_trace_task, trace_task_ret
from celery.worker.state import task_reserved

from workers.presentation import RunNotes, ShownTask, ShownTaskRequest


@dataclass(frozen=True, slots=True)
class _NoMessage:
    """Stands for the message of a request that no broker has carried."""

    delivery_info: dict[str, Any]
    properties: dict[str, Any] = field(default_factory=dict)


class ChainRequest(ShownTaskRequest):
    """A request whose task may leave a link behind; the link runs in its place once it has
    succeeded."""

    def __init_subclass__(cls) -> None:
        # For each task the worker derives a class whose own `on_success` doesn't call ours. This
        # runs after it.
        finish = cls.on_success

        def on_success(self: ChainRequest, outcome: tuple[bool, Any, float], **options: Any) -> None:
            finish(self, outcome, **options)
            self._run_next_link()

        cls.on_success = on_success

    def result_line(self, text: str) -> str:
        return f"{text}: {self.argsrepr}"

    def _run_next_link(self) -> None:
        notes = self.request_dict.pop("run_notes", None)
        if notes is None or notes.chain is None:
            return
        link = self._next_request(signature(notes.chain.pop(), app=self.app), notes)
        if link.revoked():
            return
        task_reserved(link)
        link.on_accepted(os.getpid(), time.monotonic())
        trace = fast_trace_task if self.app.use_fast_trace_task else trace_task_ret
        link.on_success(trace(link.type, link.id, link.request_dict, link.body, None, None))

    def _next_request(self, link: Any, notes: RunNotes) -> ChainRequest:
        """The link as the request that the broker would have brought."""
        args = link.args if link.immutable else (notes.value, *link.args)
        made = self.app.amqp.create_task_message(
            link.options["task_id"],
            link.task,
            args=args,
            kwargs=link.kwargs,
            chain=notes.chain,
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
    """The base of tasks in a chain. `handed_on`: what Flower shows as the result of a task whose
    result goes to the next link."""

    abstract = True
    Request = f"{__name__}:ChainRequest"
    handed_on = "handed on"

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        result = super().__call__(*args, **kwargs)
        request: Any = self.request
        chain, notes = request.chain, request.get("run_notes")
        if not chain:
            return result
        inline = notes is not None and self.app.conf.get("inline_chain", True)
        if result is not None:
            self.show(self.handed_on)
            if inline:
                notes.chain, notes.value = chain, result
            else:
                chain[-1]["options"]["argsrepr"] = request.get("argsrepr")
        if result is None or inline:
            request.chain = None  # the tracer would send what it finds here
        return result
