"""The one place that opens connections to Redis (Valkey)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol, cast

import redis
from redis.backoff import NoBackoff
from redis.exceptions import BusyLoadingError, OutOfMemoryError, ReadOnlyError, RedisError, ResponseError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry

from app.platform.errors import Unavailable


def connect(url: str, *, timeout_s: float = 1.0, max_connections: int = 256) -> redis.Redis:
    """A client with short time-outs and no retries of its own: bytes in, bytes out.

    The API must answer 503 within 1.5 s when Redis is frozen (design 2), and a time-out is an unknown
    outcome that only the caller may repeat; redis-py's default would try for several seconds.
    """
    return redis.Redis.from_url(
        url,
        socket_connect_timeout=timeout_s,
        socket_timeout=timeout_s,
        retry=Retry(NoBackoff(), 0),
        max_connections=max_connections,
        health_check_interval=0,
    )


Text = str | bytes | int | float


class Client(Protocol):
    """The reading and writing commands that the rooms use, typed for a client that answers with bytes.

    redis-py types every command for all of its modes at once; here each has the one answer it gives.
    """

    def get(self, name: str) -> bytes | None: ...
    def set(self, name: str, value: Text, *, px: int | None = None, nx: bool = False) -> bool | None: ...
    def delete(self, *names: str) -> int: ...
    def exists(self, *names: str) -> int: ...
    def time(self) -> tuple[int, int]: ...
    def info(self, section: str) -> dict[str, Any]: ...
    def hget(self, name: str, key: str) -> bytes | None: ...
    def hset(
        self,
        name: str,
        key: str | None = None,
        value: Text | None = None,
        mapping: Mapping[str, Text] | None = None,
    ) -> int: ...
    def hdel(self, name: str, *keys: str) -> int: ...
    def hmget(self, name: str, *keys: str) -> list[bytes | None]: ...
    def hgetall(self, name: str) -> dict[bytes, bytes]: ...
    def zadd(self, name: str, mapping: Mapping[str, float]) -> int: ...
    def zrem(self, name: str, *values: str) -> int: ...
    def zcard(self, name: str) -> int: ...
    def zrange(self, name: str, start: int, end: int) -> list[bytes]: ...
    def zrevrangebyscore(
        self, name: str, max: Text, min: Text, start: int, num: int, withscores: bool
    ) -> list[tuple[bytes, float]]: ...
    def xadd(self, name: str, fields: Mapping[str, Text], *, maxlen: int | None = None) -> bytes: ...
    def xrange(
        self, name: str, min: str = "-", max: str = "+", count: int | None = None
    ) -> list[tuple[bytes, dict[bytes, bytes]]]: ...
    def xtrim(self, name: str, *, minid: str, approximate: bool) -> int: ...
    def xrevrange(
        self, name: str, max: str = "+", min: str = "-", count: int | None = None
    ) -> list[tuple[bytes, dict[bytes, bytes]]]: ...
    def pipeline(self, *, transaction: bool) -> Any: ...


def typed(client: redis.Redis) -> Client:
    """The same client, seen through `Client`."""
    return cast("Client", client)


@contextmanager
def store_errors() -> Iterator[None]:
    """Turn "the store can't answer" into `Unavailable`; anything else is a fault of ours and passes."""
    try:
        yield
    except (RedisConnectionError, RedisTimeoutError, BusyLoadingError, ReadOnlyError) as error:
        raise Unavailable("The store is not reachable; try again.", code="store_unavailable") from error
    except OutOfMemoryError as error:
        raise Unavailable("The store is full; try again later.", code="store_full") from error
    except ResponseError as error:
        if "OOM" in str(error) or "MISCONF" in str(error) or "BUSY" in str(error):
            raise Unavailable("The store can't write now; try again.", code="store_full") from error
        raise


__all__ = ["Client", "RedisError", "connect", "store_errors", "typed"]
