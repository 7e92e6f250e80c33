"""What `doctor` checks of AVOS: whether anything answers at its address."""

from __future__ import annotations

from collections.abc import Iterable

from app.client import Unreachable, reach
from app.platform.container import Container
from app.settings import Settings, own_command
from app.watch.evaluation import WatchFinding


def check_avos(container: Container) -> Iterable[WatchFinding]:
    """One finding."""
    return (look_at(container.settings),)


def look_at(settings: Settings) -> WatchFinding:
    """Does anything answer at AVOS' address? Nothing is read or written there, and no token is sent."""
    if not settings.avos_url:
        return WatchFinding(
            "avos",
            "bad",
            "MEDIAOPS_AVOS_URL isn't set",
            f"Set it: nothing can be delivered without it. (`{own_command('up')}` runs a stand-in where it isn't set.)",
        )
    ca_file = None if settings.avos_ca_file is None else str(settings.avos_ca_file)
    through = " through a proxy" if settings.avos_proxy else ""
    try:
        status = reach(settings.avos_url, proxy=settings.avos_proxy, ca_file=ca_file)
    except Unreachable as error:
        way_out = "Check MEDIAOPS_AVOS_URL, the network and (MEDIAOPS_AVOS_BYPASS_PROXY) the proxy; requests wait meanwhile."
        return WatchFinding("avos", "bad", f"{error}{through}", way_out)
    if status >= 500:
        return WatchFinding(
            "avos", "warning", f"answers HTTP {status} at {settings.avos_url}{through}", "Is it well?"
        )
    return WatchFinding("avos", "ok", f"answers at {settings.avos_url}{through}")
