"""A subscription's configuration from the command line's options, or from a file."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])
Config = dict[str, Any]

# What an answer has of the configuration that a PUT takes.
MEMBERS: Final = ("name", "topics", "sink", "ordered", "inFlight", "start")


def config_options(command: F) -> F:
    """What a subscription is made of, as options."""
    options = (
        click.option(
            "--topic",
            "topics",
            multiple=True,
            metavar="TOPIC[:EVENT,…]",
            help="A topic, or only some of its events; repeatable.",
        ),
        click.option("--webhook", metavar="URL", help="POST each event to this address."),
        click.option(
            "--header",
            "headers",
            multiple=True,
            metavar="NAME=VALUE",
            help="Sent with each POST; NAME=@FILE reads the value from a file. Repeatable.",
        ),
        click.option("--sns", metavar="ARN", help="Publish to this SNS topic."),
        click.option("--kinesis", metavar="STREAM", help="Write to this Kinesis stream."),
        click.option("--region", help="Of the SNS topic or Kinesis stream."),
        click.option("--ordered/--unordered", default=None, help="One event after another (the default)."),
        click.option(
            "--in-flight", type=click.IntRange(1), help="How many at once; only where it is unordered."
        ),
        click.option("--start", metavar="now|beginning|TIME", help="Where to begin; now by default."),
        click.option("--name", help="What people call it."),
        click.option(
            "--file",
            type=click.Path(path_type=Path, exists=True, dir_okay=False),
            help="The whole configuration as JSON; other options change it.",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


def config_of(given: Mapping[str, Any], before: Mapping[str, Any] | None = None) -> Config:
    """The configuration that the options describe, changing `before` where they are given. Raises
    UsageError."""
    config: Config = {name: before[name] for name in MEMBERS if name in before} if before else {}
    if given.get("file") is not None:
        config = _read(given["file"])
    if given.get("topics"):
        config["topics"] = [_topic(text) for text in given["topics"]]
    sink = _sink(given, config.get("sink"))
    if sink is not None:
        config["sink"] = sink
    for option, member in (("start", "start"), ("name", "name"), ("in_flight", "inFlight")):
        if given.get(option) is not None:
            config[member] = given[option]
    if given.get("ordered") is not None:
        config["ordered"] = given["ordered"]
        if given["ordered"]:
            config.pop("inFlight", None)
    if not config.get("topics") or not config.get("sink"):
        raise click.UsageError("Give at least one --topic, and --webhook, --sns or --kinesis (or --file).")
    return config


def _read(path: Path) -> Config:
    try:
        read = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise click.UsageError(f"{path} can't be read as JSON ({error}).") from error
    if not isinstance(read, dict):
        raise click.UsageError(f"{path} must hold a JSON object.")
    return read


def _topic(text: str) -> dict[str, Any]:
    topic, _, names = text.partition(":")
    return {"topic": topic, "eventNames": names.split(",")} if names else {"topic": topic}


def _sink(given: Mapping[str, Any], before: Mapping[str, Any] | None) -> dict[str, Any] | None:
    named = [(kind, given[kind]) for kind in ("webhook", "sns", "kinesis") if given.get(kind)]
    if len(named) > 1:
        raise click.UsageError("Give one of --webhook, --sns and --kinesis.")
    if not named and not given.get("headers") and not given.get("region"):
        return None
    members = {"webhook": "url", "sns": "topicArn", "kinesis": "streamName"}
    sink = dict(before or {})
    for kind, target in named:
        kept = sink if sink.get("type") == kind else {}
        sink = {**kept, "type": kind, members[kind]: target}
    if given.get("headers"):
        sink["headers"] = {**(sink.get("headers") or {}), **dict(_header(text) for text in given["headers"])}
    if given.get("region"):
        sink["region"] = given["region"]
    return sink


def _header(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise click.UsageError(f"--header is NAME=VALUE or NAME=@FILE, not {name!r}.")
    if not value.startswith("@"):
        return name, value
    try:
        return name, Path(value[1:]).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise click.UsageError(f"The file of header {name} can't be read ({error}).") from error
