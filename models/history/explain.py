"""Explains in one sentence why a ticket is not closed. Decides only; reads nothing."""

from datetime import datetime, timedelta
from typing import Final, assert_never

from models.history.values import (
    AttemptFact,
    NoticeFact,
    OpenCircuit,
    SweepFact,
    TicketFact,
    TicketHistory,
)
from models.platform.durations import format_duration
from models.platform.timestamps import format_timestamp
from models.vocabulary import RESULTS, NoticeEnd, Outcome, Result, Status

_RESULT_SHOWN_MAX: Final = 120
_SWEEP_STALLED: Final = timedelta(minutes=1)  # a round takes 20 s at most
_HELD: Final = "ticket_held"  # the intervention of `models.triage.hold`


def why_not_closed(history: TicketHistory, *, now: datetime) -> str:
    """Describe the ticket's status and what it waits for, or since when it is closed."""
    ticket = history.ticket
    match ticket.status:
        case Status.ABSENT:
            parts = [f"not opened yet: {_absent(history)}"]
        case Status.NEW:
            parts = [
                "new: it opens when the partner responds with 200",
                *_undelivered(history, now),
            ]
        case Status.RESERVED:
            parts = ["reserved: it waits for ticket_paid", *_undelivered(history, now)]
        case Status.OPEN:
            parts = [_open(ticket), *_undelivered(history, now)]
        case Status.RESULTED:
            parts = [f"resulted ({ticket.result})", *_resulted(history, now)]
        case Status.CLOSED:
            assert ticket.closed_at is not None, "a closed ticket has its time"
            parts = [f"closed at {_time(ticket.closed_at)}", *_undelivered(history, now)]
        case Status.CANCELLED:
            by = "" if ticket.cancelled_by is None else f" by {ticket.cancelled_by}"
            parts = [f"cancelled{by}: it never closes", *_undelivered(history, now)]
        case _:
            assert_never(ticket.status)
    if ticket.status is not Status.ABSENT:
        parts += _parked(history, now)
    parts += _on_hold(history)
    if ticket.operator_ended_at is not None:
        parts.append(_ended(ticket, ticket.operator_ended_at))
    return "; ".join(parts) + "."


def _ended(ticket: TicketFact, at: datetime) -> str:
    """Describe what the end of the partnership means for the ticket (rule 24)."""
    ended = f"the partnership with its operator ended at {_time(at)}"
    if ticket.has_ended:
        return f"{ended}, so nothing more is sent or applied"
    return f"{ended}: the sweep is about to end the ticket, and sends nothing"


def _absent(history: TicketHistory) -> str:
    if history.ticket.parked:
        return f"{_parked_events(history)} for the ticket to be opened"
    return "every event that named it was rejected"


def _open(ticket: TicketFact) -> str:
    if ticket.generation == 0:
        return "open: no result has come yet"
    return "open: its result was rolled back and no new one has come yet"


def _resulted(history: TicketHistory, now: datetime) -> list[str]:
    ticket = history.ticket
    result = next(
        (
            notice
            for notice in reversed(history.notices)
            if notice.action in RESULTS
            and notice.generation == ticket.generation
            and not notice.repeat
        ),
        None,
    )
    if ticket.close_due_at is not None:
        return [_closing(ticket, ticket.close_due_at, result, now), *_undelivered(history, now)]
    not_started = f"the close delay of {format_duration(ticket.close_delay)} has not started"
    if result is not None and result.ended is NoticeEnd.SKIPPED:
        return [
            f"{result.action} was skipped by hand, so {not_started}",
            "it never closes by itself",
        ]
    return [*_undelivered(history, now), not_started]


def _closing(ticket: TicketFact, due: datetime, result: NoticeFact | None, now: datetime) -> str:
    since = ""
    if result is not None and result.ended_at is not None:
        what = f"the partner accepted {result.action}"
        if result.ended is NoticeEnd.NOT_WANTED:
            what = f"the turn of {result.action}, which the partner does not want,"
        since = f", {format_duration(ticket.close_delay)} after {what} at {_time(result.ended_at)}"
    if now < due:
        return f"closes at {_time(due)} (in {_about(due - now)}){since}"
    overdue = f"it was due to close at {_time(due)}, {_about(now - due)} ago"
    if ticket.on_hold_at is not None:
        return f"{overdue}, but it does not close while it is on hold"
    if ticket.parked:
        return f"{overdue}, but it does not close while events are parked"
    return f"{overdue}: {_why_overdue(ticket.sweep, due, now)}"


def _why_overdue(sweep: SweepFact | None, due: datetime, now: datetime) -> str:
    """Describe what keeps the sweep from closing what is due (rule 17)."""
    if sweep is None:
        return "no round of the sweep has ended yet; the first one closes it"
    ended = _time(sweep.ended_at)
    if now - sweep.ended_at > _SWEEP_STALLED:
        return f"the sweep has stalled: its last round ended at {ended}; it closes once it runs"
    if sweep.watermark is None:
        return (
            f"the sweep could not read the stream in its last round, at {ended}: nothing closes"
            " until it can, for a rollback may be there"
        )
    if sweep.watermark <= due:
        return (
            f"events from {_time(sweep.watermark)} on are still on the stream, and a rollback may"
            " be among them: it closes once they are applied"
        )
    return "the next sweep closes it"


