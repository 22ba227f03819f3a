"""What the doctor finds: how a thing is, and if it is wrong, what to do about it."""

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """How a thing is."""

    OK = "ok"
    DOUBTFUL = "doubtful"  # it works, but probably not as meant
    WRONG = "wrong"
    UNKNOWN = "unknown"  # it could not be looked at, because of something else that is wrong


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at. *mend* is there where something is to be done."""

    part: str
    state: State
    found: str
    mend: str | None = None


def ok(part: str, found: str) -> Finding:
    """Make a finding about something that is as it should be."""
    return Finding(part, State.OK, found)


def doubtful(part: str, found: str, *, mend: str) -> Finding:
    """Make a finding about something that works, but probably not as meant."""
    return Finding(part, State.DOUBTFUL, found, mend)


def wrong(part: str, found: str, *, mend: str) -> Finding:
    """Make a finding about something that must be mended."""
    return Finding(part, State.WRONG, found, mend)


def unknown(part: str, because: str) -> Finding:
    """Make a finding about something that could not be looked at."""
    return Finding(part, State.UNKNOWN, because)
