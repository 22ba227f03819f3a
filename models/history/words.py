"""What each moment of a ticket's timeline says, in words: for the command line and the pages."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Final, NamedTuple, assert_never

from models.history.explain import result_of
from models.history.facts_in_words import in_words
from models.history.timeline import (
    AT_ONCE,
    Arrived,
    Closed,
    Ended,
    NoticeQueued,
    Repeated,
    Tried,
    What,
)
from models.history.values import (
    AttemptFact,
    EventFact,
    InterventionFact,
    NoticeFact,
    RefusedFact,
)
from models.lifecycle.advance import NO_WINDOW
from models.outbox.dead_letters import Resolution
from models.outbox.values import BY_PROXY
from models.platform.timestamps import format_timestamp
from models.vocabulary import NoticeEnd, Outcome

_FOREIGN_MAX: Final = 200  # characters of what a partner wrote


class Line(NamedTuple):
    """A moment in words: *kind* is event, notice, attempt, person, refused, clock."""

    kind: str
    which: str
    ended: str
    details: str


def line_of(what: What, currency: object) -> Line:  # noqa: PLR0911 - a line for each kind
    """Return what a moment of the timeline says; *currency* is the ticket's."""
    match what:
        case Arrived(event):
            return Line("event", event.action, "arrived", f"id {event.event_id}; {_later(event)}")
        case EventFact():
            return Line("event", what.action, _outcome(what), "; ".join(_details(what, currency)))
        case Repeated(event):
            return Line("event", event.action, "duplicate", _repeats(event))
        case NoticeQueued(notice):
            repeat = "" if notice.as_repeat is None else f"; {notice.as_repeat}"
            fate = "not wanted by" if notice.unwanted else "to be sent to"
            # Most are part of their event's, which names it.
            own = "" if notice.event_id or notice.trace_id is None else f"; trace {notice.trace_id}"
            which = f"{fate} the partner; notice {notice.id}{repeat}{own}"
            return Line("notice", notice.action, f"number {notice.number}", which)
        case Tried(notice, attempt):
            return Line("attempt", notice.action, attempt.verdict, _response(what))
        case Ended(notice):
            return Line("notice", notice.action, str(notice.ended), _end(notice))
        case InterventionFact():
            return Line("person", _intervention(what), f"by {what.who}", "; ".join(_why(what)))
        case RefusedFact():
            return Line("refused", what.event_id or what.entry_id, what.reason, _refused(what))
        case Closed():
            return Line("clock", "close", "closed", "the close delay has passed")
        case _:
            assert_never(what)


def _end(notice: NoticeFact) -> str:
    """Describe why it ended without an attempt."""
    match notice.ended:
        case NoticeEnd.DELIVERED:
            return "set by a person"
        case NoticeEnd.SKIPPED:
            was = "" if notice.reason is None else f"; it was dead: {notice.reason}"
            return f"set by a person{was}"
        case _:
            return notice.reason or ""


def _outcome(event: EventFact) -> str:
    if event.status_before == event.status_after:
        return f"{event.outcome} ({event.status_after})"
    return f"{event.outcome} ({event.status_before} to {event.status_after})"


def _later(event: EventFact) -> str:
    if event.outcome is Outcome.PARKED:
        return f"parked since {_moment(event.decided_at)}"
    return f"decided {_moment(event.decided_at)}"


def _details(event: EventFact, currency: object) -> Iterator[str]:
    yield f"id {event.event_id}"
    yield from in_words(event.data, currency=currency)
    if event.sequence is not None:
        yield f"sequence number {event.sequence}"
    if event.message is not None:
        yield event.message
    elif event.reason is not None:
        yield event.reason
    if event.notices:
        notices = (f"{notice.action} (number {notice.number})" for notice in event.notices)
        yield f"caused {', '.join(notices)}"
    if event.occurred_at is not None and event.received_at - event.occurred_at > AT_ONCE:
        yield f"happened {_moment(event.occurred_at)}"
    if event.park_until is not None:
        answered = event.park_until >= NO_WINDOW
        until = "the partner responds" if answered else _moment(event.park_until)
        yield f"waits until {until}"
    if event.dropped_at is not None:
        yield f"dropped {_moment(event.dropped_at)}"
    if event.trace_id is not None:
        yield f"trace {event.trace_id}"


def _repeats(event: EventFact) -> str:
    times = "once" if event.repeats == 1 else f"{event.repeats} times, the last time now"
    return f"id {event.event_id} was repeated {times}; it counts once, so nothing changed"


