"""One sentence that answers "why is this ticket not closed?". Decides only; reads nothing."""

from datetime import datetime, timedelta
from typing import Final, assert_never

from models.history.values import AttemptFact, NoticeFact, TicketFact, TicketHistory
from models.platform.durations import format_duration
from models.platform.timestamps import format_timestamp
from models.vocabulary import RESULTS, NoticeEnd, Outcome, Result, Status

_ANSWER_SHOWN_MAX: Final = 120


def why_not_closed(story: TicketHistory, *, now: datetime) -> str:
    """Say where the ticket stands and what it waits for, or since when it is closed."""
    ticket = story.ticket
    match ticket.status:
        case Status.ABSENT:
            said = [f"not opened yet: {_absent(story)}"]
        case Status.NEW:
            said = ["new: it opens when the partner answers 200", *_head(story, now)]
        case Status.RESERVED:
            said = ["reserved: waits for ticket_paid", *_head(story, now)]
        case Status.OPEN:
            said = [_open(ticket), *_head(story, now)]
        case Status.RESULTED:
            said = [f"resulted ({ticket.result})", *_resulted(story, now)]
        case Status.CLOSED:
            assert ticket.closed_at is not None, "a closed ticket has its time"
            said = [f"closed at {_clock(ticket.closed_at)}", *_head(story, now)]
        case Status.CANCELLED:
            by = "" if ticket.cancelled_by is None else f" by {ticket.cancelled_by}"
            said = [f"cancelled{by}: it never closes", *_head(story, now)]
        case _:
            assert_never(ticket.status)
    if ticket.status is not Status.ABSENT:
        said += _parked(story, now)
    return "; ".join(said) + "."


def _absent(story: TicketHistory) -> str:
    if story.ticket.parked:
        return _waiting(story) + " for the ticket to be opened"
    return "every event that named it was rejected"


def _open(ticket: TicketFact) -> str:
    if ticket.generation == 0:
        return "open: no result has come yet"
    return "open: its result was rolled back and no new one has come yet"


def _resulted(story: TicketHistory, now: datetime) -> list[str]:
    ticket = story.ticket
    result = next(
        (
            notice
            for notice in reversed(story.notices)
            if notice.action in RESULTS and notice.generation == ticket.generation
        ),
        None,
    )
    if ticket.close_due_at is not None:
        return [_closing(ticket, ticket.close_due_at, result, now)]
    not_started = f"the {format_duration(ticket.close_delay)} have not started"
    if result is not None and result.ended is NoticeEnd.SKIPPED:
        return [
            f"{result.action} was skipped by hand, so {not_started}; it does not close by itself"
        ]
    return [*_head(story, now), not_started]


def _closing(ticket: TicketFact, due: datetime, result: NoticeFact | None, now: datetime) -> str:
    since = ""
    if result is not None and result.ended_at is not None:
        since = (
            f", {format_duration(ticket.close_delay)} after the partner took {result.action}"
            f" at {_clock(result.ended_at)}"
        )
    if now < due:
        return f"closes at {_clock(due)} (in {_about(due - now)}){since}"
    late = f"its closing time {_clock(due)} is over since {_about(now - due)}"
    if ticket.parked:
        return f"{late}, but it is not closed while events are parked"
    return (
        f"{late}: the next sweep closes it; if that does not happen, the sweep stands still or"
        " older events are still on the stream"
    )


def _head(story: TicketHistory, now: datetime) -> list[str]:
    """What the partner has not taken yet, if anything."""
    waiting = [one for one in story.notices if one.ended in {None, NoticeEnd.DEAD}]
    if not waiting:
        return []
    head = next((one for one in waiting if one.head), waiting[0])
    said = [_undelivered(head, story.ticket, now)]
    if behind := [one.action for one in waiting if one is not head]:
        said.append(f"behind it wait {', '.join(behind)}")
    return said


def _undelivered(notice: NoticeFact, ticket: TicketFact, now: datetime) -> str:
    not_taken = f"the partner has not taken {notice.action} yet"
    if notice.ended is NoticeEnd.DEAD:
        why = "" if notice.reason is None else f" ({notice.reason})"
        return f"{notice.action} is dead{why}: a person must retry or skip it"
    if ticket.operator_disabled_at is not None:
        since = _clock(ticket.operator_disabled_at)
        return f"{not_taken}: the operator is disabled since {since}, its notices are held"
    if notice.leased_until is not None and notice.leased_until > now:
        return f"{not_taken} (being sent now{_tried(notice)})"
    when = f"next in {_about(notice.due_at - now)}" if notice.due_at > now else "due now"
    return f"{not_taken} ({_tried(notice).removeprefix(', ') or 'not tried'}; {when})"


def _tried(notice: NoticeFact) -> str:
    if not notice.attempts:
        return ""
    count = len(notice.attempts)
    times = "1 attempt" if count == 1 else f"{count} attempts"
    perhaps = "; perhaps delivered" if notice.perhaps_delivered else ""
    return f", {times}, last: {result_of(notice.attempts[-1])}{perhaps}"


def result_of(attempt: AttemptFact) -> str:
    """What an attempt met, in a few words: the partner's status, or what went wrong."""
    if attempt.http_status is not None:
        return str(attempt.http_status)
    return (attempt.problem or attempt.verdict)[:_ANSWER_SHOWN_MAX]


def _parked(story: TicketHistory, now: datetime) -> list[str]:
    if not story.ticket.parked:
        return []
    ends = [event.park_until for event in story.events if event.park_until is not None]
    until = ""
    if ends:
        last = max(ends)
        until = f", until {_clock(last)}" if last > now else ", and its time to wait is over"
    return [_waiting(story) + _for_what(story) + until]


def _for_what(story: TicketHistory) -> str:
    match story.ticket.result, story.ticket.status:
        case (_, Status.NEW):
            return " for the partner's answer"
        case (Result.PENDING, _):
            return " for what must come before"
        case _:
            return " for a rollback of the present result"


def _waiting(story: TicketHistory) -> str:
    actions = [event.action for event in story.events if event.outcome is Outcome.PARKED]
    count = story.ticket.parked
    named = f" ({', '.join(dict.fromkeys(actions))})" if actions else ""
    return f"1 parked event{named} waits" if count == 1 else f"{count} parked events{named} wait"


def _clock(moment: datetime) -> str:
    return format_timestamp(moment, "seconds")


def _about(duration: timedelta) -> str:
    """To the second; below one second `1s`, so that nothing waits for `0s`."""
    return format_duration(timedelta(seconds=max(1, round(duration.total_seconds()))))
