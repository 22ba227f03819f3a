"""What the doctor finds: the state of one part, and if it is wrong, the remedy."""

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """The state of a part."""

    OK = "ok"
    DOUBTFUL = "doubtful"  # it works, but probably not as meant
    WRONG = "wrong"
    UNKNOWN = "unknown"  # it could not be checked, because something else is wrong


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check; *remedy* says what to do, if there is something to do."""

    part: str
    state: State
    detail: str
    remedy: str | None = None


def ok(part: str, detail: str) -> Finding:
    """Return a finding about something that is as it should be."""
    return Finding(part, State.OK, detail)


def doubtful(part: str, detail: str, *, remedy: str) -> Finding:
    """Return a finding about something that works, but probably not as meant."""
    return Finding(part, State.DOUBTFUL, detail, remedy)


def wrong(part: str, detail: str, *, remedy: str) -> Finding:
    """Return a finding about something that must be fixed."""
    return Finding(part, State.WRONG, detail, remedy)


def unknown(part: str, reason: str) -> Finding:
    """Return a finding about something that could not be checked."""
    return Finding(part, State.UNKNOWN, reason)
