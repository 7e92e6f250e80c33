"""`mediaops-sync up`: starts everything on this machine, waits until the fleet is in step, and stops it in order."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from types import FrameType
from typing import Final

import click

from app.cli.importer import ImportReport
from app.cli.progress import bar
from app.client import ApiClient, ApiRefused, Unreachable
from app.local.layout import Layout, lay_out
from app.local.programs import FLOWER, SERVER, Stage, stages
from app.local.readiness import NotReady, find_store, wait_for
from app.local.samples import JOB, MEANT_TO_FAIL, Cancellable, Samples
from app.local.show import Screen
from app.local.stalls import Stalls
from app.local.supervisor import Failed, InUse, Process, Supervisor, only_run
from app.platform.embedded import ServerUnavailable
from app.settings import InvalidSettings, environment

SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_WATCH_S: Final = 1.0
BEGINS_S: Final = 45  # of the sample's workflow
LASTS_S: Final = 30
_MEANT: Final = (
    f"{len(MEANT_TO_FAIL)} samples are meant to fail, to show how that looks: {', '.join(MEANT_TO_FAIL)}."
)


class _Stopped(Exception):
    """Somebody asked for the end."""


@click.command()
@click.option("--no-samples", is_flag=True, help="Don't import the sample plan.")
@click.option(
    "--no-stand-ins", is_flag=True, help="Start no stand-in of AVOS: MEDIAOPS_AVOS_URL names the real one."
)
def up(*, no_samples: bool, no_stand_ins: bool) -> None:
    """Start everything on this machine and keep it running until Ctrl-C.

    An embedded Valkey with its append-only file in the data directory, API, workers, beat, Flower, and stand-ins of AVOS and of the
    Live API.
    """
    screen = Screen()
    try:
        layout = lay_out(environment(), stand_ins=not no_stand_ins)
        with only_run(layout.data_dir):
            _LocalRun(layout, screen).run(samples=not no_samples)
    except (InvalidSettings, InUse, ServerUnavailable) as error:
        click.echo(str(error), err=True)
        sys.exit(2)
    except (Failed, NotReady) as error:
        click.echo(str(error), err=True)
        sys.exit(1)


class ScheduleShown:
    """The sample's workflow, and what has become of it since it was looked at last."""

    def __init__(self, samples: Samples) -> None:
        self._samples = samples
        self.id = samples.schedule(BEGINS_S, LASTS_S)
        self._states = {"activation": "pending", "deactivation": "pending"}

    def news(self) -> list[str]:
        if "pending" not in self._states.values():
            return []
        try:
            found = self._samples.tasks(self.id)
        except (ApiRefused, Unreachable):  # a restart, or somebody has removed it; it is a sample
            return []
        changed = [f"{JOB}: {name} {state}" for name, state in found.items() if state != self._states[name]]
        self._states = found
        return changed


