"""`entrypoint health [--end-silent] ROLE`: the health checks of the containers. Ends with 0, or with 1 and a sentence.

Run where the role runs: it asks for the process of its own machine's name. With `--end-silent` a worker or a beat that is
connected and does nothing (app/watch) is killed, so that whoever looks after the container starts it again: Kubernetes
restarts what is unhealthy, Compose only what has ended. Neither could a frozen or deadlocked process end itself.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from celery import Celery

from app.client import ApiClient, ApiRefused, Unreachable
from app.packages import QUEUES
from app.platform.errors import Unavailable
from app.platform.redis import connect
from app.settings import Settings
from app.watch.canaries import Canaries, watch
from app.watch.flower import flower_problem

ENDING: Final = "--end-silent"
WORKERS: Final = (
    "pending",
    "live",
    "deliveries",
    "deliveries-slow",
    "ticks",
)  # as deploy/entrypoint names them
_ANSWER_S: Final = 3.0
_PULSE_S: Final = 6.0  # a beat that has just got its connection back
Check = Callable[[Settings], str | None]


class Silent(Exception):
    """The process runs and does nothing."""

    def __init__(self, text: str, pid: int, name: str) -> None:
        super().__init__(text)
        self.pid = pid
        self.name = name


def api(settings: Settings) -> str | None:
    """It answers; whether its store does is readiness, and restarting the API wouldn't help there."""
    client = ApiClient(settings.api_url, None, answer_s=_ANSWER_S)
    try:
        client.get("/healthz")
    except (Unreachable, ApiRefused) as error:
        return str(error)
    finally:
        client.close()
    return None


def worker(role: str) -> Check:
    """Silent: canaries of its own wait and it runs none. Where the watch can't say, because beat is away, it is asked
    over the broker."""

    def check(settings: Settings) -> str | None:
        with _canaries(settings) as canaries:
            known = canaries.report().workers
        names = nodes(role, settings.node_name, socket.gethostname(), known)
        for name in names:
            one = known.get(name)
            if one is not None and one.silent:
                raise Silent(f"{name} has run nothing for {one.age_s:.0f} s", one.worker.pid, name)
        celery = Celery("mediaops-health", set_as_current=False)
        celery.config_from_object("celeryconfig")
        try:
            answers = celery.control.ping(destination=names, timeout=_ANSWER_S)
        except OSError as error:
            return f"the broker can't be reached ({error})"
        finally:
            celery.close()
        missing = set(names) - {name for answer in answers or () for name in answer}
        return f"{', '.join(sorted(missing))} doesn't answer" if missing else None

    return check


def nodes(role: str, given: str | None, host: str, known: Iterable[str]) -> list[str]:
    """The workers to look at: the one of MEDIAOPS_NODE_NAME, else all of the role on this machine, which `entrypoint`
    numbers from the second on."""
    if given is not None:
        return [given.replace("%h", host) if "@" in given else f"{given}@{host}"]
    own = re.compile(rf"{re.escape(role)}\d*@{re.escape(host)}")
    return sorted((name for name in known if own.fullmatch(name)), key=len) or [f"{role}@{host}"]


def beat(settings: Settings) -> str | None:
    """It sends something every second. Old news is looked at for some seconds more: the store may have been away."""
    name = f"beat@{socket.gethostname()}"
    until = time.monotonic() + _PULSE_S
    with _canaries(settings) as canaries:
        while True:
            one = canaries.report().beats.get(name)
            if one is not None and not one.silent:
                return None
            if time.monotonic() > until:
                break
            time.sleep(0.2)
        canaries.check_writes()  # a store that takes no writes silences every beat
    if one is None:
        return f"{name} has sent nothing yet"
    raise Silent(f"{name} has sent nothing for {one.age_s:.0f} s", one.pid, name)


@contextmanager
def _canaries(settings: Settings) -> Iterator[Canaries]:
    client = connect(settings.redis_url)
    try:
        yield watch(settings, client, QUEUES)
    finally:
        client.close()


CHECKS: Final[dict[str, Check]] = {
    "api": api,
    "beat": beat,
    "flower": flower_problem,
    **{role: worker(role) for role in WORKERS},
}


def end(silent: Silent, proc: Path = Path("/proc")) -> str:
    """Kill the silent process, if it is still the one that the watch knows; what was done, in words."""
    try:
        words = (proc / str(silent.pid) / "cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return f"no process {silent.pid} here"
    role = silent.name.partition("@")[0]
    if "celery" not in words or not any(word == role or word.startswith(f"{role}@") for word in words):
        return f"process {silent.pid} is another one by now"
    os.kill(silent.pid, signal.SIGKILL)
    return f"process {silent.pid} was ended"


def main(arguments: list[str]) -> int:
    ending = ENDING in arguments
    roles = [argument for argument in arguments if argument != ENDING]
    if len(roles) != 1 or roles[0] not in CHECKS:
        print(f"usage: health [{ENDING}] {'|'.join(CHECKS)}", file=sys.stderr)
        return 64
    try:
        problem = CHECKS[roles[0]](Settings.load())
    except Unavailable as error:
        problem = str(error)
    except Silent as silent:
        problem = f"{silent}; {end(silent)}" if ending else str(silent)
    if problem:
        print(problem, file=sys.stderr)
    return 1 if problem else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
