"""The processes of one machine, in the order in which they start; they stop the other way round."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from app.local.layout import LIVE_KEYS, ROOT, Layout

SERVER: Final = "server"
BEAT: Final = "beat"
FLOWER: Final = "flower"
STAND_IN: Final = "avos-stand-in"
LIVE_STAND_IN: Final = "live-stand-in"
GIVING_WAY: Final = ("nice", "-n", "10")


@dataclass(frozen=True)
class Program:
    """`stop_wait_s`: how long it may take to end in order before it is killed."""

    name: str
    command: Sequence[str]
    stop_wait_s: int = 10


@dataclass(frozen=True)
class Stage:
    """Programs that start and stop together."""

    name: str
    title: str
    programs: tuple[Program, ...]


def stages(layout: Layout) -> list[Stage]:
    """From the server, which starts first and stops last, to beat."""
    settings = layout.settings
    finish = int(settings.avos_timeout_s) + 10  # what a worker is sending may come to its end
    deliver = 30  # a call to a subscriber, and its turn's end
    live = [
        worker(f"live{number}", "live", settings.live_slots, finish)
        for number in range(1, settings.live_workers + 1)
    ]
    events = [
        worker(f"events{number}", "deliveries", settings.events_slots, deliver)
        for number in range(1, settings.events_workers + 1)
    ]
    slow = worker("events-slow", "deliveries-slow", settings.events_slow_slots, deliver, gives_way=True)
    few = [worker(name, name, settings.slots, finish) for name in ("pending", "ticks")]
    found = [
        Stage(FLOWER, "Flower", (Program(FLOWER, (sys.executable, "-m", "workers.flower")),)),
        Stage("workers", "Workers", (*live, *events, slow, *few)),
        Stage("api", "API", (Program("api", api_command(), stop_wait_s=20),)),
        Stage(BEAT, "Beat", (Program(BEAT, beat_command()),)),
    ]
    if layout.stand_in_port is not None:
        token_file = layout.chosen.get("MEDIAOPS_AVOS_TOKEN_FILE")
        command = stand_in_command(layout.stand_in_port, layout.data_dir, token_file)
        found.insert(0, Stage(STAND_IN, "AVOS stand-in", (Program(STAND_IN, command),)))
    if layout.live_stand_in_port is not None:
        program = Program(LIVE_STAND_IN, live_stand_in_command(layout.live_stand_in_port, layout.data_dir))
        found.insert(0, Stage(LIVE_STAND_IN, "Live API stand-in", (program,)))
    if layout.server is not None:
        found.insert(0, Stage(SERVER, "Valkey", (Program(SERVER, layout.server.prepare(), stop_wait_s=60),)))
    return found


def worker(name: str, queue: str, threads: int, stop_wait_s: int, *, gives_way: bool = False) -> Program:
    """A Celery worker of one queue. One that `gives_way` has the processor when the others don't want it: a backlog or a
    replay may take as long as it likes, what happens now may not."""
    command = worker_command(name, queue, threads)
    return Program(name, [*GIVING_WAY, *command] if gives_way else command, stop_wait_s)


def worker_command(name: str, queue: str, threads: int) -> list[str]:
    """Mingle and gossip are for workers that know one another; these needn't."""
    command = [sys.executable, "-m", "celery", "-A", "workers.app", "worker", "-n", f"{name}@%h", "-Q", queue]
    return [*command, "-P", "threads", "-c", str(threads), "-E", "--without-mingle", "--without-gossip"]


def beat_command() -> list[str]:
    return [sys.executable, "-m", "celery", "-A", "workers.app", "beat", "--pidfile="]


def api_command() -> list[str]:
    configuration = ROOT / "app" / "http" / "gunicorn_conf.py"
    return [sys.executable, "-m", "gunicorn", "-c", str(configuration), "app.http.wsgi:application()"]


def stand_in_command(port: int, data_dir: Path, token_file: str | None, host: str = "127.0.0.1") -> list[str]:
    command = [sys.executable, "-m", "deploy.simulators.avos", "--host", host, "--port", str(port)]
    command += [
        "--journal",
        str(data_dir / "avos-journal.ndjson"),
        "--state",
        str(data_dir / "avos-state.json"),
    ]
    return [*command, "--token-file", token_file] if token_file else command


def live_stand_in_command(port: int, data_dir: Path) -> list[str]:
    command = [sys.executable, "-m", "deploy.simulators.live", "--port", str(port)]
    return [
        *command,
        "--journal",
        str(data_dir / "live-journal.ndjson"),
        "--keys-file",
        str(data_dir / LIVE_KEYS),
    ]


def supervisor_config(layout: Layout, found: Sequence[Stage]) -> str:
    """supervisor's configuration: one group a stage, priorities in starting order."""
    parts = [
        "; Written by mediaops-sync at every start.",
        "[supervisord]",
        "nodaemon=true",
        "silent=true",
        f"logfile={_escaped(layout.logs / 'supervisor.log')}",
        "logfile_maxbytes=5MB",
        "logfile_backups=1",
        f"pidfile={_escaped(layout.run_dir / 'supervisor.pid')}",
        f"childlogdir={_escaped(layout.logs)}",
        f"directory={_escaped(ROOT)}",
        "identifier=mediaops-sync",
        "[unix_http_server]",
        f"file={_escaped(layout.run_dir / 'supervisor.sock')}",
        "chmod=0700",
        "[rpcinterface:supervisor]",
        "supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface",
    ]
    for number, stage in enumerate(found):
        priority = (number + 1) * 10
        names = ",".join(program.name for program in stage.programs)
        parts += [f"[group:{stage.name}]", f"programs={names}", f"priority={priority}"]
        for program in stage.programs:
            parts += _program(layout, program, priority)
    return "\n".join(parts) + "\n"


def _program(layout: Layout, program: Program, priority: int) -> list[str]:
    return [
        f"[program:{program.name}]",
        f"command={shlex.join(program.command).replace('%', '%%')}",
        f"priority={priority}",
        "autostart=false",  # `up` starts stage after stage, once the one before is ready
        "autorestart=true",
        # An outage of the server may end a worker many times over: never give up on it.
        "startretries=1000000",
        "startsecs=2",
        f"stopwaitsecs={program.stop_wait_s}",
        "stopsignal=TERM",
        "stopasgroup=false",
        "killasgroup=true",
        "redirect_stderr=true",
        f"stdout_logfile={_escaped(layout.logs / (program.name + '.log'))}",
        "stdout_logfile_maxbytes=10MB",
        "stdout_logfile_backups=2",
    ]


def _escaped(path: Path) -> str:
    return str(path).replace("%", "%%")
