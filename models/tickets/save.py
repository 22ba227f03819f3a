"""Store what was decided: tickets, then events, then notices (rule 19), one statement each."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from pydantic_core import to_json
from sqlalchemy import Connection, TextClause, text

from models.lifecycle.advance import DecidedEvent
from models.lifecycle.ticket import Owed, TicketState
from models.notices.body import message
from models.notices.key import key_to_keep
from models.tickets.copy import CopyIn, Row, document
from models.tickets.insert import make_tickets
from models.vocabulary import NoticeEnd, Status

UPDATE_TICKETS = text("""
    UPDATE ticket t
       SET status = r.status, result = r.result, generation = r.generation,
           settled_at = r.settled_at, amounts = r.amounts, amended_at = r.amended_at,
           close_due_at = r.close_due_at, parked = r.parked, sequence = r.sequence,
           notices = r.notices, unfinished = r.unfinished, held_until = r.held_until,
           untold = r.untold, in_doubt = r.in_doubt, cancelled_by = r.cancelled_by,
           draw = r.draw, changed_at = :now,
           cancelled_at = CASE WHEN NOT r.over THEN NULL
                               WHEN t.status = 'cancelled' THEN coalesce(t.cancelled_at, :now)
                               ELSE :now END,
           details = CASE WHEN r.filled IS NULL AND r.amended IS NULL THEN t.details
                          ELSE coalesce(r.filled, '{}') || t.details || coalesce(r.amended, '{}')
                      END
      FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r(
               id bigint, status text, result text, generation int, settled_at timestamptz,
               amounts jsonb, amended_at timestamptz, close_due_at timestamptz, parked int,
               sequence int, notices int, unfinished int, held_until timestamptz, untold int,
               in_doubt bool, cancelled_by text, draw text, over bool, filled jsonb,
               amended jsonb)
     WHERE t.id = r.id""")

EVENTS = CopyIn(
    "ticket_event",
    {
        "ticket": "int8",
        "event_id": "varchar",
        "action": "text",
        "data": "jsonb",
        "occurred_at": "timestamptz",
        "order_time": "timestamptz",
        "sequence": "int4",
        "entry_id": "varchar",
        "received_at": "timestamptz",
        "outcome": "text",
        "reason": "varchar",
        "message": "varchar",
        "status_before": "text",
        "status_after": "text",
        "park_until": "timestamptz",
        "decided_at": "timestamptz",
    },
)

# An event that was parked and has ended, or whose window starts anew.
UPDATE_EVENTS = text("""
    UPDATE ticket_event e
       SET outcome = r.outcome, reason = r.reason, message = r.message,
           status_before = r.status_before, status_after = r.status_after,
           park_until = r.park_until, decided_at = :now
      FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r(
               ticket bigint, event_id text, outcome text, reason text, message text,
               status_before text, status_after text, park_until timestamptz)
     WHERE e.ticket = r.ticket AND e.event_id = r.event_id""")

NOTICES = CopyIn(
    "notice",
    {
        "ticket": "int8",
        "operator": "int4",
        "number": "int4",
        "action": "text",
        "generation": "int4",
        "event_id": "varchar",
        "path": "text",
        "body": "varchar",
        "idempotency_key": "varchar",
        "head": "bool",
        "due_at": "timestamptz",
        "ended": "text",
        "ended_at": "timestamptz",
        "reason": "varchar",
        "created_at": "timestamptz",
    },
)


class TicketChange(NamedTuple):
    """A locked ticket and what was decided about its events."""

    ticket: TicketState
    decided: Sequence[DecidedEvent] = ()


def store(connection: Connection, turns: Sequence[TicketChange], *, now: datetime) -> bool:
    """Write the turns. True: a notice among them is due now, so deliverers should look."""
    notices = _notices(turns, now)
    changed = [one.ticket for one in turns if _is_changed(one)]
    _write(connection, UPDATE_TICKETS, [_ticket(one) for one in changed], now)
    _log(connection, turns, now)
    return _owe(connection, notices, now)


def store_new(connection: Connection, turns: Sequence[TicketChange], *, now: datetime) -> bool:
    """Make the tickets of the turns, none of which had a row, and write the turns.

    True as with `store`. Raises TicketExists if somebody else has made one of them meanwhile; then
    nothing was written.
    """
    notices = _notices(turns, now)
    make_tickets(connection, [one.ticket for one in turns], now=now)
    _log(connection, turns, now)
    return _owe(connection, notices, now)


def _is_changed(turn: TicketChange) -> bool:
    """Whether the ticket's row changes; one that nothing opened is kept from its last event on."""
    ticket = turn.ticket
    never_opened = ticket.status is Status.ABSENT
    return ticket.changed or (never_opened and bool(turn.decided))


