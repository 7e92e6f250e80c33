"""The rate limit, where one is set."""

from __future__ import annotations

from typing import Any

import pytest

from app.http.factory import create_app
from app.platform.errors import TooManyRequests
from app.platform.keys import Keys
from app.platform.rate import RateLimit
from tests.unit.http.conftest import BOOTSTRAP, Caller, build_system
from tests.unit.http.test_middleware import check_problem


@pytest.mark.parametrize(("rule", "span"), [("3/second", 1), ("3 per minute", 60), ("3/HOUR", 3600)])
def test_calls_above_the_rate_are_refused_until_the_next_window(system: Any, rule: str, span: int) -> None:
    now = [span * 1000.25]
    rate = RateLimit(system.redis, Keys("web"), rule, now=lambda: now[0])
    for _ in range(3):
        rate.count("one")
    rate.count("another")
    with pytest.raises(TooManyRequests) as refused:
        rate.count("one")
    assert refused.value.retry_after is not None
    now[0] += refused.value.retry_after
    rate.count("one")


def test_a_caller_is_told_when_to_come_back(system: Any) -> None:
    caller = Caller(create_app(build_system(system.redis, "web", rate_limit="2/hour")), BOOTSTRAP)
    assert [caller.get("/api/custom/requests").status_code for _ in range(2)] == [200, 200]
    answer = caller.get("/api/custom/requests")
    check_problem(answer, 429, code="rate_limited")
    assert 1 <= int(answer.headers["Retry-After"]) <= 3600


def test_one_caller_does_not_use_up_the_rate_of_another(system: Any) -> None:
    app = create_app(build_system(system.redis, "web", rate_limit="3/hour"))
    first = Caller(app, BOOTSTRAP)
    tokens = [
        first.post("/api/tokens", json={"name": "x", "scopes": ["read"]}).json["token"] for _ in range(2)
    ]
    for caller in (Caller(app, token) for token in tokens):
        assert [caller.get("/api/custom/requests").status_code for _ in range(4)] == [200, 200, 200, 429]
    assert first.get("/api/custom/requests").status_code == 200  # its third
    assert first.get("/api/custom/requests").status_code == 429


def test_without_a_rate_nothing_is_counted(system: Any, caller: Caller) -> None:
    for _ in range(5):
        assert caller.get("/api/custom/requests").status_code == 200
    assert system.redis.keys("web:rate:*") == []
