"""The Celery application of the plain side: `celery -A benchmarks.naive.tasks worker -E`."""

from __future__ import annotations

from typing import Any

import requests
from celery import Celery, chain

from benchmarks.naive.settings import AVOS_URL, CONFIGURATION

app = Celery("naive")
app.conf.update(CONFIGURATION)


@app.task
def get_last_modified(media: str, body: dict[str, Any]) -> dict[str, Any]:
    """GET the content media, complete the body."""
    url = f"{AVOS_URL}/external/contentMedia/live/{media}"
    answer = requests.get(url, timeout=10)
    answer.raise_for_status()
    return {"url": url, "body": {"lastModified": answer.json()["lastModified"], **body}}


@app.task
def send_patch(ticket: dict[str, Any]) -> int:
    """PATCH it."""
    answer = requests.patch(ticket["url"], json=ticket["body"], timeout=10)
    answer.raise_for_status()
    return answer.status_code


def update(media: str, body: dict[str, Any]) -> Any:
    """The chain of one update."""
    return chain(get_last_modified.s(media, body), send_patch.s())
