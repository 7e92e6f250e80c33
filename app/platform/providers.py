"""The services that every package may stand on."""

from __future__ import annotations

from app.platform.audit import AuditTrail
from app.platform.container import Container
from app.platform.dispatch import Envelope
from app.platform.encryption import Encryption
from app.platform.guard import AddressGuard
from app.platform.lifetime import Lifetime
from app.platform.rate import RateLimit
from app.platform.ticks import TickLease
from app.platform.tokens import TokenStore
from app.platform.walk import Walk


def lifetime(_: Container) -> Lifetime:
    return Lifetime()


def envelope(container: Container) -> Envelope:
    return Envelope(container.settings.tenant)


def encryption(container: Container) -> Encryption:
    return Encryption(container.settings.secrets_key)


def address_guard(container: Container) -> AddressGuard:
    return AddressGuard(container.settings.allowed_cidrs)


def tokens(container: Container) -> TokenStore:
    settings = container.settings
    return TokenStore(
        container.client, container.keys, settings.api_token, account_keys=settings.scheduler_keys
    )


def rate_limit(container: Container) -> RateLimit:
    return RateLimit(container.client, container.keys, container.settings.rate_limit)


def audit_trail(container: Container) -> AuditTrail:
    return AuditTrail(container.client, container.keys)


def tick_lease(container: Container) -> TickLease:
    return TickLease(container.redis, container.keys)


def walk(container: Container) -> Walk:
    """It shows each package the keys that it wants to see."""
    wanted = {word: name for package in container.packages for word, name in package.visitors.items()}
    visitors = {word: container.method(name) for word, name in wanted.items()}
    return Walk(container.client, container.keys, visitors)