class _LocalRun:
    def __init__(self, layout: Layout, screen: Screen) -> None:
        self._layout = layout
        self._screen = screen
        self._stages = stages(layout)
        self._supervisor = Supervisor(layout, self._stages)
        self._started: list[Stage] = []
        self._asked = threading.Event()

    def _going(self) -> bool:
        """Whether supervisor is there; raises _Stopped once the end has been asked for.

        Signals only set a mark that is looked at here: an exception out of a handler can come up anywhere, and libraries
        have been seen to swallow it.
        """
        if self._asked.is_set():
            raise _Stopped
        return self._supervisor.alive

    def run(self, *, samples: bool) -> None:
        screen = self._screen
        for note in self._layout.notes:
            screen.say(note)
        screen.say(f"Starting mediaops-sync; data and logs in {self._layout.data_dir}")
        client = ApiClient(self._layout.settings.api_url, self._layout.settings.api_token)
        with _signals(self._asked):
            try:
                self._start()
                shown = None
                if samples:
                    shown = self._schedule(client)
                    self._import(client)
                else:
                    screen.until_settled(client, self._going)
                screen.summary(self._layout)
                self._watch(shown)
            except _Stopped:
                screen.say("")
            finally:
                client.close()
                self._stop()

    def _start(self) -> None:
        if self._layout.server is None:
            find_store(self._layout)
        self._supervisor.start()
        self._layout.publish()
        # Flower last: it asks the workers what they are when it starts. It stops after them.
        for stage in sorted(self._stages, key=lambda one: one.name == FLOWER):
            self._started.append(stage)
            title = stage.title if len(stage.programs) == 1 else f"{stage.title} ({len(stage.programs)})"
            with self._screen.step(title):
                self._supervisor.start_stage(stage)
                wait_for(stage, self._layout, self._going)

    def _schedule(self, client: ApiClient) -> ScheduleShown | None:
        """A workflow that fires while somebody looks on."""
        if self._layout.live_stand_in_port is None:
            return None
        shown = ScheduleShown(Samples(client, self._layout.data_dir))
        self._screen.say(
            f"Scheduled: job {JOB} is activated in {BEGINS_S} s and deactivated {LASTS_S} s later (workflow {shown.id})."
        )
        return shown

    def _import(self, client: ApiClient) -> None:
        samples = Samples(client, self._layout.data_dir)
        if samples.there():
            self._screen.say(f"The sample plan is there from an earlier run. {_MEANT}")
            self._screen.until_settled(client, self._going)
            return
        with bar(self._screen.console, "Sample plan") as meter:
            plan = samples.send_plan(Cancellable(self._going, meter))
        self._report("Sample plan", "events and jobs", plan)
        self._screen.say("Registering their livestreams, which queues the requests to AVOS:")
        # AVOS gets in step while the registrations are still coming in: show the fleet meanwhile.
        with ThreadPoolExecutor(1) as beside:
            pairs = beside.submit(samples.register, Cancellable(self._going))
            self._screen.until_settled(client, self._going, lambda: not pairs.done())
        self._report("Registrations", "livestreams with their content media", pairs.result())
        self._screen.say(_MEANT)
        if plan.exit_code == pairs.result().exit_code == 0:
            samples.remember()

    def _report(self, title: str, what: str, report: ImportReport) -> None:
        queued = f"; {report.queued} requests to AVOS queued" if report.queued else ""
        self._screen.say(f"{title}: {report.accepted} of {report.rows} {what}{queued}")
        for row in report.bad[:5]:
            self._screen.say(f"  {row}")
        if report.stopped is not None:
            self._screen.say(f"  {report.unsent} weren't sent: {report.stopped}")

    def _watch(self, shown: ScheduleShown | None) -> None:
        """Wait for the end. Report processes that supervisor had to start again, and kill silent ones, so that it starts
        them again."""
        before: dict[str, Process] = {}
        stalls = Stalls(self._layout, self._stages)
        while self._going():
            now = {process.name: process for process in self._supervisor.processes()}
            for name, process in now.items():
                known = before.get(name)
                if process.state == "RUNNING" and known is not None and known.pid not in (0, process.pid):
                    self._screen.moment(
                        f"{name} had ended and was started again (see {self._layout.logs / name}.log)"
                    )
            before |= {name: process for name, process in now.items() if process.state == "RUNNING"}
            for process in stalls.look(now.values()):
                # A beat whose clock was set back, a pool that hangs: the process doesn't notice, nor does supervisor.
                self._screen.moment(f"{process.name} was silent and is started again")
                self._supervisor.end(process)
                before.pop(process.name, None)
            for text in shown.news() if shown else ():
                self._screen.moment(text)
            self._asked.wait(_WATCH_S)
        raise Failed(
            f"supervisor has ended, and all with it. Look at {self._layout.logs / 'supervisor.log'}."
        )

    def _stop(self) -> None:
        """Beat and the API first, because they make work; then the workers, Flower, and the server last."""
        if self._supervisor.alive and self._started:
            self._screen.say("Stopping; what is being sent comes to its end …")
        for stage in reversed(self._stages):
            if stage not in self._started or not self._supervisor.alive:
                continue
            began = time.monotonic()
            self._supervisor.stop_stage(stage)
            self._screen.say(f"  {stage.title:<24} stopped ({time.monotonic() - began:.1f} s)")
        self._supervisor.shutdown()
        self._layout.withdraw()
        if self._started and self._started[0].name == SERVER:
            self._screen.say("Everything is in the append-only file; the next run goes on from there.")


@contextmanager
def _signals(asked: threading.Event) -> Iterator[None]:
    """Ctrl-C and the like set `asked`, once or many times."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        asked.set()

    # Under nohup the hang-up stays ignored.
    heard = [n for n in SIGNALS if n != signal.SIGHUP or signal.getsignal(n) != signal.SIG_IGN]
    before = {number: signal.signal(number, stop) for number in heard}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
