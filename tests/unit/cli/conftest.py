"""The command line against a small HTTP double."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pytest_httpserver import HTTPServer

from app.client import ApiClient

TOKEN = "t" * 40


@pytest.fixture
def client(httpserver: HTTPServer) -> Iterator[ApiClient]:
    made = ApiClient(httpserver.url_for(""), TOKEN, answer_s=5)
    yield made
    made.close()
