"""How AWS is reached: apart from what needs boto3, which most processes never load."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

MIB: Final = 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class AwsSettings:
    """How AWS is reached. `sns_topics` and `kinesis_streams` are shell patterns of ARNs and of stream names
    that may be written to. `proxy_for` names the proxy of a URL. Keys, region and endpoint are boto3's own
    `AWS_…`."""

    sns_topics: tuple[str, ...] = ("*",)
    kinesis_streams: tuple[str, ...] = ("*",)
    timeout_s: float = 10.0  # one call
    connect_timeout_s: float = 3.0
    pool_size: int = 64
    kinesis_call_bytes: int = 5 * MIB
    kinesis_record_bytes: int = 1 * MIB
    proxy_for: Callable[[str], str | None] = lambda _: None
