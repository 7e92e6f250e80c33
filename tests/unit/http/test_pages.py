"""Health, readiness, metrics, the description and its page."""

from __future__ import annotations

import re
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from redis.exceptions import ConnectionError as RedisConnectionError

from app.events.consumers.figures import FiguresReader
from app.outgoing.store import OutgoingStore
from app.platform.errors import Unavailable
from app.platform.tokens import SCOPES
from tests.support.keys import AllKeys
from tests.unit.http.conftest import BOOTSTRAP, Caller
from tests.unit.http.test_middleware import check_problem


def break_store(system: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> Any:
        raise RedisConnectionError("connection refused to redis://:hunter2@host")

    pool = system.redis.connection_pool
    monkeypatch.setattr(pool, "get_connection", refuse)


def test_alive_and_ready(anonymous: FlaskClient) -> None:
    assert anonymous.get("/healthz").json == {"status": "ok"}
    ready = anonymous.get("/readyz")
    assert ready.status_code == 200
    assert ready.json is not None
    assert ready.json["checks"]["store"]["ok"] is True


def test_with_the_store_away_everything_says_503_and_when_to_try_again(
    anonymous: FlaskClient, caller: Caller, system: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    break_store(system, monkeypatch)
    assert anonymous.get("/healthz").status_code == 200
    answers = [
        anonymous.get("/readyz"),
        caller.get("/api/custom/requests"),
        caller.get("/api/custom/contentmedia"),
        caller.get("/api/custom/events"),
        caller.get("/api/custom/livestreams/registrations/active"),
        caller.post("/api/custom/requests", json={"method": "POST", "path": "/external/x"}),
        caller.put("/api/custom/events/ev-1", json={"name": "x"}),
        caller.post("/api/tokens", json={"name": "x", "scopes": ["read"]}),
        Caller(anonymous.application, "unknown-token-" + "0" * 32).get("/api/custom/requests"),
    ]
    for answer in answers:
        check_problem(answer, 503, code="store_unavailable")
        assert int(answer.headers["Retry-After"]) >= 1
        assert "hunter2" not in answer.text
    assert answers[0].json["checks"]["store"]["ok"] is False
    metrics = anonymous.get("/metrics")
    assert metrics.status_code == 200
    assert "mediaops_store_up 0.0" in metrics.text


def test_metrics_count_records_by_state_and_destination(
    anonymous: FlaskClient, caller: Caller, system: Any
) -> None:
    for lane in "ab":
        body = {"method": "POST", "path": "/external/x", "lane": lane}
        assert caller.post("/api/custom/requests", json=body).status_code == 202
    system[OutgoingStore].promote("avos")
    text = anonymous.get("/metrics").text
    assert 'mediaops_requests{state="live"} 2.0' in text
    assert 'mediaops_requests{state="pending"} 0.0' in text
    assert 'mediaops_destination_requests{destination="avos",table="live"} 2.0' in text
    assert 'mediaops_in_flight_limit{destination="avos"} 200.0' in text
    assert re.search(r'mediaops_oldest_request_age_seconds\{state="live"\} \d', text)
    assert "mediaops_store_up 1.0" in text
    assert BOOTSTRAP not in text


def test_metrics_that_cannot_be_read_leave_the_others(
    anonymous: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: FiguresReader) -> None:
        raise Unavailable("The store is full; try again later.", code="store_full")

    assert "mediaops_subscriptions{" in anonymous.get("/metrics").text
    monkeypatch.setattr(FiguresReader, "read", refuse)
    text = anonymous.get("/metrics").text
    assert "mediaops_subscriptions{" not in text
    assert "mediaops_store_up 1.0" in text
    assert "mediaops_requests{" in text


def test_metrics_tell_how_destinations_are_and_what_is_late(anonymous: FlaskClient, system: Any) -> None:
    key = AllKeys.of(system.keys).destination("avos")
    system.redis.hset(
        key, mapping={"breaker": "open", "reason": "unauthorized", "opened": "2", "openedAt": "1"}
    )
    text = anonymous.get("/metrics").text
    assert 'mediaops_destination_state{destination="avos",reason="unauthorized",state="open"} 1.0' in text
    assert 'mediaops_destination_opened_total{destination="avos"} 2.0' in text
    assert "mediaops_late_requests 0.0" in text
    assert 'mediaops_delivery_seconds_bucket{le="+Inf"} 0.0' in text
    assert "mediaops_lateness_seconds_sum 0.0" in text


def test_counters_are_read_where_the_scripts_keep_them(anonymous: FlaskClient, system: Any) -> None:
    system.redis.hset(f"{system.keys.prefix}counters", mapping={"avos:accepted": 5, "avos:delivered": 3})
    text = anonymous.get("/metrics").text
    assert 'mediaops_accepted_total{destination="avos"} 5.0' in text
    assert 'mediaops_outcomes_total{destination="avos",state="delivered"} 3.0' in text


def test_the_description_has_every_address_with_its_scope(anonymous: FlaskClient, app: Flask) -> None:
    spec = anonymous.get("/openapi.json").json
    assert spec is not None
    assert spec["components"]["securitySchemes"]["bearer"]["scheme"] == "bearer"
    described = {
        (re.sub(r"{[^}]+}", "{}", path), method.upper())
        for path, operations in spec["paths"].items()
        for method in operations
        if method in {"get", "put", "post", "delete"}
    }
    served = {
        (re.sub(r"<[^>]+>", "{}", rule.rule), method)
        for rule in app.url_map.iter_rules()
        if rule.rule.startswith(("/api/", "/v1/"))
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    assert served == described
    for path, operations in spec["paths"].items():
        for method, operation in operations.items():
            if method != "parameters":
                ways = [["account"], ["bearer"]] if path.startswith("/v1/scheduler") else [["bearer"]]
                assert [list(one) for one in operation["security"]] == ways, path
                assert operation["x-required-scope"] in SCOPES
                problem = operation["responses"]["default"]
                assert path.startswith("/v1/scheduler") or problem == {
                    "$ref": "#/components/responses/DEFAULT_ERROR"
                }


def test_the_page_loads_nothing_from_elsewhere(anonymous: FlaskClient) -> None:
    page = anonymous.get("/docs")
    assert page.status_code == 200
    assert "'unsafe-inline'" not in page.headers["Content-Security-Policy"]
    sources = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert len(sources) == 5
    for source in sources:
        assert not source.startswith(("http", "//"))
        with anonymous.get(f"/{source}") as answer:
            assert answer.status_code == 200
    with anonymous.get("/docs/static/docs.js") as script:
        assert b"openapi.json" in script.data


@pytest.mark.parametrize("path", ["../wsgi.py", "%2e%2e/wsgi.py", "..%2Fwsgi.py", "nothing.js"])
def test_static_files_are_only_those(anonymous: FlaskClient, path: str) -> None:
    assert anonymous.get(f"/docs/static/{path}").status_code in {400, 404}


def test_the_root_says_where_things_are(anonymous: FlaskClient) -> None:
    browser = anonymous.get("/", headers={"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"})
    assert browser.mimetype == "text/html"
    targets = re.findall(r'href="([^"]+)"', browser.text)
    for given in ({}, {"Accept": "*/*"}, {"Accept": "application/json"}):
        program = anonymous.get("/", headers=given)
        assert program.json is not None
        assert set(program.json["links"].values()) == {f"/{target}" for target in targets}
    for target in targets:
        with anonymous.get(f"/{target}") as answer:
            assert answer.status_code == 200
    assert anonymous.post("/").status_code == 405
