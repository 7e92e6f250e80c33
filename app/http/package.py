"""The API's HTTP side, and the bearer tokens with which it is called."""

from __future__ import annotations

from typing import Final

from app.platform.packages import Package

PACKAGE: Final = Package(
    name="http",
    blueprints=("app.http.tokens:tokens_blueprint",),
    commands={"tokens": "app.http.cli:tokens"},
    keys=("tokens", "rate:*"),
)
