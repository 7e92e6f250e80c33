"""Is the process alive, and can it do its work? No token needed; nothing secret answered."""

from __future__ import annotations

import time
from typing import Any, Final

from flask import Blueprint, Response, jsonify

from app.http.authentication import service
from app.http.problems import problem
from app.platform.errors import Unavailable
from app.watch.canaries import Canaries
from app.watch.evaluation import Report, findings

health_blueprint: Final = Blueprint("health", __name__)


@health_blueprint.get("/healthz")
def healthz() -> Response:
    """Asks nobody."""
    return jsonify(status="ok")


@health_blueprint.get("/readyz")
def readyz() -> Response:
    """Asks the store, whose client's time-outs bound the answer to 1.5 s.

    Readiness is the API's: what stands still elsewhere is shown beside it, and the API goes on accepting.
    """
    began = time.monotonic()
    try:
        report = service(Canaries).report()
    except Unavailable as error:
        checks = {"store": {"ok": False, "detail": error.detail}}
        return problem(503, error.detail, code=error.code, headers={"Retry-After": "2"}, checks=checks)
    latency = round((time.monotonic() - began) * 1000, 2)
    return jsonify(status="ready", checks={"store": {"ok": True, "latencyMs": latency}, **_work(report)})


def _work(report: Report) -> dict[str, Any]:
    """Who works: the queues, the worker processes and beat."""
    wrong = [one for one in findings(report) if one.state == "bad"]
    return {
        "work": {"ok": not wrong, "problems": [f"{one.what}: {one.detail}" for one in wrong]},
        "queues": {
            name: {
                "ok": not queue.stalled,
                "latencyS": queue.latency_s,
                "lastRunS": queue.age_s,
                "waitingS": queue.waiting_s,
                "workers": len(queue.workers),
            }
            for name, queue in report.queues.items()
        },
        "workers": {
            name: {"ok": not one.silent, "queues": one.worker.queues, "lastRunS": one.age_s}
            for name, one in report.workers.items()
        },
        "beats": {name: {"ok": not one.silent, "lastSentS": one.age_s} for name, one in report.beats.items()},
    }