def _on_hold(history: TicketHistory) -> list[str]:
    """Describe who holds the ticket and why, where the history says so, and until when."""
    since = history.ticket.on_hold_at
    if since is None:
        return []
    holds = [fact for fact in history.interventions if fact.did == _HELD and fact.at == since]
    by = "".join(f", by {hold.who}, because {hold.why!r}" for hold in holds[-1:])
    until_then = "until its release nothing is sent and it does not close"
    return [f"on hold since {_time(since)}{by}: {until_then}"]


def _undelivered(history: TicketHistory, now: datetime) -> list[str]:
    """Describe what the partner has not accepted yet, if anything."""
    ticket = history.ticket
    undelivered = [notice for notice in history.notices if notice.ended in {None, NoticeEnd.DEAD}]
    if not undelivered:
        return []
    head = next((notice for notice in undelivered if notice.head), undelivered[0])
    parts = [_unwanted(head, ticket) if head.unwanted else _head(head, ticket, now)]
    if behind := [_name(notice) for notice in undelivered if notice is not head]:
        parts.append(f"waiting behind it: {', '.join(behind)}")
    return parts


def _name(notice: NoticeFact) -> str:
    if notice.unwanted:
        return f"{notice.action} (not wanted, so never sent)"
    return notice.action if notice.as_repeat is None else f"{notice.action} ({notice.as_repeat})"


def _unwanted(notice: NoticeFact, ticket: TicketFact) -> str:
    turn = "with the ticket's release" if ticket.on_hold_at is not None else "in its turn"
    return f"{notice.action}, which the partner does not want, ends {turn} without being sent"


def _head(notice: NoticeFact, ticket: TicketFact, now: datetime) -> str:
    not_accepted = f"the partner has not accepted {_name(notice)} yet"
    if notice.ended is NoticeEnd.DEAD:
        why = "" if notice.reason is None else f" ({notice.reason})"
        return f"{_name(notice)} is dead{why}: a person must retry or skip it"
    if ticket.operator_disabled_at is not None:
        since = _time(ticket.operator_disabled_at)
        return f"{not_accepted}: its operator has been disabled since {since}, so notices are held"
    attempts = _attempts(notice)
    if notice.leased_until is not None and notice.leased_until > now:
        return f"{not_accepted} ({', '.join(['being sent now', *attempts])})"
    if ticket.on_hold_at is not None:
        return f"{not_accepted} ({', '.join(attempts) or 'not tried'}; not sent while on hold)"
    if ticket.circuit is not None:
        tried = "".join(f" ({each})" for each in [", ".join(attempts)] if each)
        return f"{not_accepted}{tried}: {_circuit(ticket.circuit, now)}"
    when = f"next in {_about(notice.due_at - now)}" if notice.due_at > now else "due now"
    tried = ", ".join(attempts) or "not tried"
    return f"{not_accepted} ({tried}; {when})"


def _circuit(circuit: OpenCircuit, now: datetime) -> str:
    why = "" if circuit.reason is None else f", because {circuit.reason[:_RESULT_SHOWN_MAX]}"
    probe = "due now"
    if circuit.probe_at is not None and circuit.probe_at > now:
        probe = f"in {_about(circuit.probe_at - now)}"
    return (
        f"its partner's circuit has been open since {_time(circuit.opened_at)}{why}, so only a"
        f" probe is sent (the next one {probe}); once one succeeds, this is sent too"
    )


def _attempts(notice: NoticeFact) -> list[str]:
    if not notice.attempts:
        return []
    count = len(notice.attempts)
    perhaps = "; perhaps delivered" if notice.perhaps_delivered else ""
    return [
        "1 attempt" if count == 1 else f"{count} attempts",
        f"last: {result_of(notice.attempts[-1])}{perhaps}",
    ]


def result_of(attempt: AttemptFact) -> str:
    """Describe what an attempt met: the partner's status, or what went wrong."""
    if attempt.http_status is not None:
        return str(attempt.http_status)
    return (attempt.problem or attempt.verdict)[:_RESULT_SHOWN_MAX]


def _parked(history: TicketHistory, now: datetime) -> list[str]:
    if not history.ticket.parked:
        return []
    ends = [event.park_until for event in history.events if event.park_until is not None]
    until = ""
    if ends:
        last = max(ends)
        until = f", until {_time(last)}" if last > now else ", and its parking window is over"
    return [_parked_events(history) + _what_they_wait_for(history) + until]


def _what_they_wait_for(history: TicketHistory) -> str:
    match history.ticket.result, history.ticket.status:
        case (_, Status.NEW):
            return " for the partner's response"
        case (Result.PENDING, _):
            return " for an earlier event"
        case _:
            return " for a rollback of the current result"


def _parked_events(history: TicketHistory) -> str:
    actions = [event.action for event in history.events if event.outcome is Outcome.PARKED]
    count = history.ticket.parked
    named = f" ({', '.join(dict.fromkeys(actions))})" if actions else ""
    return f"1 parked event{named} waits" if count == 1 else f"{count} parked events{named} wait"


def _time(time: datetime) -> str:
    return format_timestamp(time, "seconds")


def _about(duration: timedelta) -> str:
    """Format to the second; below one second as `1s`, so that nothing waits for `0s`."""
    return format_duration(timedelta(seconds=max(1, round(duration.total_seconds()))))
