"""The same suite on fakeredis and on a real server."""

from __future__ import annotations

import fakeredis
import pytest

from tests.support.consumers import ConsumerBench
from tests.support.keys import AllKeys
from tests.support.outgoing import Bench


@pytest.fixture(params=["fakeredis", "valkey"])
def bench(request: pytest.FixtureRequest, tenant: str) -> Bench:
    if request.param == "fakeredis":
        return Bench(fakeredis.FakeRedis(), AllKeys(tenant), flags=False)
    return Bench(request.getfixturevalue("redis_client"), AllKeys(tenant))


@pytest.fixture(params=["fakeredis", "valkey"])
def consumers(request: pytest.FixtureRequest, tenant: str) -> ConsumerBench:
    if request.param == "fakeredis":
        return ConsumerBench(fakeredis.FakeRedis(), AllKeys(tenant), flags=False)
    return ConsumerBench(request.getfixturevalue("redis_client"), AllKeys(tenant))
