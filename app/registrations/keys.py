"""Redis keys of registrations (docs/data-model.md)."""

from __future__ import annotations

from app.planning.keys import PlanningKeys
from app.platform.keys import fold, quoted


class RegistrationKeys(PlanningKeys):
    """Registering changes what planning has stored, too."""

    def registration(self, livestream_id: str, content_media_id: str) -> str:
        return f"{self.registration_prefix}{quoted(livestream_id)}:{quoted(fold(content_media_id))}"

    @property
    def registration_prefix(self) -> str:
        return f"{self.prefix}registration:"

    @property
    def registrations(self) -> str:
        return f"{self.prefix}registrations"

    @property
    def forgotten_generation(self) -> str:
        return f"{self.prefix}registrations:generation:forgotten"
