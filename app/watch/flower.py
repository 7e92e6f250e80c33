"""Does Flower answer? One that is frozen still accepts connections: the kernel does that for it."""

from __future__ import annotations

import http.client
from typing import Final

from app.settings import Settings

ANSWER_S: Final = 3.0
_ANY: Final = frozenset({"", "0.0.0.0", "::"})  # noqa: S104 - compared, not bound


def flower_problem(settings: Settings) -> str | None:
    """What is wrong, in a sentence; None where it answers. Its health page is open without the password."""
    host = "127.0.0.1" if settings.flower_host in _ANY else settings.flower_host
    connection = http.client.HTTPConnection(host, settings.flower_port, timeout=ANSWER_S)
    try:
        connection.request("GET", "/healthcheck")
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        return f"Flower doesn't answer on port {settings.flower_port} ({str(error) or type(error).__name__})"
    finally:
        connection.close()
    return None if status == http.client.OK else f"Flower answers {status}"
