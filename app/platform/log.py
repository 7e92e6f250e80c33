"""Logs: one JSON object a line on standard error, for our own lines and for those of libraries.

Secrets are kept out twice: members whose name says that they hold one are blanked, and the secrets that
this process knows are replaced wherever their text turns up in a finished line.
"""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import Iterable, MutableMapping
from functools import lru_cache
from typing import Any, Final, TextIO

import structlog

from app.platform.log_throttle import Repeats

BLANK: Final = "***"
_SECRET_NAME: Final = re.compile(
    r"authorization|token|secret|passw|api.?key|cookie|credential", re.IGNORECASE
)
_SHORTEST_SECRET: Final = 6  # blanking shorter texts would tear up ordinary words


class _Redactor:
    """Replaces known secrets in a finished line, also as JSON writes them."""

    def __init__(self, secrets: Iterable[str | None]) -> None:
        known = {secret for secret in secrets if secret and len(secret) >= _SHORTEST_SECRET}
        written = known | {json.dumps(secret)[1:-1] for secret in known}
        # The longest first: one may hold another.
        self._texts = sorted(written, key=len, reverse=True)

    def __call__(self, line: str) -> str:
        for text in self._texts:
            line = line.replace(text, BLANK)
        return line


def blank_secrets(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A structlog processor: members named after a secret lose their value, at any depth."""
    for name, value in event.items():
        event[name] = _blanked(name, value)
    return event


def _blanked(name: str, value: Any) -> Any:
    if value is not None and _names_a_secret(name):
        return BLANK
    if isinstance(value, dict):
        return {inner: _blanked(str(inner), content) for inner, content in value.items()}
    return value


@lru_cache(maxsize=1024)
def _names_a_secret(name: str) -> bool:
    return _SECRET_NAME.search(name) is not None


class _Renderer:
    """The last processor: JSON, with known secrets replaced."""

    def __init__(self, redact: _Redactor) -> None:
        self._redact = redact

    def __call__(self, _logger: Any, _method: str, event: MutableMapping[str, Any]) -> str:
        return self._redact(json.dumps(event, ensure_ascii=False, default=str))


def configure(level: str = "INFO", secrets: Iterable[str | None] = (), stream: TextIO | None = None) -> None:
    """Set up logging for this process. `secrets` are the texts that must never appear."""
    renderer = _Renderer(_Redactor(secrets))
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
        structlog.processors.format_exc_info,
        blank_secrets,
    ]
    out = stream or sys.stderr
    number = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.WriteLoggerFactory(file=out),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[
                structlog.stdlib.add_logger_name,
                structlog.stdlib.ExtraAdder(allow=["left_out"]),
                *shared,
            ],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    handler.addFilter(Repeats())
    logging.captureWarnings(True)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(number)
    # One line per connection and request, with paths that hold ids: our own attempt line says more.
    logging.getLogger("urllib3").setLevel(logging.WARNING)


def get_logger() -> structlog.typing.FilteringBoundLogger:
    """A logger for one module; it is set up on first use."""
    logger: structlog.typing.FilteringBoundLogger = structlog.get_logger()
    return logger
