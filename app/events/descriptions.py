"""The catalogue as callers see it: topics, event names, and each family as a JSON schema."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, Final

from apispec import APISpec
from apispec.ext.marshmallow.openapi import OpenAPIConverter

from app.events.catalogue import GONE, GONE_REASON, TOPICS
from app.events.families import SCHEMAS, EnvelopeSchema
from app.platform.inputs import Instant, Schema

_OPENAPI: Final = "3.0.3"


@cache
def described() -> Mapping[str, Any]:
    """The answer of `GET /api/events/catalogue`; the same for every caller."""
    spec = APISpec("events", "1", _OPENAPI)
    # It has no types of its own.
    converter: Any = OpenAPIConverter(_OPENAPI, schema_name_resolver=lambda _schema: None, spec=spec)
    converter.map_to_openapi_type(Instant, "string", "date-time")
    envelope = EnvelopeSchema()
    return {
        "topics": [
            {
                "topic": topic.name,
                "own": topic.own,
                "events": [{"eventName": name, "family": family} for name, family in topic.events.items()],
            }
            for topic in TOPICS.values()
        ],
        "families": {family: _members(converter, schema, envelope) for family, schema in SCHEMAS.items()},
        "envelope": converter.schema2jsonschema(envelope),
        "gone": [
            {"topic": topic, "eventNames": list(names), "reason": GONE_REASON}
            for topic, names in GONE.items()
        ],
    }


def _members(converter: Any, schema: Schema, envelope: Schema) -> Mapping[str, Any]:
    """A family's own members, beside the envelope's."""
    whole: Mapping[str, Any] = converter.schema2jsonschema(schema)
    own = {name: shape for name, shape in whole["properties"].items() if name not in envelope.fields}
    required = [name for name in whole.get("required", ()) if name in own]
    return {**whole, "properties": own, "required": required}
