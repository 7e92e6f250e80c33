"""Bearer tokens: kept as SHA-256 digests with a name and scopes, shown once when they are made.

Nothing here is of Flask: workers build these services too. `app.http.authentication` is the HTTP side.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from app.platform.clock import parse_time, rfc3339, utcnow
from app.platform.errors import BadRequest, NotFound
from app.platform.keys import Keys
from app.platform.redis import RedisClient, store_errors

SCOPES: Final = ("read", "write", "operate", "admin", "requests", "schedule")
ACCOUNT_SCOPE: Final = "schedule"  # belongs to an account, and is of use there only
BOOTSTRAP: Final = "bootstrap"


@dataclass(frozen=True, slots=True)
class Principal:
    """Who is calling: the token's id and name, never the token. `account`: for which its scope `schedule` counts."""

    id: str
    name: str
    scopes: frozenset[str]
    created_at: datetime | None = None
    account: str | None = None


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """A new token; `secret` exists here and nowhere else."""

    principal: Principal
    secret: str


def digest(token: str) -> str:
    """What is stored and compared instead of the token. A token is random, so it needs no salt or stretching."""
    return hashlib.sha256(token.encode()).hexdigest()


class TokenStore:
    """Tokens in one Redis hash, digest → JSON, with a short cache in the process. `bootstrap` and `account_keys` (account,
    key) are settings and stand nowhere else.

    The cache saves a round trip per call. A revoked token is refused at once by the process that revoked
    it and within `cache_s` by every other. Unknown tokens aren't cached: a new one works at once.
    """

    def __init__(
        self,
        client: RedisClient,
        keys: Keys,
        bootstrap: str | None,
        *,
        account_keys: Iterable[tuple[str, str]] = (),
        cache_s: float = 2.0,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._key = keys.tokens
        self._given = {
            digest(key): Principal(f"account:{account}", account, frozenset([ACCOUNT_SCOPE]), account=account)
            for account, key in account_keys
        }
        if bootstrap:
            self._given[digest(bootstrap)] = Principal(BOOTSTRAP, BOOTSTRAP, frozenset(SCOPES))
        self._cache_s = cache_s
        self._cache_size = 1024
        self._monotonic = monotonic
        self._cache: dict[str, tuple[Principal, float]] = {}

    def find(self, token: str) -> Principal | None:
        """Whose token this is, or None. Raises Unavailable when the store must be asked and is away."""
        hashed = digest(token)
        if hashed in self._given:
            return self._given[hashed]
        now = self._monotonic()
        cached = self._cache.get(hashed)
        if cached is not None and cached[1] > now:
            return cached[0]
        self._cache.pop(hashed, None)
        with store_errors():
            raw = self._client.hget(self._key, hashed)
        if raw is None:
            return None
        principal = _decode(raw)
        if len(self._cache) >= self._cache_size:
            self._cache.clear()
        self._cache[hashed] = (principal, now + self._cache_s)
        return principal

    def create(self, name: str, scopes: Iterable[str], account: str | None = None) -> IssuedToken:
        """Make a token. Raises BadRequest for a scope that doesn't exist, or none at all, and where `account` and the scope
        `schedule` don't come together."""
        wanted = frozenset(scopes)
        unknown = sorted(wanted - set(SCOPES))
        if unknown or not wanted:
            detail = f"Unknown scope: {unknown[0]}." if unknown else "At least one scope is needed."
            raise BadRequest(
                f"{detail} Scopes are {', '.join(SCOPES)}.", code="unknown_scope", field="scopes"
            )
        if (ACCOUNT_SCOPE in wanted) != (account is not None):
            raise BadRequest(
                f"The scope {ACCOUNT_SCOPE} needs an account, and an account this scope.", field="account"
            )
        principal = Principal(secrets.token_hex(8), name, wanted, utcnow(), account)
        secret = secrets.token_urlsafe(32)
        with store_errors():
            self._client.hset(self._key, digest(secret), _encode(principal))
        return IssuedToken(principal, secret)

    def list(self) -> list[Principal]:
        """All tokens, oldest first, without the bootstrap token (a setting, not a record)."""
        tokens = (_decode(raw) for raw in self._all().values())
        return sorted(tokens, key=lambda token: (token.created_at is not None, token.created_at, token.id))

    def revoke(self, token_id: str) -> Principal:
        """End a token. Raises NotFound."""
        for hashed, raw in self._all().items():
            principal = _decode(raw)
            if principal.id == token_id:
                with store_errors():
                    self._client.hdel(self._key, hashed.decode())
                self._cache.pop(hashed.decode(), None)
                return principal
        raise NotFound("No such token.", code="token_not_found")

    def _all(self) -> dict[bytes, bytes]:
        with store_errors():
            return self._client.hgetall(self._key)


def _encode(principal: Principal) -> str:
    record: dict[str, Any] = {
        "id": principal.id,
        "name": principal.name,
        "scopes": sorted(principal.scopes),
        "createdAt": rfc3339(principal.created_at) if principal.created_at else None,
        "account": principal.account,
    }
    return json.dumps(record)


def _decode(raw: bytes) -> Principal:
    record = json.loads(raw)
    created = record.get("createdAt")
    return Principal(
        record["id"],
        record["name"],
        frozenset(record["scopes"]),
        parse_time(created) if created else None,
        record.get("account"),
    )
