"""Loads the facts of a ticket's history. Reads only."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from unicodedata import normalize

from sqlalchemy import Connection, Row, TextClause

from models.events.kept_once import whole_data
from models.events.stored import stored_object
from models.history.statements import (
    ATTEMPTS_OF_NOTICES,
    EVENTS,
    INTERVENTIONS,
    NOTICES,
    REFUSED,
    TICKETS,
)
from models.history.values import (
    AttemptFact,
    BodiesRemoved,
    CausedNotice,
    EventFact,
    InterventionFact,
    NoticeFact,
    OpenCircuit,
    RefusedFact,
    SweepFact,
    TicketFact,
    TicketHistory,
)
from models.outbox.repeats import SENT_AGAIN
from models.tracing.traceparent import trace_id_of
from models.vocabulary import Action, NoticeEnd, Outcome, Result, Status

TICKETS_MAX: Final = 50  # operators that use the same ticket id
FACTS_MAX: Final = 500  # of each kind and ticket; the newest


def load_histories(
    connection: Connection,
    ticket_id: str,
    *,
    operator: str | None = None,
    before: datetime | None = None,
) -> list[TicketHistory]:
    """Return the ticket's history, one for each operator that has a ticket of this id (rule 1).

    Of each kind of fact it holds the newest `FACTS_MAX`, of those *before* a time if one is given.
    """
    parameters = {
        "ticket_id": normalize("NFC", ticket_id),  # as all ids are stored
        "operator": operator,
        "limit": TICKETS_MAX,
    }
    tickets = connection.execute(TICKETS, parameters).all()
    return [_history(connection, ticket, before) for ticket in tickets]


def load_attempts(
    connection: Connection,
    notices: Sequence[int],
    *,
    before: datetime | None = None,
    limit: int = FACTS_MAX,
) -> defaultdict[int, list[AttemptFact]]:
    """Return the newest attempts of the notices with these ids, the oldest of them first."""
    parameters = {"notices": list(notices), "before": before, "limit": limit}
    rows = connection.execute(ATTEMPTS_OF_NOTICES, parameters).all()
    made: defaultdict[int, list[AttemptFact]] = defaultdict(list)
    for row in reversed(rows):
        made[row.notice].append(AttemptFact.of(row))
    return made


def _history(connection: Connection, ticket: Row[Any], before: datetime | None) -> TicketHistory:
    def newest(statement: TextClause, **of: object) -> list[Row[Any]]:
        """Return the first `FACTS_MAX` rows in reverse, so the oldest of them first."""
        parameters = {**of, "before": before, "limit": FACTS_MAX}
        return list(reversed(connection.execute(statement, parameters).all()))

    events = newest(EVENTS, ticket=ticket.id)
    notices = newest(NOTICES, ticket=ticket.id)
    attempts = load_attempts(connection, [notice.id for notice in notices], before=before)
    interventions = newest(INTERVENTIONS, ticket=ticket.id)
    refused = newest(REFUSED, ticket_id=ticket.ticket_id, operator=ticket.operator)
    return TicketHistory(
        ticket=_ticket_fact(ticket),
        events=_event_facts(events, notices, ticket),
        notices=_notice_facts(notices, attempts, interventions),
        interventions=tuple(map(_intervention_fact, interventions)),
        refused=tuple(map(_refused_fact, refused)),
        cut=FACTS_MAX
        in {
            *(len(events), len(notices), len(interventions), len(refused)),
            sum(map(len, attempts.values())),
        },
    )


def _ticket_fact(ticket: Row[Any]) -> TicketFact:
    return TicketFact(
        operator=ticket.operator,
        ticket_id=ticket.ticket_id,
        status=Status(ticket.status),
        result=Result(ticket.result),
        generation=ticket.generation,
        settled_at=ticket.settled_at,
        close_due_at=ticket.close_due_at,
        closed_at=ticket.closed_at,
        parked=ticket.parked,
        unfinished=ticket.unfinished,
        on_hold_at=ticket.on_hold_at,
        erased_at=ticket.erased_at,
        bodies_removed=BodiesRemoved.of(
            ticket.bodies_removed_at, ticket.closed_at or ticket.cancelled_at
        ),
        cancelled_by=ticket.cancelled_by,
        created_at=ticket.created_at,
        changed_at=ticket.changed_at,
        close_delay=ticket.close_delay,
        operator_disabled_at=ticket.operator_disabled_at,
        operator_ended_at=ticket.operator_ended_at,
        circuit=_open_circuit(ticket),
        sweep=None if ticket.swept_at is None else SweepFact(ticket.swept_at, ticket.watermark),
        details=stored_object(ticket.details),
        amounts={} if ticket.amounts is None else stored_object(ticket.amounts),
    )


def _open_circuit(ticket: Row[Any]) -> OpenCircuit | None:
    if ticket.opened_at is None:
        return None
    return OpenCircuit(ticket.opened_at, ticket.circuit_reason, ticket.probe_at)


def _event_facts(
    events: Sequence[Row[Any]], notices: Sequence[Row[Any]], ticket: Row[Any]
) -> tuple[EventFact, ...]:
    """Return the events in order of arrival, each with the notices that it caused."""
    caused: defaultdict[str | None, list[CausedNotice]] = defaultdict(list)
    for notice in notices:
        caused[notice.event_id].append(CausedNotice.of(notice))
    return tuple(
        _event_fact(event, whole(event, ticket), caused[event.event_id]) for event in events
    )


def whole(event: Row[Any], ticket: Row[Any]) -> dict[str, Any]:
    """Return the data of *event* of *ticket*, with what its row leaves out."""
    data = whole_data(
        event.data,
        event.left_out,
        operator=ticket.operator,
        ticket_id=ticket.ticket_id,
        details=ticket.details,
    )
    return stored_object(data)


def _event_fact(
    event: Row[Any], data: Mapping[str, Any], caused: Sequence[CausedNotice]
) -> EventFact:
    return EventFact(
        event_id=event.event_id,
        action=Action(event.action),
        data=data,
        occurred_at=event.occurred_at,
        order_time=event.order_time,
        sequence=event.sequence,
        received_at=event.received_at,
        outcome=Outcome(event.outcome),
        reason=event.reason,
        status_before=event.status_before,
        status_after=event.status_after,
        decided_at=event.decided_at,
        park_until=event.park_until,
        repeats=event.repeats,
        repeated_at=event.repeated_at,
        message=event.message,
        notices=tuple(caused),
        dropped_at=event.dropped_at,
        trace_id=trace_id_of(event.traceparent),
    )


def _notice_facts(
    notices: Sequence[Row[Any]],
    attempts: Mapping[int, Sequence[AttemptFact]],
    interventions: Sequence[Row[Any]],
) -> tuple[NoticeFact, ...]:
    """Return the notices in the ticket's order, each with its attempts and what it repeats."""
    originals = {
        (notice.action, notice.generation): notice.number for notice in notices if not notice.repeat
    }
    asked_for = _asked_for(interventions)
    return tuple(
        _notice_fact(
            notice,
            attempts.get(notice.id, ()),
            original=originals.get((notice.action, notice.generation)) if notice.repeat else None,
            asked_for_by=asked_for.get(notice.number),
        )
        for notice in notices
    )


