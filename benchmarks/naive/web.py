"""The HTTP door of the plain side: one view, `gunicorn -k gevent -w 2 benchmarks.naive.web:app`."""

from __future__ import annotations

from flask import Flask, Response, jsonify, request

from benchmarks.naive.tasks import update

app = Flask(__name__)


@app.post("/updates/<media>")
def queue_update(media: str) -> tuple[Response, int]:
    """Queue one update; 202 with the id of its last task."""
    result = update(media, request.get_json()).apply_async()
    return jsonify(id=result.id), 202
