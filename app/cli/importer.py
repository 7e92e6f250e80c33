"""Sends the rows of files to the API: planning's messages in bounded bulk calls, registrations one by one.

Bad rows are collected with file, line and field, and good ones go on. While the API is away or busy a call is
repeated under its Idempotency-Key; when that lasts too long the rest is left unsent, and said to be.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO, Final

from app.cli.progress import Meter, Silent
from app.cli.rows import Row, rows
from app.cli.time_shift import shifted
from app.client import ApiClient, ApiError, ApiRefused, Patience, new_key, patiently, problems_in

MESSAGES: Final = "/api/custom/messages"
REGISTRATIONS: Final = "/api/custom/livestreams/registrations"
STDIN: Final = Path("-")
MAX_ROWS: Final = 200
MAX_BYTES: Final = 512 * 1024
_AWAY: Final = frozenset({429, 503})
_PLACE: Final = re.compile(r"messages\[\d+\]\.?(?P<field>[^:]*): (?P<detail>.*)", re.DOTALL)
_CLOSED: Final = frozenset({401, 403, 405, 429})  # not about one row: the next would get the same answer


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that wasn't taken. `status` is the API's answer; None where the row couldn't even be read."""

    file: str
    line: int
    detail: str
    field: str | None = None
    id: str | None = None
    status: int | None = None

    def __str__(self) -> str:
        about = ": ".join(part for part in (self.id, self.field) if part)
        return f"{self.file}:{self.line}: {about + ': ' if about else ''}{self.detail}"


@dataclass
class ImportReport:
    """What became of the rows; `stopped` says why the rest wasn't sent."""

    rows: int = 0
    accepted: int = 0
    queued: int = 0  # outgoing requests that the accepted rows caused
    unsent: int = 0
    first_unsent: str | None = None
    bad: list[BadRow] = field(default_factory=list)
    stopped: ApiError | None = None

    @property
    def exit_code(self) -> int:
        """0 all good, 1 some bad or unsent, 2 nothing could be sent."""
        if not self.bad and self.stopped is None:
            return 0
        return 1 if self.accepted else 2

    def as_json(self) -> dict[str, Any]:
        return asdict(self) | {"stopped": None if self.stopped is None else str(self.stopped)}


@dataclass(frozen=True, slots=True)
class _Placed:
    """A readable row and where it stands."""

    file: str
    row: Row
    value: dict[str, Any]

    def bad(self, detail: str, field_name: str | None = None, status: int | None = None) -> BadRow:
        named = self.value.get("id") or self.value.get("contentMediaId")
        return BadRow(
            self.file, self.row.line, detail, field_name, None if named is None else str(named), status
        )


class _Sending:
    """One import: the client, who shows its progress, and its report so far."""

    def __init__(self, client: ApiClient, meter: Meter, patience: Patience | None) -> None:
        self.client = client
        self.meter = meter
        self.patience = patience or Patience(say=meter.say)
        self.report = ImportReport()

    def read(self, files: Sequence[Path], stdin: BinaryIO | None) -> Iterator[_Placed]:
        """The readable rows of all files; the others go into the report."""
        self.meter.start(_size(files))
        for path in files:
            name = "stdin" if path == STDIN else str(path)
            try:
                with nullcontext(stdin) if path == STDIN and stdin else path.open("rb") as stream:
                    yield from self._rows(name, stream)
            except OSError as error:
                self.report.bad.append(BadRow(name, 0, f"The file can't be read ({error.strerror})."))

    def _rows(self, name: str, stream: BinaryIO) -> Iterator[_Placed]:
        for row in rows(stream):
            self.report.rows += 1
            if row.fault is not None:
                self.report.bad.append(BadRow(name, row.line, row.fault))
            elif not isinstance(row.value, dict):
                self.report.bad.append(BadRow(name, row.line, "A row must be a JSON object."))
            else:
                yield _Placed(name, row, row.value)
                continue
            self.meter.advance(row.size)

    def leave(self, batch: Sequence[_Placed]) -> None:
        """These weren't sent."""
        if batch and self.report.first_unsent is None:
            self.report.first_unsent = f"{batch[0].file}:{batch[0].row.line}"
        self.report.unsent += len(batch)

    def each(self, batch: Sequence[_Placed], send: Callable[[Sequence[_Placed]], None]) -> None:
        """Send a batch; what the API refuses as a whole is halved until the row is found that is to blame."""
        try:
            send(batch)
        except ApiRefused as error:
            if error.status in _CLOSED or error.status >= 500:
                self.stop(error, batch)
            elif len(batch) == 1:
                about, detail = error.problems[0]
                self.report.bad.append(batch[0].bad(detail, about, error.status))
            else:
                middle = len(batch) // 2
                for half in (batch[:middle], batch[middle:]):
                    self.each(half, send) if self.report.stopped is None else self.leave(half)
        except ApiError as error:
            self.stop(error, batch)

    def stop(self, error: ApiError, batch: Sequence[_Placed]) -> None:
        """Send nothing more; these weren't sent."""
        self.report.stopped = error
        self.leave(batch)


