"""Options that several commands share, and how their values are read."""

import getpass
import math
from datetime import timedelta
from typing import Annotated, Final

import typer

from models.platform.durations import parse_duration
from models.platform.typed_times import Past, When, parse_past, parse_rate, parse_when

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

DEFAULT: Final = "default"  # returns a term to what holds for every operator
NO_DURATION: Final = timedelta.max  # the same for a duration


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


def own_duration(text: str) -> timedelta:
    """Read a duration as `duration` does; `default` is NO_DURATION."""
    return NO_DURATION if text == DEFAULT else duration(text)


def per_second(text: str) -> float:
    """Read `50/s`, `600/min` or `1000/h` as a number per second."""
    try:
        return parse_rate(text)
    except ValueError as refusal:
        raise typer.BadParameter(str(refusal)) from None


def rate_or_unlimited(text: str) -> float:
    """Read a rate as `per_second` does; `unlimited` is infinite."""
    return math.inf if text == "unlimited" else per_second(text)


def when(text: str) -> When:
    """Read `2026-11-20T10:00:00Z`, or `+1h30m` for a time from now."""
    try:
        return parse_when(text)
    except ValueError as refusal:
        raise typer.BadParameter(str(refusal)) from None


def past(text: str) -> Past:
    """Read `2026-11-20T10:00:00Z`, or `3h` for a time before now."""
    try:
        return parse_past(text)
    except ValueError as refusal:
        raise typer.BadParameter(str(refusal)) from None
