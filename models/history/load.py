"""Loads the facts of a ticket's history. Reads only."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final, TypeVar, cast
from unicodedata import normalize

from sqlalchemy import ColumnElement, Connection, text, true
from sqlalchemy.orm import QueryableAttribute, defer
from sqlmodel import Session, col, select
from sqlmodel.sql.expression import SelectOfScalar

from models.events.kept_once import whole_data
from models.events.stored import stored_object
from models.history.values import (
    ANSWER_CHARACTERS_MAX,
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
from models.outbox.attempts import ATTEMPTS
from models.outbox.repeats import SENT_AGAIN
from models.tables import (
    Circuit,
    Intervention,
    Notice,
    Operator,
    RejectedInput,
    SweepRound,
    Ticket,
    TicketEvent,
)
from models.tracing.traceparent import trace_id_of
from models.vocabulary import Action, NoticeEnd, Outcome, Result, Status

T = TypeVar("T")
TICKETS_MAX: Final = 50  # operators that use the same ticket id
FACTS_MAX: Final = 500  # of each kind and ticket; the newest
# Columns that may be large and that no history shows are not read.
WITHOUT_CONTENTS: Final = tuple(
    defer(cast("QueryableAttribute[object]", column), raiseload=True)
    for column in (Notice.body, Notice.answer, Notice.remarks)
)
_WITHOUT_RAW: Final = defer(cast("QueryableAttribute[bytes]", RejectedInput.raw), raiseload=True)
# Answers are cut by the database: hundreds of them, of 16,000 characters each, are not read.
NEWEST_ATTEMPTS: Final = text(f"""
    SELECT a.notice, a.claim, a.verdict, a.took_ms, a.http_status, a.problem,
           left(a.answer, {ANSWER_CHARACTERS_MAX}) AS answer, a.recorded_at, a.remarks, a.sent_at,
           a.remote_address
      FROM {ATTEMPTS} a
     WHERE a.notice = ANY(:notices)
       AND (CAST(:before AS timestamptz) IS NULL OR a.recorded_at < :before)
     ORDER BY a.recorded_at DESC, a.claim DESC LIMIT :limit""")  # noqa: S608 - constants


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
    statement = (
        select(Ticket, Operator, Circuit)
        .join(Operator, col(Operator.id) == Ticket.operator)
        .outerjoin(Circuit, col(Circuit.operator) == Operator.id)
        .where(Ticket.ticket_id == normalize("NFC", ticket_id))  # as all ids are stored
        .order_by(Operator.code)
        .limit(TICKETS_MAX)
    )
    if operator is not None:
        statement = statement.where(Operator.code == operator)
    with Session(connection) as session:
        sweep = session.exec(select(SweepRound)).one_or_none()
        return [
            _history(
                session, ticket, operator, _ticket_fact(ticket, operator, circuit, sweep), before
            )
            for ticket, operator, circuit in session.exec(statement).all()
        ]


def load_attempts(
    session: Session,
    notices: Sequence[int | None],
    *,
    before: datetime | None = None,
    limit: int = FACTS_MAX,
) -> defaultdict[int | None, list[AttemptFact]]:
    """Return the newest attempts of the notices with these ids, the oldest of them first."""
    parameters = {"notices": list(notices), "before": before, "limit": limit}
    rows = session.connection().execute(NEWEST_ATTEMPTS, parameters).all()
    made: defaultdict[int | None, list[AttemptFact]] = defaultdict(list)
    for row in reversed(rows):
        made[row.notice].append(AttemptFact.of(row))
    return made


def _history(
    session: Session,
    ticket: Ticket,
    operator: Operator,
    fact: TicketFact,
    before: datetime | None,
) -> TicketHistory:
    events = _newest(
        session,
        select(TicketEvent)
        .where(TicketEvent.ticket == ticket.id, _is_before(TicketEvent.received_at, before))
        .order_by(col(TicketEvent.arrival).desc()),
    )
    notices = _newest(
        session,
        select(Notice)
        .options(*WITHOUT_CONTENTS)
        .where(Notice.ticket == ticket.id, _is_before(Notice.created_at, before))
        .order_by(col(Notice.number).desc()),
    )
    attempts = load_attempts(session, [notice.id for notice in notices], before=before)
    interventions = _newest(
        session,
        select(Intervention)
        .where(Intervention.ticket == ticket.id, _is_before(Intervention.at, before))
        .order_by(col(Intervention.id).desc()),
    )
    refused = _newest(
        session,
        select(RejectedInput)
        .options(_WITHOUT_RAW)
        .where(RejectedInput.ticket_id == ticket.ticket_id)
        .where(RejectedInput.operator == operator.code)
        .where(_is_before(RejectedInput.rejected_at, before))
        .order_by(col(RejectedInput.id).desc()),
    )
    return TicketHistory(
        ticket=fact,
        events=_event_facts(events, notices, ticket, operator.code),
        notices=_notice_facts(notices, attempts, interventions),
        interventions=tuple(map(_intervention_fact, interventions)),
        refused=tuple(map(_refused_fact, refused)),
        cut=FACTS_MAX
        in {
            *(len(events), len(notices), len(interventions), len(refused)),
            sum(map(len, attempts.values())),
        },
    )


def _is_before(column: object, before: datetime | None) -> ColumnElement[bool]:
    return true() if before is None else cast("ColumnElement[datetime]", column) < before


def _newest(session: Session, newest_first: SelectOfScalar[T]) -> list[T]:
    """Return the first `FACTS_MAX` rows of a statement in reverse, so the oldest of them first."""
    return list(reversed(session.exec(newest_first.limit(FACTS_MAX)).all()))


def _ticket_fact(
    ticket: Ticket, operator: Operator, circuit: Circuit | None, sweep: SweepRound | None
) -> TicketFact:
    return TicketFact(
        operator=operator.code,
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
        created_at=_stored(ticket.created_at),
        changed_at=max(filter(None, (_stored(ticket.changed_at), ticket.closed_at))),
        close_delay=operator.close_delay,
        operator_disabled_at=operator.disabled_at,
        operator_ended_at=operator.ended_at,
        circuit=_open_circuit(circuit),
        sweep=None if sweep is None else SweepFact(sweep.ended_at, sweep.horizon),
        details=stored_object(ticket.details),
        amounts={} if ticket.amounts is None else stored_object(ticket.amounts),
    )


def _open_circuit(circuit: Circuit | None) -> OpenCircuit | None:
    if circuit is None or circuit.opened_at is None or circuit.closed_at is not None:
        return None
    return OpenCircuit(circuit.opened_at, circuit.reason, circuit.probe_at)


def _event_facts(
    events: Sequence[TicketEvent], notices: Sequence[Notice], ticket: Ticket, operator: str
) -> tuple[EventFact, ...]:
    """Return the events in order of arrival, each with the notices that it caused."""
    caused: defaultdict[str | None, list[CausedNotice]] = defaultdict(list)
    for notice in notices:
        caused[notice.event_id].append(CausedNotice.of(notice))
    return tuple(
        _event_fact(event, whole(event, ticket, operator), caused[event.event_id])
        for event in events
    )


def whole(event: TicketEvent, ticket: Ticket, operator: str) -> dict[str, Any]:
    """Return the data of *event* of *ticket*, with what its row leaves out."""
    data = whole_data(
        event.data,
        event.left_out,
        operator=operator,
        ticket_id=ticket.ticket_id,
        details=ticket.details,
    )
    return stored_object(data)


def _event_fact(
    event: TicketEvent, data: Mapping[str, Any], caused: Sequence[CausedNotice]
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
    notices: Sequence[Notice],
    attempts: Mapping[int | None, Sequence[AttemptFact]],
    interventions: Sequence[Intervention],
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


def _asked_for(interventions: Sequence[Intervention]) -> dict[int, str]:
    """Return the numbers of the notices that people had sent again, each with who did."""
    asked_for: dict[int, str] = {}
    for intervention in interventions:
        if intervention.did == SENT_AGAIN:
            match stored_object(intervention.facts).get("numbers"):
                case [int(first), int(last)]:
                    asked_for |= dict.fromkeys(range(first, last + 1), intervention.who)
    return asked_for


def _notice_fact(
    notice: Notice,
    attempts: Sequence[AttemptFact],
    *,
    original: int | None,
    asked_for_by: str | None,
) -> NoticeFact:
    return NoticeFact(
        id=_stored(notice.id),
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


def _intervention_fact(intervention: Intervention) -> InterventionFact:
    return InterventionFact(
        at=_stored(intervention.at),
        who=intervention.who,
        why=intervention.why,
        did=intervention.did,
        facts=stored_object(intervention.facts),
    )


def _refused_fact(rejected: RejectedInput) -> RefusedFact:
    return RefusedFact(
        entry_id=rejected.entry_id,
        event_id=rejected.event_id,
        reason=rejected.reason,
        message=rejected.message,
        received_at=rejected.received_at,
        rejected_at=_stored(rejected.rejected_at),
        dropped_at=rejected.dropped_at,
    )


def _stored(value: T | None) -> T:
    """Return a column that PostgreSQL fills in when the row is written."""
    assert value is not None, "a stored row has it"
    return value