def import_files(
    client: ApiClient,
    files: Sequence[Path],
    meter: Meter | None = None,
    *,
    shift_days: int = 0,
    stdin: BinaryIO | None = None,
    patience: Patience | None = None,
) -> ImportReport:
    """Send planning's messages. The file `-` is `stdin`. `shift_days` moves every time by whole days."""
    sending = _Sending(client, meter or Silent(), patience)
    for batch in _batches(sending.read(files, stdin)):
        if sending.report.stopped is not None:
            sending.leave(batch)
        else:
            sending.each(batch, lambda part: _send_messages(sending, part, shift_days))
        sending.meter.advance(sum(one.row.size for one in batch))
    return sending.report


def register_all(
    client: ApiClient,
    file: Path,
    meter: Meter | None = None,
    *,
    stdin: BinaryIO | None = None,
    patience: Patience | None = None,
) -> ImportReport:
    """Register each pair of a file (`livestreamId`, `contentMediaId`); one that exists already is an update."""
    sending = _Sending(client, meter or Silent(), patience)
    for one in sending.read([file], stdin):
        if sending.report.stopped is not None:
            sending.leave([one])
        elif fault := _pair_fault(one.value):
            sending.report.bad.append(one.bad(fault[1], fault[0]))
        else:
            sending.each([one], lambda part: _send_registration(sending, part[0]))
        sending.meter.advance(one.row.size)
    return sending.report


def _batches(placed: Iterator[_Placed]) -> Iterator[list[_Placed]]:
    batch: list[_Placed] = []
    size = 0
    for one in placed:
        if batch and (len(batch) >= MAX_ROWS or size + one.row.size > MAX_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(one)
        size += one.row.size
    if batch:
        yield batch


def _send_messages(sending: _Sending, batch: Sequence[_Placed], shift_days: int) -> None:
    """One bulk call, and as many again as rows are left that the API had no store for just then."""
    left, key = list(batch), new_key()

    def once() -> None:
        nonlocal left, key
        body = {"messages": [shifted(one.value, shift_days) for one in left]}
        results = sending.client.call("POST", MESSAGES, body=body, idempotency_key=key)["results"]
        away = None
        waiting = []
        for one, result in zip(left, results, strict=True):
            if result["status"] in _AWAY:
                waiting.append(one)
                away = ApiRefused(result["status"], result, result.get("retryAfter"))
            else:
                _take(sending.report, one, result)
        left, key = waiting, new_key()  # another body is another call
        if away is not None:
            raise away

    try:
        patiently(once, sending.patience)
    except ApiError as error:
        if len(left) == len(batch):
            raise
        sending.stop(error, left)


def _take(report: ImportReport, one: _Placed, result: dict[str, Any]) -> None:
    if result["status"] < 300:
        report.accepted += 1
        report.queued += len(result.get("requestIds") or ())
        return
    for about, detail in problems_in(result) or [(None, f"HTTP {result['status']}")]:
        found = _PLACE.match(detail if about is None else f"{about}: {detail}")
        # The caller knows the line of the row, not its place in our call.
        bad = one.bad(found["detail"], found["field"] or None) if found else one.bad(detail, about)
        report.bad.append(replace(bad, status=result["status"]))


def _send_registration(sending: _Sending, one: _Placed) -> None:
    answer = register(
        sending.client, one.value["livestreamId"], one.value["contentMediaId"], sending.patience
    )
    sending.report.accepted += 1
    sending.report.queued += len(answer.get("requestIds") or ())


def register(
    client: ApiClient, livestream_id: str, content_media_id: str, patience: Patience | None = None
) -> Any:
    """Register one pair; the API's answer."""
    return client.call(
        "POST",
        REGISTRATIONS,
        params={"livestreamId": livestream_id},
        body={"contentMediaId": content_media_id},
        patience=patience,
    )


def _pair_fault(value: dict[str, Any]) -> tuple[str, str] | None:
    for name in ("livestreamId", "contentMediaId"):
        if not isinstance(value.get(name), str):
            return name, "Must be there, as a string."
    return None


def _size(files: Sequence[Path]) -> int | None:
    try:
        return sum(path.stat().st_size for path in files)
    except OSError:
        return None  # stdin, or a file that will be reported when it is opened