def _intervention(fact: InterventionFact) -> str:
    """Describe what a person did."""
    facts = fact.facts
    match fact.did:
        case "event_retried" | "event_dropped" | "event_published":
            by_hand = " by hand, as" if fact.did == "event_published" else ""
            which = f"{facts.get('action')}{by_hand} {facts.get('event_id')}"
            return f"{fact.did.removeprefix('event_')} {which}"
        case "raw_event_retried" | "raw_event_dropped":
            return f"{fact.did.removeprefix('raw_event_')} raw input {facts.get('entry_id')}"
        case "ticket_held" | "ticket_released":
            return f"{fact.did.removeprefix('ticket_')} the ticket"
        case "notice_retried" | "notice_skipped":
            word = "retried" if fact.did == "notice_retried" else "skipped"
            return f"{word} {facts.get('action')} of generation {facts.get('generation')}"
        case "notices_sent_again":
            sent = f"sent again from number {facts.get('from')}"
            return sent if facts.get("notices") else "could not be sent again"
        case _:
            return fact.did.replace("_", " ")


def _why(fact: InterventionFact) -> Iterator[str]:
    yield fact.why
    facts = fact.facts
    if facts.get("as_now"):
        yield "as if it happened now (--as-now)"
    if (count := facts.get("notices")) is not None:  # sent again
        yield f"{count} notices" if count != 1 else "1 notice"
    if isinstance(left_out := facts.get("left_out"), list):
        yield from (
            f"without {each.get('action')} (number {each.get('number')}): {each.get('why')}"
            for each in left_out
            if isinstance(each, Mapping)
        )
    if facts.get("refused"):
        yield str(facts["refused"])
    resolution = facts.get("way")  # of a dead notice
    if resolution == Resolution.SKIP_DELIVERED:
        yield "--delivered"
    elif resolution == Resolution.SKIP_NOT_DELIVERED:
        yield "--not-delivered"
    was = facts.get("was")
    if isinstance(was, Mapping):
        reason = was.get("reason")
        yield f"it was {was.get('outcome')}" + ("" if reason is None else f" ({reason})")


def _refused(fact: RefusedFact) -> str:
    resolved = "" if fact.dropped_at is None else f"; resolved {_moment(fact.dropped_at)}"
    return f"{fact.message} (raw input of entry {fact.entry_id}){resolved}"


def _response(tried: Tried) -> str:
    """Describe what an attempt met: the status, how it was read, and what the partner wrote."""
    attempt, number = tried.attempt, tried.number
    which = f"attempt {number}"
    if tried.times > 1:
        last = _moment(attempt.recorded_at)
        which = f"{tried.times} attempts ({number} to {number + tried.times - 1}), the last {last}"
    summary = f"{which}: {result_of(attempt)} in {attempt.took.total_seconds():.3f} s"
    if attempt.remote_address is not None:
        by_proxy = (attempt.remarks or {}).get(BY_PROXY) is True
        summary += f" from {attempt.remote_address}" + (", the proxy" if by_proxy else "")
    details = "; ".join(_details_of(attempt))
    return f"{summary}: {details}" if details else summary


def _details_of(attempt: AttemptFact) -> Iterator[str]:
    status, problem = attempt.http_status, attempt.problem
    if status is not None and problem is not None and problem != f"answered {status}":
        yield _one_line(problem)
    wallet = {
        name: content for name, content in (attempt.remarks or {}).items() if name != BY_PROXY
    }
    if wallet:
        yield _one_line("; ".join(_wallet_remarks(wallet)))
    elif attempt.answer:
        yield _one_line(attempt.answer)


def _wallet_remarks(remarks: Mapping[str, Any]) -> Iterator[str]:
    """Describe what a wallet said it did, and what is doubtful about that."""
    if isinstance(doubts := remarks.get("doubts"), list):
        yield f"doubtful ({', '.join(map(str, doubts))})"
    yield f"code {remarks.get('code')} {remarks.get('message', '')}".rstrip()
    if {"balance_before", "balance_after"} <= remarks.keys():
        yield f"balance {remarks['balance_before']} to {remarks['balance_after']}"


def _one_line(content: str) -> str:
    """Return foreign text on one line."""
    line = " ".join(content[: 4 * _FOREIGN_MAX].split())
    return line if len(line) <= _FOREIGN_MAX else f"{line[:_FOREIGN_MAX]}…"


def _moment(at: datetime | None) -> str:
    return "-" if at is None else format_timestamp(at, "seconds")
