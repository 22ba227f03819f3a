"""Options that several commands share, and how their values are read."""

import getpass
import math
import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated

import typer

from models.platform.durations import parse_duration
from models.platform.timestamps import parse_timestamp

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
OneOperator = Annotated[
    str | None, typer.Option("--operator", metavar="CODE", help="Only this operator.")
]
By = Annotated[
    str | None,
    typer.Option(
        "--by", metavar="NAME", help="Your name, recorded with the change.", show_default="you"
    ),
]
Why = Annotated[
    str, typer.Option("--why", metavar="TEXT", help="The reason, recorded with the change.")
]
NO_REASON = "no reason given"
_RATE = re.compile(r"([0-9]+(?:\.[0-9]+)?)/(s|min|h)")
_SECONDS = {"s": 1, "min": 60, "h": 3600}


def person_name(given: str | None) -> str:
    """Return the person's name: from `--by`, otherwise the name of the system's user."""
    if given:
        return given
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user id without a name
        raise typer.BadParameter("this user has no name on this machine; pass --by NAME") from None


def duration(text: str) -> timedelta:
    """Read `24h` or `1h30m`."""
    try:
        return parse_duration(text)
    except ValueError as refusal:
        raise typer.BadParameter(str(refusal)) from None


def per_second(text: str) -> float:
    """Read `50/s`, `600/min` or `1000/h` as a number per second."""
    match = _RATE.fullmatch(text)
    if match is None:
        raise typer.BadParameter(f"{text[:40]!r} is not a rate; write 50/s, 600/min or 1000/h")
    return float(match[1]) / _SECONDS[match[2]]


def rate_or_unlimited(text: str) -> float:
    """Read a rate as `per_second` does; `unlimited` is infinite."""
    return math.inf if text == "unlimited" else per_second(text)


@dataclass(frozen=True, slots=True)
class When:
    """A time as a person typed it: a point in time, or a time span after the command."""

    at: datetime | None
    after: timedelta = timedelta(0)

    def time(self, now: datetime) -> datetime:
        """Return the time that is meant by a command given at *now*."""
        return now + self.after if self.at is None else self.at


def when(text: str) -> When:
    """Read `2026-11-20T10:00:00Z`, or `+1h30m` for a time from now."""
    if text.startswith("+"):
        return When(None, duration(text[1:]))
    try:
        return When(parse_timestamp(text))
    except ValueError as problem:
        raise typer.BadParameter(
            f"{text[:40]!r} is not a time: it {problem}; for a time from now, write +1h"
        ) from None


@dataclass(frozen=True, slots=True)
class Past:
    """A time as a person typed it: a point in time, or a time span before the command."""

    at: datetime | None
    ago: timedelta = timedelta(0)

    def time(self, now: datetime) -> datetime:
        """Return the time that is meant by a command given at *now*."""
        return now - self.ago if self.at is None else self.at


def past(text: str) -> Past:
    """Read `2026-11-20T10:00:00Z`, or `3h` for a time before now."""
    try:
        return Past(None, parse_duration(text))
    except ValueError:
        pass
    try:
        return Past(parse_timestamp(text))
    except ValueError as problem:
        raise typer.BadParameter(
            f"{text[:40]!r} is not a time: it {problem}; for a time before now, write 3h"
        ) from None
