"""Store what was decided: tickets, then events, then notices (rule 19), one statement each."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic_core import to_json
from sqlalchemy import Connection, text

from models.lifecycle.ticket import Owed, TicketState
from models.lifecycle.turn import Decided
from models.lifecycle.words import NoticeEnd
from models.notices.body import message

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


def store(connection: Connection, turns: Iterable[Turn], *, now: datetime) -> bool:
    """Write the turns. True: a notice among them is due now, so deliverers should look."""
    tickets: list[dict[str, Any]] = []
    events: list[dict[str, Any]] = []
    ended: list[dict[str, Any]] = []
    notices: list[dict[str, Any]] = []
    for turn in turns:
        notices += [_notice(turn.ticket, owed, now) for owed in turn.ticket.owed]
        for one in turn.decided:
            (events if one.waiting.is_fresh else ended).append(_event(turn.ticket.id, one))
        if turn.ticket.touched or turn.ticket.owed:
            tickets.append(_ticket(turn.ticket))
    for statement, rows in (
        (UPDATE_TICKETS, tickets),
        (INSERT_EVENTS, events),
        (UPDATE_EVENTS, ended),
        (INSERT_NOTICES, notices),
    ):
        if rows:
            connection.execute(statement, {"rows": to_json(rows).decode(), "now": now})
    return any(row["head"] and row["ended"] is None and row["due_at"] <= now for row in notices)


def _ticket(ticket: TicketState) -> dict[str, Any]:
    return {
        "id": ticket.id,
        "status": ticket.status,
        "result": ticket.result,
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
        "outcome": decision.outcome,
        "reason": decision.reason,
        "message": decision.message,
        "status_before": one.before,
        "status_after": one.after,
        "park_until": one.park_until,
    }
    if one.waiting.is_fresh:
        row |= {
            "action": event.action,
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
        "ticket": ticket.id,
        "operator": ticket.terms.operator,
        "number": ticket.notices,
        "action": owed.action,
        "generation": owed.generation,
        "event_id": owed.event_id,
        "path": text_.path,
        "body": text_.body,
        "head": is_head,
        "due_at": max(now, owed.not_before or now, ticket.held_until or now),
        "ended": ended,
        "reason": reason,
    }
