"""Says what a retry or a drop of events will do, what it did, and what to do: for every screen."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Final

from sqlalchemy.exc import DBAPIError

from models.lifecycle.advance import NO_WINDOW
from models.outbox.dead_letters import NotPossible
from models.platform.timestamps import format_timestamp
from models.triage.values import EventResolution
from models.vocabulary import Outcome, Reason

_PUBLISH_AGAIN: Final = "have its publisher correct it and publish it again, then drop this one"
_FINAL: Final = "it can no longer count: settle it with the partner if need be, then drop it"
_SLOW_CLOCK: Final = (
    "if it is true and only its clock was slow, retry it as now (`--as-now`); else drop it"
)
_BY_ITSELF: Final = "it is decided by itself once that has come; else its wait ends as rejected"

_REMEDIES: Final[Mapping[str, str]] = {
    Reason.ALREADY_KNOWN: "set `--announces-tickets` on an operator whose tickets begin with "
    "ticket_create or ticket_reserve",
    Reason.OTHER_DRAW: "an operator with `--lottery-ticket ticket+draw` has a ticket for each draw",
    Reason.UNKNOWN_OPERATOR: "add the operator with `slipway operators add`, then retry",
    Reason.OPERATOR_ENDED: "the partnership is over: drop it",
    Reason.TICKET_REMOVED: _FINAL,
    # Superseded.
    Reason.OLDER_SAME: "harmless, it repeats the current result: drop it",
    Reason.OLDER_DIFFERS: _SLOW_CLOCK,
    Reason.OLDER_ROLLBACK: _SLOW_CLOCK,
    Reason.OLDER_UPDATE: _SLOW_CLOCK,
    # Parked.
    Reason.WAITS_FOR_TICKET: _BY_ITSELF,
    Reason.WAITS_FOR_RESULT: _BY_ITSELF,
    Reason.WAITS_FOR_ROLLBACK: _BY_ITSELF,
    Reason.WAITS_FOR_NUMBER: f"{_BY_ITSELF}; drop the missing number's event only if it was parked",
    # Rejected for the state of the ticket.
    Reason.TICKET_CLOSED: _FINAL,
    Reason.TICKET_CANCELLED: _FINAL,
    Reason.NOT_RESERVED: "retry it once the ticket is reserved; else drop it",
    Reason.ALREADY_OPEN: "the ticket is open already: drop it",
    Reason.OUT_OF_TURN: "have what comes before it published, then retry",
    Reason.NUMBER_USED: "have it published again with the next number, then drop this one",
    Reason.WINDOW_ENDED: "have what it waited for published, then retry",
    Reason.TOO_MANY_PARKED: "have what the ticket waits for published, then retry",
    Reason.DROPPED: "a person dropped it while it was parked: retry it if that was wrong",
    # Rejected for the partner's protocol, or before it became an event.
    Reason.MISSING_FIELDS: _PUBLISH_AGAIN,
    Reason.NO_SUCH_CALL: "the partner's protocol has no call for it: drop it",
    Reason.OTHER_CURRENCY: _PUBLISH_AGAIN,
    Reason.CONTRADICTORY: _PUBLISH_AGAIN,
    Reason.EVENT_ID_REUSED: "have it published again with an id of its own, then drop this one",
    Reason.UNKNOWN_ACTION: _PUBLISH_AGAIN,
    Reason.UNKNOWN_TYPE: _PUBLISH_AGAIN,
    Reason.TIMED: _PUBLISH_AGAIN,
    Reason.INVALID_EVENT: _PUBLISH_AGAIN,
    Reason.NOT_JSON: _PUBLISH_AGAIN,
    Reason.NOT_UTF8: _PUBLISH_AGAIN,
    Reason.TOO_LARGE: _PUBLISH_AGAIN,
    Reason.TOO_OLD: "its ticket may have been removed: settle it by hand if need be, then drop it",
    Reason.POISON: "a fault in Slipway: report it, retry after the release that corrects it",
}


def remedy(reason: str | None) -> str | None:
    """Return what to do about events that ended, or wait, with *reason*, if anything."""
    return None if reason is None else _REMEDIES.get(reason)


def will_retry(resolutions: Sequence[EventResolution], *, as_now: bool) -> list[str]:
    """Describe what retrying events will do: a sentence for each that was asked for."""
    again = "processed again, as if it happened now" if as_now else "processed again"
    sentences = []
    for resolution in _selected(resolutions):
        how = "decided now" if resolution.was_outcome == Outcome.PARKED else again
        sentences.append(
            f"{_event(resolution)} ({_previous(resolution)}) will be {how}:"
            f" it will be {_outcome(resolution)}"
        )
    return _with_those_along(sentences, resolutions, verb="will be")


def did_retry(resolutions: Sequence[EventResolution]) -> list[str]:
    """Describe what retrying them did."""
    sentences = [
        f"{_event(resolution)} is {_outcome(resolution)}" for resolution in _selected(resolutions)
    ]
    return _with_those_along(sentences, resolutions, verb="is")


def prospect(rehearse: Callable[[], EventResolution], *, reason: str | None) -> str:
    """Describe whether a retry leads anywhere now, and where.

    *rehearse* retries it in a transaction that is rolled back; *reason* is the event's.
    """
    try:
        resolution = rehearse()
    except NotPossible as refusal:
        if reason == Reason.UNKNOWN_OPERATOR:
            return f"only after `slipway operators add`: {refusal}"
        return f"no: {refusal}"
    except DBAPIError as error:  # the ticket is locked, or the database user may only read
        return f"unknown, the rehearsal failed: {str(error.orig).partition(chr(10))[0]}"
    if resolution.got_through:
        return f"yes: it would be {_outcome(resolution)}"
    not_yet = "not yet" if resolution.outcome == Outcome.PARKED else "no"
    return f"{not_yet}: it would be {_outcome(resolution)}"


def will_drop(resolutions: Sequence[EventResolution]) -> list[str]:
    """Describe what dropping events will do."""
    sentences = []
    for resolution in _selected(resolutions):
        event = f"{_event(resolution)} ({_previous(resolution)})"
        if resolution.was_outcome == Outcome.PARKED:
            number = resolution.gives_up
            used_up = "" if number is None else f"; its sequence number {number} is used up"
            sentences.append(
                f"{event} will be rejected with the reason dropped and never applied{used_up}"
            )
        else:
            sentences.append(
                f"{event} will leave the list; nothing else changes, and it stays in the log and"
                " in its ticket's history"
            )
    return _with_those_along(sentences, resolutions, verb="will be")


def did_drop(resolutions: Sequence[EventResolution]) -> list[str]:
    """Describe what dropping them did."""
    sentences = [f"{_event(resolution)} is dropped" for resolution in _selected(resolutions)]
    return _with_those_along(sentences, resolutions, verb="is")


def _selected(resolutions: Sequence[EventResolution]) -> list[EventResolution]:
    return [resolution for resolution in resolutions if resolution.selected]


def _event(resolution: EventResolution) -> str:
    entry = "" if resolution.entry_id is None else f"entry {resolution.entry_id}"
    if not resolution.event_id:
        return entry
    event = (
        f"{resolution.action} {resolution.event_id}".strip()
        + f" of ticket {resolution.ticket_id} of {resolution.operator}"
    )
    return event if not entry else f"{entry}, {event}"


def _previous(resolution: EventResolution) -> str:
    if resolution.was_reason is None:
        return resolution.was_outcome
    return f"{resolution.was_outcome}, {resolution.was_reason}"


def _outcome(resolution: EventResolution) -> str:
    unchanged = resolution.outcome == resolution.was_outcome
    again = " again" if unchanged else ""
    why = "" if resolution.message is None else f": {resolution.message}"
    match Outcome(resolution.outcome):
        case Outcome.APPLIED:
            notices = ", ".join(resolution.notices)
            sent = f"; the partner will be sent {notices}" if notices else ""
            return f"applied{_change_of_status(resolution)}{sent}"
        case Outcome.CONFIRMED:
            return f"confirmed ({resolution.reason}); nothing is sent"
        case Outcome.DUPLICATE:
            return "a duplicate: it already arrived another way, and counts once"
        case Outcome.SUPERSEDED:
            advice = "; as now (--as-now) gives it the current time"
            return f"superseded{again} ({resolution.reason}){why}{advice}"
        case Outcome.REJECTED:
            final = ""
            if resolution.reason == Reason.NUMBER_USED:
                final = "; a sequence number counts once, so this stays rejected"
            return f"rejected{again} ({resolution.reason}){why}{final}"
        case Outcome.PARKED:
            still = "still " if unchanged else ""
            return f"{still}parked {_until(resolution)} ({resolution.reason}){why}"


def _change_of_status(resolution: EventResolution) -> str:
    facts = [] if resolution.reason is None else [resolution.reason]
    if resolution.status_before != resolution.status_after:
        facts.append(f"{resolution.status_before} to {resolution.status_after}")
    return f" ({', '.join(facts)})" if facts else ""


def _until(resolution: EventResolution) -> str:
    if resolution.park_until is None or resolution.park_until >= NO_WINDOW:
        return "until the partner responds"
    return f"until {_time(resolution.park_until)}"


def _with_those_along(
    sentences: list[str], resolutions: Sequence[EventResolution], *, verb: str
) -> list[str]:
    """Append to the last sentence the parked events that are decided along with those asked for."""
    along = [
        f"along with it, {_event(resolution)} {verb} {_outcome(resolution)}"
        for resolution in resolutions
        if not resolution.selected
    ]
    return [*sentences[:-1], "; ".join([sentences[-1], *along])]


def _time(time: datetime) -> str:
    return format_timestamp(time, "seconds")
