"""Says what a change will do, and what it did, so that nobody has to know the rules by heart."""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime

from models.lifecycle.advance import NO_WINDOW
from models.outbox.dead_letters import Resolution
from models.platform.durations import format_duration
from models.platform.timestamps import written
from models.triage import EventResolution, FreedNotice
from models.vocabulary import RESULTS, Action, Outcome, Reason


def will_retry(ends: Sequence[EventResolution], *, as_now: bool) -> list[str]:
    """What taking events up again will do: a sentence for each that was asked for."""
    again = "taken up again, as if it happened now" if as_now else "taken up again"
    said = []
    for end in _asked(ends):
        how = "decided now" if end.was_outcome == Outcome.PARKED else again
        said.append(f"{_which(end)} ({_was(end)}) will be {how}: it will be {_fate(end)}")
    return _with_those_along(said, ends, verb="will be")


def did_retry(ends: Sequence[EventResolution]) -> list[str]:
    """What taking them up again did."""
    said = [f"{_which(end)} is {_fate(end)}" for end in _asked(ends)]
    return _with_those_along(said, ends, verb="is")


def prospect(end: EventResolution) -> str:
    """Whether taking it up again leads anywhere, and where."""
    if end.got_through:
        return f"yes: it would be {_fate(end)}"
    not_yet = "not yet" if end.outcome == Outcome.PARKED else "no"
    return f"{not_yet}: it would be {_fate(end)}"


def will_drop(ends: Sequence[EventResolution]) -> list[str]:
    """What dropping events will do."""
    said = []
    for end in _asked(ends):
        if end.was_outcome == Outcome.PARKED:
            number = "" if end.gives_up is None else f"; its number {end.gives_up} is used up"
            said.append(
                f"{_which(end)} ({_was(end)}) will be rejected with the reason dropped and never"
                f" applied{number}"
            )
        else:
            said.append(
                f"{_which(end)} ({_was(end)}) will leave the list; nothing else changes, and it"
                " stays in the log and in its ticket's story"
            )
    return _with_those_along(said, ends, verb="will be")


def did_drop(ends: Sequence[EventResolution]) -> list[str]:
    """What dropping them did."""
    said = [f"{_which(end)} is dropped" for end in _asked(ends)]
    return _with_those_along(said, ends, verb="is")


def will_free(freed: FreedNotice) -> str:
    """What a way out for a dead notice will do."""
    what = f"{freed.action} of generation {freed.generation}"
    whose = f"ticket {freed.ticket_id} of {freed.operator}"
    match Resolution(freed.way):
        case Resolution.RETRY:
            said = f"{what} of {whose} will be sent again, from now on and as often as a new one"
            if freed.perhaps_delivered:
                said += "; the partner perhaps has it, and gets the same Idempotency-Key again"
            if freed.operator_disabled:
                said += "; the operator is disabled, so it is held until that ends"
            return said
        case Resolution.SKIP_DELIVERED:
            said = f"{what} of {whose} will count as delivered from now on"
            return said + _clock_starts(freed) + _next(freed)
        case Resolution.SKIP_NOT_DELIVERED:
            said = f"the partner will never be told {what} of {whose}"
            if freed.perhaps_delivered:
                said += ", although an attempt had no answer"
            return said + _loss(freed) + _next(freed)


def did_free(freed: FreedNotice) -> str:
    """What it did."""
    done = {
        Resolution.RETRY: "is due",
        Resolution.SKIP_DELIVERED: "counts as delivered",
        Resolution.SKIP_NOT_DELIVERED: "is skipped",
    }[Resolution(freed.way)]
    closes = ""
    if freed.way == Resolution.SKIP_DELIVERED and freed.of_force and freed.close_due_at is not None:
        closes = f"; the ticket closes at {_clock(freed.close_due_at)}"
    return f"{freed.action} of ticket {freed.ticket_id} of {freed.operator} {done}{closes}"


def outlook(freed: Sequence[FreedNotice], refused: Sequence[str]) -> str:
    """What follows from skipping many, counted: clocks, rollbacks, what goes out next."""
    clocks = sum(
        one.way == Resolution.SKIP_DELIVERED and one.of_force and one.close_due_at is not None
        for one in freed
    )
    withdrawn = sum(one.withdrawn for one in freed)
    following = [one.next_action for one in freed if one.next_action is not None]
    said = [f"closing times that start: {clocks:,}"] if clocks else []
    said += [f"rollbacks withdrawn: {withdrawn:,}"] if withdrawn else []
    if following:
        said.append("next to go: " + counted(following, "notice"))
    said += [f"not possible: {count:,} ({why})" for why, count in Counter(refused).items()]
    return "".join(f"; {one}" for one in said)


