"""Prints events that need a person: a list of them, and one with everything that is known."""

import json
from collections.abc import Iterable, Iterator

from models.lifecycle.advance import NO_WINDOW
from models.triage import Listed, LoggedEvent, RawInput, list_events, list_rejected
from models.triage.event_sentences import remedy
from models.vocabulary import Outcome
from worker.cli.events.resolve import can_be_retried
from worker.cli.events.targets import find_one
from worker.cli.output import moment, show_json
from worker.cli.triage.display import as_object, show_facts, show_list, show_text
from worker.cli.triage.options import SelectionOptions
from worker.cli.triage.session import open_session, selection_at


def show_events(outcome: Outcome, selection: SelectionOptions, *, as_json: bool) -> None:
    """Print the newest events of *outcome* that match."""
    limit = selection.limit
    with open_session() as session:
        events = session.run(
            lambda connection, now: (
                list_rejected(connection, selection_at(selection, now), limit=limit)
                if outcome is Outcome.REJECTED
                else list_events(connection, outcome, selection_at(selection, now), limit=limit)
            )
        )
    if as_json:
        show_json([{**as_object(event), "is_harmless": event.is_harmless} for event in events])
        return
    columns = (outcome.value, "operator", "ticket", "id", "action", "reason", "details")
    show_list(f"{outcome.value} events", columns, [_row(event) for event in events], limit=limit)


def show_event(
    outcome: Outcome, event_id: str, *, operator: str | None, ticket: str | None, as_json: bool
) -> None:
    """Print one event of *outcome*. Raises Failed or WrongUsage if the id means none or several."""
    with open_session() as session:
        event = session.run(
            lambda connection, _: find_one(
                connection, event_id, outcome, operator=operator, ticket=ticket
            )
        )
        retry = can_be_retried(session, outcome, event)
    if as_json:
        document = as_object(event)
        document.pop("key", None)
        if isinstance(event, RawInput):
            document["raw"] = event.raw.decode(errors="replace")
        show_json({**document, "can_be_retried": retry})
    elif isinstance(event, RawInput):
        show_facts([*_raw_facts(event), ("can be retried", retry)])
        show_text("raw", event.raw.decode(errors="replace"))
    else:
        show_facts([*_event_facts(event), ("can be retried", retry)])
        show_text("data", json.dumps(event.data, ensure_ascii=False, indent=2))


def _row(event: Listed) -> tuple[str, ...]:
    return (
        moment(event.at),
        event.operator or "-",
        event.ticket_id or "-",
        event.id,
        event.action or "-",
        event.reason or "-",
        "; ".join(_details(event)),
    )


def _details(event: Listed) -> Iterable[str]:
    if event.is_harmless:
        yield "harmless: it repeats the current result"
    if event.park_until is not None:
        answered = event.park_until >= NO_WINDOW
        yield f"waits until {'the partner responds' if answered else moment(event.park_until)}"
    if event.message:
        yield event.message
    if event.status is not None:
        yield f"the ticket is {event.status} now"
    if event.is_raw:
        yield "raw input" + ("" if event.event_id is None else f" (event {event.event_id})")


def _event_facts(event: LoggedEvent) -> Iterator[tuple[str, str]]:
    yield "event", event.event_id
    yield "ticket", f"{event.ticket_id} of {event.operator}, {event.status} now"
    yield "action", event.action
    yield "outcome", event.outcome
    yield "reason", event.reason or "-"
    yield "details", event.message or "-"
    if (advice := remedy(event.reason)) is not None:
        yield "remedy", advice
    yield "ticket before", event.status_before
    yield "ticket after", event.status_after
    notices = [f"{notice.action} ({notice.ended or 'undelivered'})" for notice in event.notices]
    yield "notices", ", ".join(notices) or "none"
    if event.occurred_at is not None:
        yield "happened", f"{moment(event.occurred_at)}, according to the event"
    yield "ordered by", moment(event.order_time)
    yield "received", moment(event.received_at)
    yield "decided", moment(event.decided_at)
    if event.park_until is not None:
        answered = event.park_until >= NO_WINDOW
        yield "waits until", "the partner responds" if answered else moment(event.park_until)
    if event.sequence is not None:
        yield "sequence", str(event.sequence)
    if event.repeats:
        yield "repeated", f"{event.repeats} times, last {moment(event.repeated_at)}"
    if event.dropped_at is not None:
        yield "dropped", moment(event.dropped_at)
    yield "stream entry", event.entry_id or "-"
    if event.trace_id is not None:
        yield "trace", event.trace_id


def _raw_facts(raw: RawInput) -> Iterator[tuple[str, str]]:
    yield "stream entry", raw.entry_id
    yield "reason", raw.reason
    yield "details", raw.message
    if (advice := remedy(raw.reason)) is not None:
        yield "remedy", advice
    yield "type", raw.kind or "-"
    yield "operator", raw.operator or "-"
    yield "ticket", raw.ticket_id or "-"
    yield "event", raw.event_id or "-"
    yield "received", moment(raw.received_at)
    yield "rejected", moment(raw.rejected_at)
    if raw.dropped_at is not None:
        yield "resolved", moment(raw.dropped_at)
