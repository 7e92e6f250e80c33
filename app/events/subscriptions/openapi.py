"""What the API's description says of subscriptions beside their routes."""

from __future__ import annotations

from app.events.subscriptions.schemas import SINKS, Start
from app.http.openapi import Api


def describe_subscriptions(api: Api) -> None:
    """The sinks, one schema each, and where a subscription starts."""
    api.register_field(Start, "string", None)
    for name, sink in SINKS.items():
        api.spec.components.schema(f"{name.capitalize()}Sink", schema=sink)
