"""Which topics and event names there are, which family each event belongs to, and what is gone
since 2.x.

`entity_of`: what an event is about, by which its order, its group and its partition are kept.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from app.platform.errors import BadRequest, Forbidden, InvalidInput


@dataclass(frozen=True, slots=True)
class Topic:
    """`events`: event name → family. Only this system itself publishes on its `own` topics."""

    name: str
    events: Mapping[str, str]
    own: bool = False


def _all(family: str, *names: str) -> dict[str, str]:
    return dict.fromkeys(names, family)


_CHANGES: Final = ("created", "updated", "deleted")
_PUBLISHING: Final = (*_CHANGES, "published", "unpublished")
_TOPICS: Final = (
    Topic("user-service-domain-events", {"user-domain-event": "user", "order-domain-event": "order"}),
    Topic("asset-operations", _all("asset", *(f"asset-{what}" for what in _PUBLISHING))),
    Topic("category-operations", _all("category", *(f"category-{what}" for what in _PUBLISHING))),
    Topic("api-internal-order-capture", {"capture-order": "capture"}),
    Topic("content-panel-operations", _all("contentPanel", *(f"content-panel-{what}" for what in _CHANGES))),
    Topic(
        "media-content-events",
        {"mce-ingest-started": "ingestStarted"}
        | _all("ingest", "mce-ingest-failed", "mce-ingest-cancelled", "mce-ingest-completed"),
    ),
    Topic(
        "livestream-operations",
        _all("livestream", "livestream-registered", "livestream-unregistered"),
        own=True,
    ),
    Topic(
        "sync-operations",
        _all("sync", *(f"sync-{what}" for what in ("delivered", "failed", "recovered", "expired", "rejected")))
        | {"sync-drifted": "drift"}
        | _all("destination", "destination-opened", "destination-closed"),
        own=True,
    ),
    Topic(
        "schedule-operations",
        _all(
            "schedule",
            *(f"schedule-{what}" for what in ("created", "updated", "cancelled", "activated", "deactivated", "failed")),
        ),
        own=True,
    ),
    Topic(
        "delivery-operations",
        _all("subscription", *(f"subscription-{what}" for what in ("failing", "recovered", "disabled", "gap"))),
        own=True,
    ),
)  # fmt: skip

TOPICS: Final[Mapping[str, Topic]] = MappingProxyType({topic.name: topic for topic in _TOPICS})

_PLAYLIST: Final = ("created", "asset-added", "asset-deleted", "status-changed", "deleted", "overwritten", "massdelete")  # fmt: skip
_VMFM: Final = (
    "asset-media-import-queued", "vmfm-ingest-skipped", "vmfm-retrieve-started", "vmfm-retrieve-completed",
    "vmfm-transcoder-jobs-generated", "vmfm-transcoder-started", "vmfm-transcoder-progress",
    "vmfm-transcoder-completed", "vmfm-archive-started", "vmfm-archive-completed", "vmfm-distribution-job-generated",
    "vmfm-distribution-started", "vmfm-distribution-completed", "vmfm-distribution-all-completed",
    "vmfm-video-file-deleted",
)  # fmt: skip

GONE_REASON: Final = "it was taken away with version 2.x, and nothing publishes it any more"
GONE: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "asset-playback": ("user-asset_playback-event",),
        "player-events": ("player_log_event", "next_episode", "player-events"),
        "playlist-operations": tuple(
            f"{kind}playlist-{what}" for kind in ("user", "editorial") for what in _PLAYLIST
        ),
        "vimond_media_file_management": _VMFM,
    }
)
_GONE_NAMES: Final = frozenset(name for names in GONE.values() for name in names)


def topic_of(name: str, field: str = "topic") -> Topic:
    """The topic of this name. Raises BadRequest `gone` or `unknown_topic`."""
    found = TOPICS.get(name)
    if found is not None:
        return found
    if name in GONE:
        raise BadRequest(f"The topic {name} is gone: {GONE_REASON}.", code="gone", field=field)
    raise BadRequest(
        f"There is no topic {name[:100]!r}; there are {', '.join(TOPICS)}.", code="unknown_topic", field=field
    )


def publishable(name: str) -> Topic:
    """The topic of this name, if callers may publish to it. Raises BadRequest, or Forbidden for one of our
    own."""
    found = topic_of(name)
    if found.own:
        raise Forbidden(f"Only this system itself publishes to {name}.", code="own_topic", field="topic")
    return found


def is_gone(event_name: str) -> bool:
    """Whether 2.x took this event away."""
    return event_name in _GONE_NAMES


def name_fault(topic: Topic, event_name: str) -> str | None:
    """What is wrong with an event of this name on this topic, or None."""
    if event_name in topic.events:
        return None
    if is_gone(event_name):
        return f"The event {event_name} is gone: {GONE_REASON}."
    return f"The topic {topic.name} has no event {event_name[:100]!r}; it has {', '.join(topic.events)}."


def check_names(topic: Topic, names: Iterable[str], field: str = "eventNames") -> frozenset[str]:
    """The names as a set, each of which is an event of the topic. Raises InvalidInput."""
    wanted = list(names)
    faults = [(f"{field}[{i}]", fault) for i, name in enumerate(wanted) if (fault := name_fault(topic, name))]
    if faults:
        raise InvalidInput(list(faults))
    return frozenset(wanted)


# What an event of a family is about: its first member that is there. A dot leads into an object.
_ENTITY: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "asset": ("assetId",),
        "category": ("categoryId",),
        "contentPanel": ("contentPanelId",),
        "user": ("payload.userId", "payload.id", "_links.self.href", "id"),
        "order": ("payload.orderId", "payload.id", "_links.self.href", "id"),
        "capture": ("orderId", "userId"),
        "ingestStarted": ("assetId", "ingestId"),
        "ingest": ("assetId", "ingestId"),
        "livestream": ("contentMediaId", "livestreamId"),
        "sync": ("contentMediaId", "requestId"),
        "drift": ("contentMediaId", "requestId"),
        "destination": ("destination",),
        "schedule": ("workflow_id", "workflowId", "job_id", "jobId"),
        "subscription": ("subscriptionId",),
    }
)


def entity_of(topic: str, name: str, event: bytes) -> str:
    """The id of what an event is about, never empty: events of one entity keep their order. Without one,
    its guid."""
    body = json.loads(event)
    found = TOPICS.get(topic)
    family = found.events.get(name, "") if found else ""
    for path in _ENTITY.get(family, ()):
        value = _reach(body, path)
        if isinstance(value, (str, int)) and not isinstance(value, bool) and value != "":
            return str(value)
    return str(body.get("guid") or name)


def _reach(body: Any, path: str) -> Any:
    for step in path.split("."):
        if not isinstance(body, dict):
            return None
        body = body.get(step)
    return body
