"""Store what was decided: tickets, then events, then notices (rule 19), one statement each."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic_core import to_json
from sqlalchemy import Connection, TextClause, text

from models.lifecycle.ticket import Owed, TicketState
from models.lifecycle.turn import Decided
from models.lifecycle.words import NoticeEnd
from models.notices.body import message
from models.tickets.make import make_tickets

UPDATE_TICKETS = text("""
    UPDATE ticket t
       SET status = r.status, result = r.result, generation = r.generation,
           settled_at = r.settled_at, amounts = r.amounts, amended_at = r.amended_at,
           close_due_at = r.close_due_at, parked = r.parked, sequence = r.sequence,
           notices = r.notices, unfinished = r.unfinished, held_until = r.held_until,
           untold = r.untold, in_doubt = r.in_doubt, cancelled_by = r.cancelled_by,
           draw = r.draw, changed_at = :now,
           cancelled_at = CASE r.status WHEN 'cancelled' THEN coalesce(t.cancelled_at, :now) END,
           details = CASE WHEN r.filled IS NULL AND r.amended IS NULL THEN t.details
                          ELSE coalesce(r.filled, '{}') || t.details || coalesce(r.amended, '{}')
                      END
      FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r(
               id bigint, status text, result text, generation int, settled_at timestamptz,
               amounts jsonb, amended_at timestamptz, close_due_at timestamptz, parked int,
               sequence int, notices int, unfinished int, held_until timestamptz, untold int,
               in_doubt bool, cancelled_by text, draw text, filled jsonb, amended jsonb)
     WHERE t.id = r.id""")

INSERT_EVENTS = text("""
    INSERT INTO ticket_event (ticket, event_id, action, data, occurred_at, order_time, sequence,
                              entry_id, received_at, outcome, reason, message, status_before,
                              status_after, park_until, decided_at)
    SELECT r.*, :now
      FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r(
               ticket bigint, event_id text, action text, data jsonb, occurred_at timestamptz,
               order_time timestamptz, sequence int, entry_id text, received_at timestamptz,
               outcome text, reason text, message text, status_before text, status_after text,
               park_until timestamptz)""")

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

INSERT_NOTICES = text("""
    INSERT INTO notice (ticket, operator, number, action, generation, event_id, path, body, head,
                        due_at, ended, ended_at, reason, created_at)
    SELECT r.ticket, r.operator, r.number, r.action, r.generation, r.event_id, r.path, r.body,
           r.head, r.due_at, r.ended, CASE WHEN r.ended IS NOT NULL THEN :now END, r.reason, :now
      FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r(
               ticket bigint, operator int, number int, action text, generation int,
               event_id text, path text, body text, head bool, due_at timestamptz, ended text,
               reason text)""")


@dataclass(frozen=True, slots=True)
class Turn:
    """A locked ticket and what was decided about its events."""

    ticket: TicketState
    decided: Sequence[Decided] = ()


_Told = tuple[Turn, list[dict[str, Any]]]  # with the rows of its notices


def store(connection: Connection, turns: Iterable[Turn], *, now: datetime) -> bool:
    """Write the turns. True: a notice among them is due now, so deliverers should look."""
    told = [(turn, _notices(turn.ticket, now)) for turn in turns]
    tickets = [_ticket(turn.ticket) for turn, notices in told if turn.ticket.touched or notices]
    _write(connection, UPDATE_TICKETS, tickets, now)
    return _store_rest(connection, told, now)


def store_new(connection: Connection, turns: Iterable[Turn], *, now: datetime) -> bool:
    """Make the tickets of the turns, none of which had a row, and write the turns.

    Each ticket that was made is given its id. One that somebody else has made meanwhile keeps the
    one it has, and nothing of its turn is written.
    """
    told = [(turn, _notices(turn.ticket, now)) for turn in turns]
    ids = make_tickets(connection, [turn.ticket for turn, _ in told], now=now)
    made: list[_Told] = []
    for turn, notices in told:
        id_ = ids.get((turn.ticket.terms.operator, turn.ticket.ticket_id))
        if id_ is not None:
            turn.ticket.id = id_
            made.append((turn, notices))
    return _store_rest(connection, made, now)


def _store_rest(connection: Connection, told: Iterable[_Told], now: datetime) -> bool:
    """Write events and notices of the turns; their tickets are written, and have their ids."""
    events: list[dict[str, Any]] = []
    ended: list[dict[str, Any]] = []
    notices: list[dict[str, Any]] = []
    for turn, owed in told:
        for one in turn.decided:
            (events if one.waiting.is_fresh else ended).append(_event(turn.ticket.id, one))
        for row in owed:
            row["ticket"] = turn.ticket.id
            notices.append(row)
    _write(connection, INSERT_EVENTS, events, now)
    _write(connection, UPDATE_EVENTS, ended, now)
    _write(connection, INSERT_NOTICES, notices, now)
    return any(row["head"] and row["ended"] is None and row["due_at"] <= now for row in notices)


def _write(
    connection: Connection, statement: TextClause, rows: Sequence[dict[str, Any]], now: datetime
) -> None:
    if rows:
        connection.execute(statement, {"rows": to_json(rows).decode(), "now": now})


def _notices(ticket: TicketState, now: datetime) -> list[dict[str, Any]]:
    return [_notice(ticket, owed, now) for owed in ticket.owed]


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
        "filled": ticket.filled,
        "amended": ticket.amended,
    }


def _event(ticket: int, one: Decided) -> dict[str, Any]:
    event, decision = one.waiting.event, one.decision
    row = {
        "ticket": ticket,
        "event_id": event.event_id,
        "outcome": str(decision.outcome),
        "reason": None if decision.reason is None else str(decision.reason),
        "message": decision.message,
        "status_before": one.before,
        "status_after": one.after,
        "park_until": one.park_until,
    }
    if one.waiting.is_fresh:
        row |= {
            "action": str(event.action),
            "data": event.data,
            "occurred_at": event.occurred_at,
            "order_time": event.order_time,
            "sequence": event.sequence,
            "entry_id": event.entry_id,
            "received_at": event.received_at,
        }
    return row


def _notice(ticket: TicketState, owed: Owed, now: datetime) -> dict[str, Any]:
    """The next notice of *ticket*: the head, if nothing before it is unfinished (rule 12)."""
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
    return {
        "operator": ticket.terms.operator,
        "number": ticket.notices,
        "action": str(owed.action),
        "generation": owed.generation,
        "event_id": owed.event_id,
        "path": text_.path,
        "body": text_.body,
        "head": is_head,
        "due_at": max(now, owed.not_before or now, ticket.held_until or now),
        "ended": ended,
        "reason": reason,
    }
