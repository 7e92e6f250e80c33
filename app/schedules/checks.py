"""What `doctor` checks of the scheduler: the Live API, the keys for it, and whether timers are fired."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from app.client import Unreachable, reach
from app.platform.container import Container
from app.schedules.store import ScheduleStore
from app.settings import Settings
from app.watch.evaluation import WatchFinding

_OVERDUE_S: Final = 5.0


def check_schedules(container: Container) -> Iterator[WatchFinding]:
    """One finding each. Nothing is said of the Live API where nobody schedules anything."""
    figures, settings = container[ScheduleStore].figures(), container.settings
    if figures.timers or settings.live_api_url:
        yield _live_api(settings)
    if settings.live_api_url and not settings.live_api_keys:
        yield WatchFinding(
            "live-api keys",
            "bad",
            "MEDIAOPS_LIVE_API_KEYS isn't set",
            "Set it: account=key,… for each account.",
        )
    if figures.next_in_s is not None and figures.next_in_s < -_OVERDUE_S:
        late = f"a timer has been due for {-figures.next_in_s:.0f} s"
        yield WatchFinding("timers", "bad", late, "Do beat and a worker of the queue ticks run?")
    elif figures.timers:
        yield WatchFinding("timers", "ok", f"{figures.timers} to come, none overdue")


def _live_api(settings: Settings) -> WatchFinding:
    if not settings.live_api_url:
        return WatchFinding(
            "live-api",
            "bad",
            "MEDIAOPS_LIVE_API_URL isn't set",
            "Set it: timers are set, and no job can be reached.",
        )
    try:
        status = reach(settings.live_api_url, proxy=settings.live_api_proxy, ca_file=None)
    except Unreachable as error:
        way_out = (
            "Check MEDIAOPS_LIVE_API_URL and the network; activations wait until their deactivation is due."
        )
        return WatchFinding("live-api", "bad", str(error), way_out)
    if status >= 500:
        return WatchFinding(
            "live-api", "warning", f"answers HTTP {status} at {settings.live_api_url}", "Is it well?"
        )
    return WatchFinding("live-api", "ok", f"answers at {settings.live_api_url}")
