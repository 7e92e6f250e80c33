"""Is the process alive, and can it do its work? No token needed; nothing secret answered."""

from __future__ import annotations

import time

from flask import Blueprint, Response, jsonify

from app.platform.errors import Unavailable
from app.platform.redis import Client, store_errors
from app.web.problems import problem


def health_blueprint(client: Client) -> Blueprint:
    """`/healthz` asks nobody; `/readyz` asks the store, whose client's time-outs bound the answer to 1.5 s."""
    blueprint = Blueprint("health", __name__)

    @blueprint.get("/healthz")
    def healthz() -> Response:
        return jsonify(status="ok")

    @blueprint.get("/readyz")
    def readyz() -> Response:
        began = time.monotonic()
        try:
            with store_errors():
                client.time()
        except Unavailable as error:
            checks = {"store": {"ok": False, "detail": error.detail}}
            return problem(503, error.detail, code=error.code, headers={"Retry-After": "2"}, checks=checks)
        latency = round((time.monotonic() - began) * 1000, 2)
        return jsonify(status="ready", checks={"store": {"ok": True, "latencyMs": latency}})

    return blueprint
