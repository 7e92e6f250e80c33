"""What the AWS sinks share in one process: clients, deadlines, what may be written to, and what AWS's
errors mean.

boto3 builds, signs and reads the messages; they travel through our own transport, since botocore's
time-outs belong to a client, hold for single socket operations and so can't keep a call's deadline. Retries
are decided elsewhere, once, so botocore's are off.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fnmatch import fnmatchcase
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import boto3
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from app.events.sinks.aws_settings import AwsSettings
from app.events.sinks.base import LONGEST_ANSWER, Kind, Outcome, SinkError
from app.platform.clock import utcnow
from app.platform.failures import describe, retry_after
from app.platform.http_client import CallError, HttpTransport

if TYPE_CHECKING:  # stubs, of the development environment only
    from mypy_boto3_kinesis import KinesisClient
    from mypy_boto3_sns import SNSClient

_THROTTLED: Final = frozenset(
    {
        "BandwidthLimitExceeded",
        "KMSThrottling",
        "KMSThrottlingException",
        "LimitExceededException",
        "PriorRequestNotComplete",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "SlowDown",
        "Throttled",
        "ThrottledException",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
    }
)
_UNAUTHORIZED: Final = frozenset(
    {
        "AccessDenied",
        "AccessDeniedException",
        "AuthorizationError",
        "AuthorizationErrorException",
        "ExpiredToken",
        "ExpiredTokenException",
        "IncompleteSignature",
        "InvalidClientTokenId",
        "InvalidSecurity",
        "InvalidSecurityException",
        "InvalidSignatureException",
        "MissingAuthenticationToken",
        "NotAuthorized",
        "OptInRequired",
        "RequestExpired",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
    }
)
_NOT_FOUND: Final = frozenset({"NotFound", "NotFoundException", "ResourceNotFoundException"})
# What a call or an entry carries can't be taken, and never will be.
_CONTENT: Final = frozenset(
    {
        "BatchEntryIdsNotDistinct",
        "BatchRequestTooLong",
        "InvalidArgumentException",
        "InvalidBatchEntryId",
        "InvalidMessageContents",
        "InvalidParameter",
        "InvalidParameterException",
        "InvalidParameterValue",
        "ParameterValueInvalid",
        "SerializationException",
        "ValidationError",
        "ValidationException",
    }
)
_ABOUT_TARGET: Final = ("TopicArn", "streamName", "StreamName", "StreamARN", "streamARN")


class _Until(threading.local):
    """Until when (monotonic) the call that this thread is making has to end."""

    at: float = float("inf")


class Aws:
    """One client per service and region, made when it is first used: each takes some 50 ms and megabytes."""

    def __init__(self, settings: AwsSettings | None = None) -> None:
        self.settings = settings or AwsSettings()
        self._lock = threading.Lock()
        self._clients: dict[tuple[str, str | None], Any] = {}
        self._transports: dict[str, HttpTransport] = {}
        self._session: boto3.Session | None = None
        self._until = _Until()

    def default_region(self) -> str | None:
        """The region of AWS_DEFAULT_REGION or of the profile."""
        with self._lock:
            region: str | None = self._boto().region_name
            return region

    def sns(self, region: str | None) -> SNSClient:
        client: SNSClient = self._client("sns", region)
        return client

    def kinesis(self, region: str | None) -> KinesisClient:
        client: KinesisClient = self._client("kinesis", region)
        return client

    @contextmanager
    def within(self, deadline: float) -> Iterator[None]:
        """Calls of this thread end by `deadline` (of `time.monotonic`), or after the settings' time-out."""
        self._until.at = min(deadline, time.monotonic() + self.settings.timeout_s)
        try:
            yield
        finally:
            self._until.at = float("inf")

    def may_write(self, service: str, target: str) -> bool:
        """Whether the operator lets subscriptions write to this topic (ARN) or stream (name)."""
        patterns = self.settings.sns_topics if service == "sns" else self.settings.kinesis_streams
        return any(fnmatchcase(target, pattern) for pattern in patterns)

    def close(self) -> None:
        with self._lock:
            for transport in self._transports.values():
                transport.close()

    def _boto(self) -> boto3.Session:
        if self._session is None:
            self._session = boto3.Session()
        return self._session

    def _client(self, service: str, region: str | None) -> Any:
        with self._lock:
            key = (service, region)
            if key not in self._clients:
                config = Config(
                    retries={"total_max_attempts": 1, "mode": "standard"},
                    parameter_validation=False,  # what is passed is built here; checking 500 records takes 5 ms
                )
                # The stubs want the service's name as a literal.
                client: Any = self._boto().client(service, region_name=region, config=config)  # type: ignore[call-overload]
                client.meta.events.register("before-send", self._carry)
                self._clients[key] = client
            return self._clients[key]

    def _carry(self, request: AWSPreparedRequest, **_: Any) -> AWSResponse:
        """botocore's hook in place of its own sending."""
        parts = urlsplit(request.url)
        base = f"{parts.scheme}://{parts.netloc}"
        answer = self._transport(base).call(
            request.method,
            (parts.path or "/") + (f"?{parts.query}" if parts.query else ""),
            {name: _text(value) for name, value in request.headers.items()},
            _bytes(request.body),
            deadline=self._until.at,
        )
        headers: Any = answer.headers  # any mapping will do
        return AWSResponse(request.url, answer.status, headers, _Raw(answer.body))

    def _transport(self, base: str) -> HttpTransport:
        with self._lock:
            if base not in self._transports:
                ca_file = self._boto()._session.get_config_variable("ca_bundle")  # noqa: SLF001 - boto3 has no other way
                self._transports[base] = HttpTransport(
                    base,
                    pool_size=self.settings.pool_size,
                    connect_timeout_s=self.settings.connect_timeout_s,
                    ca_file=Path(ca_file) if ca_file else None,
                    proxy=self.settings.proxy_for(base),
                )
            return self._transports[base]


