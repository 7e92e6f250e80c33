"""The sample plan: imported on the first run, moved to this weekend, and not again while it is there."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Final

from app.cli.importer import ImportReport, import_files, register_all
from app.cli.progress import Meter, Silent
from app.client import ApiClient
from app.local.layout import ACCOUNT, ROOT, write_private

PLAN: Final = ROOT / "deploy" / "sample" / "plan.ndjson"
WORKFLOWS: Final = "/v1/scheduler/jobstartstop"
JOB: Final = "sample-match"
REGISTRATIONS: Final = ROOT / "deploy" / "sample" / "registrations.json"
# Their source has no resource with the DMHE property, so that its PATCH can't be composed.
MEANT_TO_FAIL: Final = (
    "CM-dmhe-off-in-every-spelling-0",
    "CM-no-dmhe-resource-0",
    "CM-no-nodes-0",
    "CM-only-hidden-0",
)
LAST_DAY: Final = date(2026, 11, 23)  # of the plan's match weekend, a Monday


def shift_days(today: date) -> int:
    """Whole weeks by which the plan is moved, so that its weekend is this one or the next."""
    weeks = -((LAST_DAY - today).days // 7)
    return max(0, weeks) * 7


class Cancellable:
    """A meter by which an import is broken off: `going` raises once the end has been asked for."""

    def __init__(self, going: Callable[[], object], meter: Meter | None = None) -> None:
        self._going = going
        self._meter = meter or Silent()

    def start(self, total: int | None) -> None:
        self._meter.start(total)

    def advance(self, amount: int) -> None:
        self._going()
        self._meter.advance(amount)

    def say(self, text: str) -> None:
        self._going()  # said before each wait for an API that is away
        self._meter.say(text)


class Samples:
    """`mark` remembers what has been imported into this data directory."""

    def __init__(self, client: ApiClient, data_dir: Path) -> None:
        self._client = client
        self._mark = data_dir / "samples.json"

    def there(self) -> bool:
        """Whether this very plan was imported by an earlier run, and its data is still there."""
        try:
            marked = json.loads(self._mark.read_text())
        except (OSError, ValueError):
            return False
        if not isinstance(marked, dict) or marked.get("digest") != _digest():
            return False
        return bool(self._client.get("/api/custom/events", {"limit": 1})["events"])

    def send_plan(self, meter: Meter) -> ImportReport:
        """Events and jobs."""
        return import_files(self._client, [PLAN], meter, shift_days=shift_days(datetime.now(UTC).date()))

    def register(self, meter: Meter) -> ImportReport:
        """The pairs that can be registered once the plan is in."""
        return register_all(self._client, REGISTRATIONS, meter)

    def schedule(self, begins_s: int, lasts_s: int) -> str:
        """A workflow of the sample's match that fires soon; its id."""
        now = int(time.time())
        body = {
            "job_id": JOB,
            "description": "The sample's match",
            "activation": {"time_utc": now + begins_s},
            "deactivation": {"time_utc": now + begins_s + lasts_s},
        }
        made = self._client.post(WORKFLOWS, body, params={"account_id": ACCOUNT})
        return str(made["workflow_id"])

    def tasks(self, workflow_id: str) -> dict[str, str]:
        """What has become of its activation and its deactivation."""
        found = self._client.get(f"{WORKFLOWS}/{workflow_id}", {"account_id": ACCOUNT})
        return {name: found[name]["state"] for name in ("activation", "deactivation")}

    def remember(self) -> None:
        write_private(self._mark, json.dumps({"digest": _digest(), "at": str(datetime.now(UTC))}))


def _digest() -> str:
    return hashlib.sha256(PLAN.read_bytes() + REGISTRATIONS.read_bytes()).hexdigest()
