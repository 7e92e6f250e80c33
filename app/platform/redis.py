"""The one place that opens connections to Redis (Valkey)."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from typing import Any, Final, Protocol, cast

import redis
from redis.backoff import NoBackoff
from redis.exceptions import BusyLoadingError, OutOfMemoryError, ReadOnlyError, RedisError, ResponseError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry
from redis.utils import SENTINEL

from app.platform.errors import Unavailable, WrittenByNewer


def connect(url: str, *, timeout_s: float = 1.0, max_connections: int = 256) -> redis.Redis:
    """A client with short time-outs and no retries of its own: bytes in, bytes out.

    A time-out is an unknown outcome that only the caller may repeat; redis-py's default would try for several
    seconds.
    """
    client = redis.Redis.from_url(
        url,
        socket_connect_timeout=timeout_s,
        socket_timeout=timeout_s,
        retry=Retry(NoBackoff(), 0),
        max_connections=max_connections,
        health_check_interval=0,
    )
    pool = client.connection_pool
    pool.connection_class = _patient(pool.connection_class)
    return client


# The API answers 503 within 1.5 s while Redis is away or frozen. One time-out keeps that by itself; a call of several
# operations keeps it because the later ones wait less.
CALL_S: Final = 1.3
LEAST_S: Final = 0.5  # of each operation, however long the call has taken: a bulk call may rightly take long
_until: ContextVar[float | None] = ContextVar("until", default=None)


@contextmanager
def patience(seconds: float = CALL_S) -> Iterator[None]:
    """What is asked of the store in here shares one time to wait for a store that doesn't answer."""
    token = _until.set(time.monotonic() + seconds)
    try:
        yield
    finally:
        _until.reset(token)


def _left(full: float) -> float:
    until = _until.get()
    return full if until is None else min(full, max(LEAST_S, until - time.monotonic()))


@cache
def _patient(kind: type[Any]) -> type[Any]:
    """redis-py's connection (TCP, TLS or socket), waiting no longer than `patience` allows."""

    class Patient(kind):  # type: ignore[misc]  # whichever the URL asks for
        socket_connect_timeout: Any

        def _connect(self) -> Any:
            full = self.socket_connect_timeout
            self.socket_connect_timeout = _left(full)
            try:
                return super()._connect()
            finally:
                self.socket_connect_timeout = full

        def read_response(self, *args: Any, timeout: Any = SENTINEL, **options: Any) -> Any:
            if timeout is SENTINEL and _until.get() is not None:
                timeout = _left(self.socket_timeout)
            return super().read_response(*args, timeout=timeout, **options)

    return Patient


Text = str | bytes | int | float
Score = str | int  # "(7" leaves 7 out


class RedisClient(Protocol):
    """The reading and writing commands that the packages use, typed for a client that answers with bytes.

    redis-py types every command for all of its modes at once; here each has the one answer it gives.
    """

    def get(self, name: str) -> bytes | None: ...
    def set(self, name: str, value: Text, *, px: int | None = None, nx: bool = False) -> bool | None: ...
    def delete(self, *names: str) -> int: ...
    def unlink(self, *names: str) -> int: ...
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
    def scan(self, cursor: int, match: str, count: int) -> tuple[int, list[bytes]]: ...
    def hscan(self, name: str, cursor: int, *, count: int) -> tuple[int, dict[bytes, bytes]]: ...
    def hmget(self, name: str, *keys: str) -> list[bytes | None]: ...
    def hgetall(self, name: str) -> dict[bytes, bytes]: ...
    def llen(self, name: str) -> int: ...
    def lrange(self, name: str, start: int, end: int) -> list[bytes]: ...
    def smembers(self, name: str) -> AbstractSet[bytes]: ...
    def zadd(self, name: str, mapping: Mapping[str, float]) -> int: ...
    def zrem(self, name: str, *values: str) -> int: ...
    def zcard(self, name: str) -> int: ...
    def zrange(self, name: str, start: int, end: int) -> list[bytes]: ...
    def zrangebyscore(
        self, name: str, min: Score, max: Score, start: int, num: int, withscores: bool
    ) -> list[tuple[bytes, float]]: ...
    def zrevrangebyscore(
        self, name: str, max: Text, min: Text, start: int, num: int, withscores: bool
    ) -> list[tuple[bytes, float]]: ...
    def xadd(self, name: str, fields: Mapping[str, Text], *, maxlen: int | None = None) -> bytes: ...
    def xrange(
        self, name: str, min: str = "-", max: str = "+", count: int | None = None
    ) -> list[tuple[bytes, dict[bytes, bytes]]]: ...
    def xlen(self, name: str) -> int: ...
    def xtrim(self, name: str, *, minid: str, approximate: bool) -> int: ...
    def xrevrange(
        self, name: str, max: str = "+", min: str = "-", count: int | None = None
    ) -> list[tuple[bytes, dict[bytes, bytes]]]: ...
    def pipeline(self, *, transaction: bool) -> Any: ...


def typed(client: redis.Redis) -> RedisClient:
    """The same client, seen through `RedisClient`."""
    return cast("RedisClient", client)


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
        if str(error).startswith("NEWER"):
            raise WrittenByNewer("A newer release wrote this; change it through that one.") from error
        raise


__all__ = ["RedisClient", "RedisError", "connect", "store_errors", "typed"]