class _Raw(BytesIO):
    """A body that has been read, as AWSResponse wants it."""

    def stream(self, *_: Any, **__: Any) -> Iterator[bytes]:
        yield self.read()


def _text(value: str | bytes) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else value


def _bytes(body: Any) -> bytes | None:
    return body.encode() if isinstance(body, str) else body


# All that a call can fail with.
FAILURES: Final = (ClientError, BotoCoreError, CallError)


def of_failure(error: Exception, started: float) -> Outcome:
    """The meaning of a call that failed as a whole, for each event in it."""
    latency = int((time.monotonic() - started) * 1000)
    if isinstance(error, CallError):
        code, detail = describe(error.cause, sent=error.sent)
        return Outcome(SinkError(code, detail, Kind.RETRY), latency_ms=latency)
    if not isinstance(error, ClientError):
        # Its text names settings and files, and never a key.
        return Outcome(SinkError("aws_settings", f"boto3: {error}"[:300], Kind.RETRY), latency_ms=latency)
    about: Any = error.response.get("Error") or {}
    meta: Any = error.response.get("ResponseMetadata") or {}
    status = meta.get("HTTPStatusCode")
    found = of_code(str(about.get("Code") or ""), str(about.get("Message") or ""), status=status)
    rest = retry_after((meta.get("HTTPHeaders") or {}).get("retry-after"), utcnow())
    if rest is not None and found.kind is Kind.RETRY:
        found = SinkError(found.code, found.detail, found.kind, rest)
    return Outcome(found, status=status, latency_ms=latency, answer=found.detail)


def of_code(code: str, message: str, *, status: int | None = None, refused: bool = False) -> SinkError:
    """The meaning of an error code of a call, an entry or a record.

    `refused`: AWS says that the fault lies with what was sent. That isn't believed of throttling, keys and
    the like.
    """
    detail = f"AWS answered {code or status}" + (f": {message}" if message else ".")
    detail = detail[:LONGEST_ANSWER]
    if code in _THROTTLED:
        return SinkError("throttled", detail, Kind.RETRY)
    if code in _UNAUTHORIZED or status == 401 or (status == 403 and code not in _CONTENT):
        # The message of such an error repeats signed headers, a session token among them.
        return SinkError("unauthorized", f"AWS answered {code or status}.", Kind.RETRY)
    if code in _NOT_FOUND:
        return SinkError("not_found", detail, Kind.RETRY)
    if code.startswith(("KMS", "Kms")):
        return SinkError("kms", detail, Kind.RETRY)
    if code in _CONTENT or refused:
        if any(name in message for name in _ABOUT_TARGET):
            return SinkError("bad_target", detail, Kind.RETRY)
        return SinkError("refused", detail, Kind.REFUSED)
    return SinkError("unavailable" if status == 503 else "server_error", detail, Kind.RETRY)


def halved(batch: list[Any], call: Callable[[list[Any]], list[Outcome]]) -> list[Outcome]:
    """Make a call; where it is refused as a whole because of what it carries, find out by halves which of
    it is at fault, so that one bad event parks itself and nothing else."""
    outcomes = call(batch)
    refused_whole = all(
        o.error is not None and o.error.kind is Kind.REFUSED and o.status != 200 for o in outcomes
    )
    if len(batch) == 1 or not refused_whole:
        return outcomes
    middle = len(batch) // 2
    return halved(batch[:middle], call) + halved(batch[middle:], call)
