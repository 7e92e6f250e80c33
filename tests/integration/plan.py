"""Matches for tests: an event, its job and its registration, each with names of their own."""

from __future__ import annotations

import itertools
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.support.callers import Answer, Api

_numbers = itertools.count(1)
REGISTRATIONS = "/api/custom/livestreams/registrations"


def soon(**span: float) -> datetime:
    """A whole second, some time from now."""
    return datetime.now(UTC).replace(microsecond=0) + timedelta(**span)


def text(instant: datetime) -> str:
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass
class Match:
    """One match in planning. Ids mix case on purpose: they are opaque."""

    api: Api
    name: str = field(default_factory=lambda: f"M{next(_numbers)}x{uuid.uuid4().hex[:6]}")
    kick_off: datetime = field(default_factory=lambda: soon(hours=5))
    end: datetime = field(init=False)

    def __post_init__(self) -> None:
        self.end = self.kick_off + timedelta(hours=2)

    @property
    def livestream(self) -> str:
        return f"ls-{self.name}"

    @property
    def media(self) -> str:
        return f"CM-{self.name}"

    @property
    def pair(self) -> dict[str, str]:
        return {"livestreamId": self.livestream, "contentMediaId": self.media}

    def event(self) -> dict[str, Any]:
        return {
            "name": f"Home - Away {self.name}",
            "eventEnd": text(self.end),
            "livestreams": [
                {"livestreamId": self.livestream, "preKoUtc": text(self.kick_off), "txEventType": "Live"}
            ],
        }

    def job(self) -> dict[str, Any]:
        properties = {
            "DMHE": "true",
            "Destination": "http://example.com/destination1",
            "SourceUri": f"http://example.com/{self.name}",
            "SourceChannelId": "channel123",
        }
        return {
            "eventId": f"ev-{self.name}",
            "status": "confirmed",
            "jobInfo": {"jobStart": text(self.kick_off - timedelta(hours=1)), "jobEnd": text(soon(hours=9))},
            "nodes": [
                {
                    "nodeId": "1",
                    "nodeType": "Resource",
                    "order": 1,
                    "resource": {
                        "name": "ResourceA",
                        "properties": [{"name": n, "value": v} for n, v in properties.items()],
                    },
                }
            ],
        }

    def plan(self) -> Match:
        """Event and job as planning sends them."""
        self.api.put(f"/api/custom/events/ev-{self.name}", self.event())
        self.api.put(f"/api/custom/jobs/job-{self.name}", self.job())
        return self

    def register(self) -> list[str]:
        """Ids of the booking and the source PATCH."""
        answer = self.api.post(REGISTRATIONS, {"contentMediaId": self.media}, livestreamId=self.livestream)
        assert len(answer["requestIds"]) == 2, answer
        return list(answer["requestIds"])

    def unregister(self) -> Answer:
        return self.api.call("DELETE", REGISTRATIONS, params=self.pair)

    def in_step(self) -> Match:
        """Planned, registered and delivered."""
        self.plan()
        self.api.all_become(self.register(), "delivered")
        return self

    def move(self, to: datetime) -> list[str]:
        """Another kick-off, nothing else; ids of what that queued."""
        self.kick_off = to
        return list(self.api.put(f"/api/custom/events/ev-{self.name}", self.event())["requestIds"])

    def force(self) -> list[str]:
        """Both PATCHes once more; their ids."""
        answer = self.api.call("GET", "/api/custom/livestreams/update", params={"contentMediaId": self.media})
        return list(answer.expect(202)["requestIds"])
