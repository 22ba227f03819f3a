"""Prints a ticket's history for support staff."""

from collections.abc import Iterator, Mapping
from typing import Any, assert_never

import typer

from models.history import (
    AttemptFact,
    EventFact,
    InterventionFact,
    NoticeFact,
    RefusedFact,
    TicketFact,
    TicketHistory,
    load_histories,
    timeline,
    why_not_closed,
)
from models.history.explain import result_of
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
from models.lifecycle.advance import NO_WINDOW
from models.outbox.dead_letters import Resolution
from models.platform.clock import DatabaseClock
from models.platform.durations import format_duration
from models.vocabulary import NoticeEnd, Outcome
from worker.cli.database import transaction
from worker.cli.errors import Failed
from worker.cli.output import as_text, bounded, moment, remark, show_json, show_table
from worker.cli.tickets.facts import in_words
from worker.cli.triage.display import as_object


def show_history(ticket_id: str, *, operator: str | None, as_json: bool) -> None:
    """Print the history of every ticket with this id. Raises Failed if there is none."""
    with transaction() as connection:
        histories = load_histories(connection, ticket_id, operator=operator)
        now = DatabaseClock().now(connection)
    if not histories:
        whose = "" if operator is None else f" of operator {operator}"
        raise Failed(
            f"no ticket {ticket_id}{whose} is known; input that was refused before it could become"
            " an event is listed by `slipway events rejected list`"
        )
    if as_json:
        show_json([_document(history, why_not_closed(history, now=now)) for history in histories])
        return
    for number, history in enumerate(histories):
        if number:
            typer.echo()
        _show(history, why_not_closed(history, now=now))
        if history.cut:
            remark("there is more than is shown here; --json shows no more either")


def _document(history: TicketHistory, explanation: str) -> dict[str, object]:
    return {"sentence": explanation, **as_object(history)}


def _show(history: TicketHistory, explanation: str) -> None:
    ticket = history.ticket
    typer.echo(f"Ticket {ticket.ticket_id} of {ticket.operator}: {as_text(explanation)}")
    typer.echo(", ".join(_state(ticket)))
    if facts := [*in_words({**ticket.details, **ticket.amounts})]:
        typer.echo(as_text(", ".join(facts)))
    typer.echo()
    currency = ticket.details.get("currency")
    rows = [(moment(entry.at), *_row(entry.what, currency)) for entry in timeline(history)]
    show_table(("when", "what", "which", "how it ended", "details"), rows)


def _state(ticket: TicketFact) -> Iterator[str]:
    yield f"status {ticket.status}"
    yield f"result {ticket.result}"
    yield f"generation {ticket.generation}"
    yield f"close delay {format_duration(ticket.close_delay)}"
    if ticket.on_hold_at is not None:
        yield f"on hold since {moment(ticket.on_hold_at)}"
    if ticket.close_due_at is not None:
        yield f"closes at {moment(ticket.close_due_at)}"
    if ticket.closed_at is not None:
        yield f"closed at {moment(ticket.closed_at)}"
    if ticket.erased_at is not None:
        yield f"its player was erased at {moment(ticket.erased_at)}"


def _row(what: What, currency: object) -> tuple[str, str, str, str]:  # noqa: PLR0911 - a line for each kind
    match what:
        case Arrived(event):
            return "event", event.action, "arrived", f"id {event.event_id}; {_later(event)}"
        case EventFact():
            return "event", what.action, _outcome(what), "; ".join(_details(what, currency))
        case Repeated(event):
            return "event", event.action, "duplicate", _repeats(event)
        case NoticeQueued(notice):
            repeat = "" if notice.as_repeat is None else f"; {notice.as_repeat}"
            which = f"to be sent to the partner; notice {notice.id}{repeat}"
            return "notice", notice.action, f"number {notice.number}", which
        case Tried(notice, attempt):
            return "attempt", notice.action, attempt.verdict, _response(what)
        case Ended(notice):
            return "notice", notice.action, str(notice.ended), _end(notice)
        case InterventionFact():
            return "person", _intervention(what), f"by {what.who}", "; ".join(_why(what))
        case RefusedFact():
            return "refused", what.event_id or what.entry_id, what.reason, _refused(what)
        case Closed():
            return "clock", "close", "closed", "the close delay has passed"
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
        return f"parked since {moment(event.decided_at)}"
    return f"decided {moment(event.decided_at)}"


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
        yield f"happened {moment(event.occurred_at)}"
    if event.park_until is not None:
        answered = event.park_until >= NO_WINDOW
        until = "the partner responds" if answered else moment(event.park_until)
        yield f"waits until {until}"
    if event.dropped_at is not None:
        yield f"dropped {moment(event.dropped_at)}"


def _repeats(event: EventFact) -> str:
    times = "once" if event.repeats == 1 else f"{event.repeats} times, the last time now"
    return f"id {event.event_id} was repeated {times}; it counts once, so nothing changed"


def _intervention(fact: InterventionFact) -> str:
    """Describe what a person did."""
    facts = fact.facts
    match fact.did:
        case "event_retried" | "event_dropped":
            which = f"{facts.get('action')} {facts.get('event_id')}"
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
    resolved = "" if fact.dropped_at is None else f"; resolved {moment(fact.dropped_at)}"
    return f"{fact.message} (raw input of entry {fact.entry_id}){resolved}"


def _response(tried: Tried) -> str:
    """Describe what an attempt met: the status, how it was read, and what the partner wrote."""
    attempt, number = tried.attempt, tried.number
    which = f"attempt {number}"
    if tried.times > 1:
        last = moment(attempt.recorded_at)
        which = f"{tried.times} attempts ({number} to {number + tried.times - 1}), the last {last}"
    summary = f"{which}: {result_of(attempt)} in {attempt.took.total_seconds():.3f} s"
    if attempt.remote_address is not None:
        summary += f" from {attempt.remote_address}"
    details = "; ".join(_details_of(attempt))
    return f"{summary}: {details}" if details else summary


def _details_of(attempt: AttemptFact) -> Iterator[str]:
    status, problem = attempt.http_status, attempt.problem
    if status is not None and problem is not None and problem != f"answered {status}":
        yield bounded(problem)
    if attempt.remarks is not None:
        yield bounded("; ".join(_wallet_remarks(attempt.remarks)))
    elif attempt.answer:
        yield bounded(attempt.answer)


def _wallet_remarks(remarks: Mapping[str, Any]) -> Iterator[str]:
    """Describe what a wallet said it did, and what is doubtful about that."""
    if isinstance(doubts := remarks.get("doubts"), list):
        yield f"doubtful ({', '.join(map(str, doubts))})"
    yield f"code {remarks.get('code')} {remarks.get('message', '')}".rstrip()
    if {"balance_before", "balance_after"} <= remarks.keys():
        yield f"balance {remarks['balance_before']} to {remarks['balance_after']}"
