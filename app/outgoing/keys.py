"""Redis keys of outgoing requests (docs/data-model.md)."""

from __future__ import annotations

from app.platform.keys import Keys, fold, quoted


class OutgoingKeys(Keys):
    """Destinations have names of ours; lanes and content media come from outside."""

    def request(self, request_id: str) -> str:
        return f"{self.prefix}request:{request_id}"

    def attempts(self, request_id: str) -> str:
        return f"{self.request(request_id)}:attempts"

    @property
    def requests(self) -> str:
        return f"{self.prefix}requests"

    def requests_in(self, state: str) -> str:
        return f"{self.prefix}requests:{state}"

    def requests_of(self, content_media_id: str) -> str:
        return f"{self.prefix}media:{quoted(fold(content_media_id))}:requests"

    def delivered_paths(self, content_media_id: str) -> str:
        return f"{self.prefix}media:{quoted(fold(content_media_id))}:delivered"

    @property
    def finished(self) -> str:
        return f"{self.prefix}finished"

    @property
    def expiry(self) -> str:
        return f"{self.prefix}expiry"

    def pending(self, destination: str) -> str:
        return f"{self.prefix}pending:{destination}"

    def live(self, destination: str) -> str:
        return f"{self.prefix}live:{destination}"

    def failed(self, destination: str) -> str:
        return f"{self.prefix}failed:{destination}"

    def due(self, destination: str) -> str:
        return f"{self.prefix}due:{destination}"

    def lane(self, destination: str, lane: str) -> str:
        return f"{self.prefix}lane:{destination}:{quoted(lane)}"

    def fields(self, destination: str, path: str) -> str:
        return f"{self.prefix}fields:{destination}:{path}"

    def marks(self, destination: str) -> str:
        return f"{self.prefix}marks:{destination}"

    def suspects(self, destination: str) -> str:
        return f"{self.prefix}suspects:{destination}"

    def instances(self, family: str) -> str:
        return f"{self.prefix}instances:{family}"

    def destination(self, destination: str) -> str:
        return f"{self.prefix}destination:{destination}"

    @property
    def held(self) -> str:
        return f"{self.prefix}held"

    @property
    def held_by(self) -> str:
        return f"{self.prefix}held:by"

    def timeline(self, content_media_id: str) -> str:
        return f"{self.prefix}media:{quoted(fold(content_media_id))}:timeline"

    def operation(self, operation_id: str) -> str:
        return f"{self.prefix}operation:{operation_id}"