def _log(connection: Connection, turns: Iterable[TicketChange], now: datetime) -> None:
    """Write the events; their tickets are written."""
    fresh: list[Row] = []
    ended: list[dict[str, Any]] = []
    for turn in turns:
        for one in turn.decided:
            if one.waiting.is_fresh:
                fresh.append(_event(turn.ticket.id, one, now))
            else:
                ended.append(_end(turn.ticket.id, one))
    EVENTS.write(connection, fresh)
    _write(connection, UPDATE_EVENTS, ended, now)


def _owe(connection: Connection, notices: Sequence[Row], now: datetime) -> bool:
    """Write the notices, whose tickets are written. True: one of them is due now."""
    NOTICES.write(connection, notices)
    return any(
        head and ended is None and due_at <= now
        for *_, head, due_at, ended, _ended_at, _reason, _created_at in notices
    )


def _write(
    connection: Connection, statement: TextClause, rows: Sequence[dict[str, Any]], now: datetime
) -> None:
    if rows:
        connection.execute(statement, {"rows": to_json(rows).decode(), "now": now})


def _ticket(ticket: TicketState) -> dict[str, Any]:
    return {
        "id": ticket.id,
        "status": str(ticket.status),
        "result": str(ticket.result),
        "generation": ticket.generation,
        "settled_at": ticket.settled_at,
        "amounts": ticket.amounts,
        "amended_at": ticket.amended_at,
        "close_due_at": ticket.close_due_at,
        "parked": ticket.parked,
        "sequence": ticket.sequence,
        "notices": ticket.notices,
        "unfinished": ticket.unfinished,
        "held_until": ticket.held_until,
        "untold": ticket.untold,
        "in_doubt": ticket.in_doubt,
        "cancelled_by": ticket.cancelled_by,
        "draw": ticket.draw,
        "over": ticket.is_over,
        "filled": ticket.filled,
        "amended": ticket.amended,
    }


def _event(ticket: int, one: DecidedEvent, now: datetime) -> Row:
    """A row of `EVENTS`."""
    event, decision = one.waiting.event, one.decision
    return (
        ticket,
        event.event_id,
        event.action,
        document(event.data),
        event.occurred_at,
        event.order_time,
        event.sequence,
        event.entry_id,
        event.received_at,
        decision.outcome,
        decision.reason,
        decision.message,
        one.before,
        one.after,
        one.park_until,
        now,
    )


def _end(ticket: int, one: DecidedEvent) -> dict[str, Any]:
    """A row for `UPDATE_EVENTS`."""
    decision = one.decision
    return {
        "ticket": ticket,
        "event_id": one.waiting.event.event_id,
        "outcome": str(decision.outcome),
        "reason": None if decision.reason is None else str(decision.reason),
        "message": decision.message,
        "status_before": one.before,
        "status_after": one.after,
        "park_until": one.park_until,
    }


def _notices(turns: Iterable[TicketChange], now: datetime) -> list[Row]:
    return [_notice(turn.ticket, owed, now) for turn in turns for owed in turn.ticket.owed]


def _notice(ticket: TicketState, owed: Owed, now: datetime) -> Row:
    """A row of `NOTICES`: the head, if nothing before it is unfinished (rule 12)."""
    text_ = message(ticket, owed)
    ended = reason = None
    if owed.withheld:
        ended, reason = NoticeEnd.WITHDRAWN, "the partner was never told the result it takes back"
    elif text_.impossible is not None:
        ended, reason = NoticeEnd.DEAD, text_.impossible
    ticket.notices += 1
    is_head = ticket.unfinished == 0 and not owed.withheld
    if not owed.withheld:
        ticket.unfinished += 1
    return (
        ticket.id,
        ticket.terms.operator,
        ticket.notices,
        owed.action,
        owed.generation,
        owed.event_id,
        text_.path,
        text_.body,
        key_to_keep(ticket.terms.code, ticket.ticket_id, owed.action, owed.generation),
        is_head,
        max(now, owed.not_before or now, ticket.held_until or now),
        ended,
        now if ended else None,
        reason,
        now,
    )
