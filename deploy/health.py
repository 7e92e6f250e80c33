"""`entrypoint health ROLE`: the health checks of the containers. Ends with 0, or with 1 and a sentence.

A worker is asked over the broker, by its own name, so this is run where the worker runs. Beat is well while its ticks are
worked on.
"""

from __future__ import annotations

import socket
import sys
import time
from collections.abc import Callable
from typing import Final

from celery import Celery

from app.client import Client, Refused, Unreachable
from app.platform.errors import Unavailable
from app.platform.keys import Keys
from app.platform.redis import connect, store_errors
from app.settings import Settings

_ANSWER_S: Final = 3.0


def api(settings: Settings) -> str | None:
    """It answers; whether its store does is readiness, and restarting the API wouldn't help there."""
    client = Client(settings.api_url, None, answer_s=_ANSWER_S)
    try:
        client.get("/healthz")
    except (Unreachable, Refused) as error:
        return str(error)
    finally:
        client.close()
    return None


def worker(role: str) -> Callable[[Settings], str | None]:
    def check(_settings: Settings) -> str | None:
        celery = Celery("mediaops-health", set_as_current=False)
        celery.config_from_object("celeryconfig")
        name = f"{role}@{socket.gethostname()}"
        try:
            answers = celery.control.ping(destination=[name], timeout=_ANSWER_S)
        except OSError as error:
            return f"the broker can't be reached ({error})"
        finally:
            celery.close()
        return None if answers else f"{name} doesn't answer"

    return check


def beat(settings: Settings) -> str | None:
    client, key = connect(settings.redis_url), Keys(settings.tenant).tick("promote")
    until = time.monotonic() + _ANSWER_S
    try:
        while time.monotonic() < until:
            with store_errors():
                if client.exists(key):
                    return None
            time.sleep(0.1)
    except Unavailable as error:
        return str(error)
    finally:
        client.close()
    return f"no tick within {_ANSWER_S:g} s"


def flower(settings: Settings) -> str | None:
    try:
        with socket.create_connection(("127.0.0.1", settings.flower_port), timeout=_ANSWER_S):
            return None
    except OSError as error:
        return str(error)


CHECKS: Final[dict[str, Callable[[Settings], str | None]]] = {
    "api": api,
    "beat": beat,
    "flower": flower,
    **{role: worker(role) for role in ("pending", "live", "ticks")},
}


def main(arguments: list[str]) -> int:
    if len(arguments) != 1 or arguments[0] not in CHECKS:
        print(f"usage: health {'|'.join(CHECKS)}", file=sys.stderr)
        return 64
    problem = CHECKS[arguments[0]](Settings.load())
    if problem:
        print(problem, file=sys.stderr)
    return 1 if problem else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