def _asked_for(interventions: Sequence[Row[Any]]) -> dict[int, str]:
    """Return the numbers of the notices that people had sent again, each with who did."""
    asked_for: dict[int, str] = {}
    for intervention in interventions:
        if intervention.did == SENT_AGAIN:
            match stored_object(intervention.facts).get("numbers"):
                case [int(first), int(last)]:
                    asked_for |= dict.fromkeys(range(first, last + 1), intervention.who)
    return asked_for


def _notice_fact(
    notice: Row[Any],
    attempts: Sequence[AttemptFact],
    *,
    original: int | None,
    asked_for_by: str | None,
) -> NoticeFact:
    return NoticeFact(
        id=notice.id,
        number=notice.number,
        action=Action(notice.action),
        generation=notice.generation,
        event_id=notice.event_id,
        head=notice.head,
        created_at=notice.created_at,
        due_at=notice.due_at,
        leased_until=notice.leased_until,
        tries=notice.tries,
        perhaps_delivered=notice.perhaps_delivered,
        ended=None if notice.ended is None else NoticeEnd(notice.ended),
        ended_at=notice.ended_at,
        reason=notice.reason,
        attempts=tuple(attempts),
        repeat=notice.repeat,
        original=original,
        asked_for_by=asked_for_by,
        unwanted=notice.unwanted,
        trace_id=trace_id_of(notice.traceparent),
    )


def _intervention_fact(intervention: Row[Any]) -> InterventionFact:
    return InterventionFact(
        at=intervention.at,
        who=intervention.who,
        why=intervention.why,
        did=intervention.did,
        facts=stored_object(intervention.facts),
    )


def _refused_fact(rejected: Row[Any]) -> RefusedFact:
    return RefusedFact(
        entry_id=rejected.entry_id,
        event_id=rejected.event_id,
        reason=rejected.reason,
        message=rejected.message,
        received_at=rejected.received_at,
        rejected_at=rejected.rejected_at,
        dropped_at=rejected.dropped_at,
    )
