"""Says what an act on a ticket or its dead notice will do, and what it did: for every screen."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Final

from models.outbox.dead_letters import Resolution
from models.outbox.send_again import SentAgain
from models.platform.durations import format_duration
from models.platform.timestamps import format_timestamp
from models.triage.by_hand import PublishedEvent
from models.triage.hold import HeldTicket, ReleasedTicket
from models.triage.values import ResolvedNotice
from models.vocabulary import RESULTS, Action, Outcome

# After "312 dead notices".
WILL_RESOLVE_MANY: Final[Mapping[Resolution, str]] = {
    Resolution.RETRY: "will be sent again, starting now and with a full retry schedule",
    Resolution.SKIP_DELIVERED: (
        "will count as delivered from now on; the close delays of those that are their ticket's"
        " current result start"
    ),
    Resolution.SKIP_NOT_DELIVERED: (
        "will be skipped: the partner is never sent them, even if an attempt had no response; the"
        " rollback of a result is withdrawn too and no close delay starts; rollbacks are left"
        " unchanged"
    ),
    Resolution.SKIP_REPEAT: (
        "will be skipped: they are repeats of what the partner has taken, so nothing follows"
    ),
}


def will_resolve(notice: ResolvedNotice) -> str:
    """Describe what a resolution will do."""
    which = (
        f"{notice.action} of generation {notice.generation} of ticket {notice.ticket_id}"
        f" of {notice.operator}"
    )
    match notice.resolution:
        case Resolution.RETRY:
            sentence = f"{which} will be sent again, starting now and with a full retry schedule"
            if notice.perhaps_delivered:
                sentence += "; the partner may have it: it gets the same Idempotency-Key again"
            if notice.operator_disabled:
                sentence += (
                    "; the operator is disabled, so it is held until the operator is enabled"
                )
            return sentence + _hold(notice)
        case Resolution.SKIP_DELIVERED:
            sentence = f"{which} will count as delivered from now on"
            return sentence + _start_of_close_delay(notice) + _next(notice)
        case Resolution.SKIP_NOT_DELIVERED:
            sentence = f"the partner will never be sent {which}"
            if notice.perhaps_delivered:
                sentence += ", although an attempt had no response"
            return sentence + _loss(notice) + _next(notice)
        case Resolution.SKIP_REPEAT:
            sentence = f"the repeat of {which} will not be sent; its original was delivered"
            return sentence + _next(notice)


def did_resolve(notice: ResolvedNotice) -> str:
    """Describe what it did."""
    done = {
        Resolution.RETRY: "waits for the release of its ticket" if notice.on_hold else "is due",
        Resolution.SKIP_DELIVERED: "counts as delivered",
        Resolution.SKIP_NOT_DELIVERED: "is skipped",
        Resolution.SKIP_REPEAT: "is skipped: it was a repeat",
    }[notice.resolution]
    closes = ""
    if starts_close_delay(notice) and notice.close_due_at is not None:
        closes = f"; the ticket closes at {_time(notice.close_due_at)}"
    return f"{notice.action} of ticket {notice.ticket_id} of {notice.operator} {done}{closes}"


def did_hold(ticket: HeldTicket) -> str:
    """Say what holding a ticket stops."""
    return "; ".join(_held(ticket))


def _held(ticket: HeldTicket) -> Iterator[str]:
    yield (
        f"ticket {ticket.ticket_id} of {ticket.operator} ({ticket.status}) is on hold: nothing is"
        " sent and it does not close until it is released"
    )
    if ticket.unfinished:
        yield f"notices that wait: {ticket.unfinished}"
    if ticket.in_flight is not None:
        yield (
            f"{ticket.in_flight} is being sent now, until {_moment(ticket.in_flight_until)} at"
            " most; its outcome still counts"
        )


def did_release(ticket: ReleasedTicket) -> str:
    """Say what follows from a release."""
    return "; ".join(_released(ticket))


def _released(ticket: ReleasedTicket) -> Iterator[str]:
    yield (
        f"ticket {ticket.ticket_id} of {ticket.operator} ({ticket.status}) is released; it was on"
        f" hold since {_time(ticket.on_hold_since)}"
    )
    if ticket.next_dead:
        yield f"its next notice, {ticket.next_action}, is dead: retry or skip it"
    elif ticket.next_action is not None:
        yield f"{ticket.next_action} is sent next, from {_moment(ticket.next_try_at)}"
        if ticket.operator_disabled:
            yield "the operator is disabled, so it waits until the operator is enabled"
    if ticket.close_due_at is not None:
        yield f"it closes at {_time(ticket.close_due_at)}"


def did_send_again(done: SentAgain) -> str:
    """Say what goes out again."""
    notices = ", ".join(f"{each.action} (number {each.original})" for each in done.repeats)
    return f"ticket {done.ticket_id} of {done.operator} is sent again, in this order: {notices}"


def did_publish(event: PublishedEvent) -> str:
    """Say what became of an event that a person published."""
    which = f"{event.action} of ticket {event.ticket_id} of {event.operator}"
    why = "" if event.message is None else f": {event.message}"
    match event.outcome:
        case Outcome.APPLIED:
            moved = f"from {event.status_before} to {event.status_after}"
            sent = "".join(f"; {action} is sent to the partner" for action in event.notices)
            return f"{which} was applied{why}; the ticket went {moved}{sent}"
        case Outcome.CONFIRMED:
            return f"{which} only confirms its present state, so nothing is sent{why}"
        case Outcome.PARKED:
            until = "" if event.park_until is None else f", until {_time(event.park_until)} at most"
            return f"{which} does not fit yet and waits{until}{why}"
        case _:
            return f"{which} had been published under this id before; it counts once"


def starts_close_delay(notice: ResolvedNotice) -> bool:
    """Return whether the ticket's close delay starts with this resolution."""
    return (
        notice.resolution is Resolution.SKIP_DELIVERED
        and notice.is_current_result
        and notice.close_due_at is not None
    )


def _start_of_close_delay(notice: ResolvedNotice) -> str:
    if notice.action not in RESULTS:
        return ""
    delay = format_duration(notice.close_delay)
    if notice.is_current_result and notice.close_due_at is not None:
        closes = _time(notice.close_due_at)
        return f"; its close delay of {delay} starts, so the ticket closes at {closes}"
    return f"; no close delay of {delay} starts: this is no longer the ticket's current result"


def _loss(notice: ResolvedNotice) -> str:
    match Action(notice.action):
        case action if action in RESULTS:
            rollback = (
                "its rollback is withdrawn too"
                if notice.withdrawn
                else "its rollback, if one comes, is withdrawn too"
            )
            if not notice.is_current_result:
                return f"; {rollback}; no close delay starts"
            delay = format_duration(notice.close_delay)
            return (
                f"; {rollback}; the close delay of {delay} does not start, so the ticket does not"
                " close by itself"
            )
        case Action.DISCARD:
            return "; if the partner has debited the stake, that stands until it is settled by hand"
        case Action.CLOSED:
            return "; the ticket stays closed here"
        case _:
            return ""


def _next(notice: ResolvedNotice) -> str:
    if notice.next_action is None:
        return "; nothing waits behind it"
    dead = ", which is dead too" if notice.next_dead else ""
    next_ = f"; next comes {notice.next_action} of generation {notice.next_generation}{dead}"
    return next_ + _hold(notice)


def _hold(notice: ResolvedNotice) -> str:
    return "; the ticket is on hold, so nothing is sent until its release" if notice.on_hold else ""


def _time(time: datetime) -> str:
    return format_timestamp(time, "seconds")


def _moment(time: datetime | None) -> str:
    return "-" if time is None else _time(time)
