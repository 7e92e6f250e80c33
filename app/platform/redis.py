"""The one place that opens connections to Redis (Valkey)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

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


__all__ = ["RedisError", "connect", "store_errors"]
