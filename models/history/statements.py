"""Statements that read the facts of a ticket's history: of each kind the newest, newest first.

Columns that may be large and that no history shows are not read.
"""

from typing import Final

from sqlalchemy import text

from models.events.time_of_change import CHANGED_AT
from models.history.values import ANSWER_CHARACTERS_MAX
from models.outbox.attempts import ATTEMPTS

# Of an event `e`.
EVENT_FACTS: Final = """
           e.event_id, e.action, e.data, e.left_out, e.occurred_at, e.order_time, e.sequence,
           e.received_at, e.outcome, e.reason, e.message, e.status_before, e.status_after,
           e.decided_at, e.park_until, e.repeats, e.repeated_at, e.dropped_at, e.traceparent"""
TICKETS: Final = text(f"""
    SELECT t.id, o.code AS operator, t.ticket_id, t.status, t.result, t.generation, t.settled_at,
           t.close_due_at, t.closed_at, t.parked, t.unfinished, t.on_hold_at, t.erased_at,
           t.bodies_removed_at, t.cancelled_at, t.cancelled_by, t.created_at,
           {CHANGED_AT} AS changed_at,
           t.details, t.amounts, o.close_delay, o.disabled_at AS operator_disabled_at,
           o.ended_at AS operator_ended_at, c.opened_at, c.reason AS circuit_reason, c.probe_at,
           s.ended_at AS swept_at, s.horizon AS watermark
      FROM ticket t JOIN operator o ON o.id = t.operator
      LEFT JOIN circuit c ON c.operator = o.id AND c.closed_at IS NULL
      LEFT JOIN sweep_round s ON true
     WHERE t.ticket_id = :ticket_id AND (CAST(:operator AS text) IS NULL OR o.code = :operator)
     ORDER BY o.code LIMIT :limit""")  # noqa: S608 - a constant
EVENTS: Final = text(f"""
    SELECT {EVENT_FACTS}
      FROM ticket_event e
     WHERE e.ticket = :ticket
       AND (CAST(:before AS timestamptz) IS NULL OR e.received_at < :before)
     ORDER BY e.arrival DESC LIMIT :limit""")  # noqa: S608 - a constant
NOTICES: Final = text("""
    SELECT n.id, n.number, n.action, n.generation, n.event_id, n.head, n.created_at, n.due_at,
           n.leased_until, n.tries, n.perhaps_delivered, n.ended, n.ended_at, n.reason, n.repeat,
           n.unwanted, n.traceparent
      FROM notice n
     WHERE n.ticket = :ticket
       AND (CAST(:before AS timestamptz) IS NULL OR n.created_at < :before)
     ORDER BY n.number DESC LIMIT :limit""")
INTERVENTIONS: Final = text("""
    SELECT i.at, i.who, i.why, i.did, i.facts
      FROM intervention i
     WHERE i.ticket = :ticket AND (CAST(:before AS timestamptz) IS NULL OR i.at < :before)
     ORDER BY i.id DESC LIMIT :limit""")
REFUSED: Final = text("""
    SELECT r.entry_id, r.event_id, r.reason, r.message, r.received_at, r.rejected_at, r.dropped_at
      FROM rejected_input r
     WHERE r.ticket_id = :ticket_id AND r.operator = :operator
       AND (CAST(:before AS timestamptz) IS NULL OR r.rejected_at < :before)
     ORDER BY r.id DESC LIMIT :limit""")
# Answers are cut by the database: hundreds of them, of 16,000 characters each, are not read.
ATTEMPTS_OF_NOTICES: Final = text(f"""
    SELECT a.notice, a.claim, a.verdict, a.took_ms, a.http_status, a.problem,
           left(a.answer, {ANSWER_CHARACTERS_MAX}) AS answer, a.recorded_at, a.remarks, a.sent_at,
           a.remote_address
      FROM {ATTEMPTS} a
     WHERE a.notice = ANY(:notices)
       AND (CAST(:before AS timestamptz) IS NULL OR a.recorded_at < :before)
     ORDER BY a.recorded_at DESC, a.claim DESC LIMIT :limit""")  # noqa: S608 - constants