def counted(actions: Iterable[str], noun: str) -> str:
    """`3 parked events (2 ticket_win, 1 ticket_rollback)`."""
    counts = Counter(actions)
    total = sum(counts.values())
    named = ", ".join(f"{count:,} {action}" for action, count in sorted(counts.items()))
    return f"{total:,} {noun}{'' if total == 1 else 's'} ({named})"


def _asked(ends: Sequence[EventResolution]) -> list[EventResolution]:
    return [end for end in ends if end.asked]


def _which(end: EventResolution) -> str:
    entry = "" if end.entry_id is None else f"entry {end.entry_id}"
    if not end.event_id:
        return entry
    named = f"{end.action} {end.event_id}".strip() + f" of ticket {end.ticket_id} of {end.operator}"
    return named if not entry else f"{entry}, {named}"


def _was(end: EventResolution) -> str:
    return end.was_outcome if end.was_reason is None else f"{end.was_outcome}, {end.was_reason}"


def _fate(end: EventResolution) -> str:
    again = " again" if end.outcome == end.was_outcome else ""
    why = "" if end.message is None else f": {end.message}"
    match Outcome(end.outcome):
        case Outcome.APPLIED:
            said = f"applied{_moved(end)}"
            return said + (f"; the partner is owed {', '.join(end.notices)}" if end.notices else "")
        case Outcome.CONFIRMED:
            return f"confirmed ({end.reason}); nothing is sent"
        case Outcome.DUPLICATE:
            return "a duplicate: it came another way before, and counts once"
        case Outcome.SUPERSEDED:
            return f"superseded{again} ({end.reason}){why}; --as-now stamps it anew"
        case Outcome.REJECTED:
            more = ""
            if end.reason == Reason.NUMBER_USED:
                more = "; a number counts once, so this stays rejected"
            return f"rejected{again} ({end.reason}){why}{more}"
        case Outcome.PARKED:
            return f"parked{' still' if again else ''} {_until(end)} ({end.reason}){why}"


def _moved(end: EventResolution) -> str:
    facts = [] if end.reason is None else [end.reason]
    if end.status_before != end.status_after:
        facts.append(f"{end.status_before} to {end.status_after}")
    return f" ({', '.join(facts)})" if facts else ""


def _until(end: EventResolution) -> str:
    if end.park_until is None or end.park_until >= NO_WINDOW:
        return "until the partner has answered"
    return f"until {_clock(end.park_until)}"


def _with_those_along(said: list[str], ends: Sequence[EventResolution], *, verb: str) -> list[str]:
    along = [f"along with it, {_which(end)} {verb} {_fate(end)}" for end in ends if not end.asked]
    return [*said[:-1], "; ".join([said[-1], *along])]


def _clock_starts(freed: FreedNotice) -> str:
    if freed.action not in RESULTS:
        return ""
    delay = format_duration(freed.close_delay)
    if freed.of_force and freed.close_due_at is not None:
        return f"; its {delay} start, so the ticket closes at {_clock(freed.close_due_at)}"
    return f"; no {delay} start, because the ticket does not stand at it any more"


def _loss(freed: FreedNotice) -> str:
    match Action(freed.action):
        case action if action in RESULTS:
            rollback = (
                "its rollback is withdrawn with it"
                if freed.withdrawn
                else "its rollback, if one comes, is withdrawn with it"
            )
            delay = format_duration(freed.close_delay)
            clock = f"the {delay} do not start" if freed.of_force else "it starts no clock"
            closes = ", so the ticket does not close by itself" if freed.of_force else ""
            return f"; {rollback}; {clock}{closes}"
        case Action.DISCARD:
            return "; if it has debited the slip, that stays so until it is settled by hand"
        case Action.CLOSED:
            return "; the ticket stays closed here"
        case _:
            return ""


def _next(freed: FreedNotice) -> str:
    if freed.next_action is None:
        return "; nothing waits behind it"
    what = f"{freed.next_action} of generation {freed.next_generation}"
    return f"; next comes {what}" + (", which is dead, too" if freed.next_dead else "")


def _clock(moment: datetime) -> str:
    return written(moment, "seconds")
