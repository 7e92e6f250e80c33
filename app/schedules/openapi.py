"""What the API's description says of the scheduler beside its routes."""

from __future__ import annotations

from app.http.openapi import Api
from app.schedules.schemas import CatchUp, ScheduleErrorSchema, Seconds


def describe_schedules(api: Api) -> None:
    """The account's key, the errors, and what Python's types don't tell."""
    account = {"type": "apiKey", "in": "header", "name": "X-API-KEY"}
    api.spec.components.security_scheme("account", account)
    api.spec.components.schema("ScheduleError", schema=ScheduleErrorSchema)
    api.register_field(Seconds, "number", None)
    api.register_field(CatchUp, "string", None)
