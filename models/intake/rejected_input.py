"""Keep raw what never became an event of a ticket: nothing is dropped silently."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, text

from models.events.event import Unreadable

# Written last in its transaction, in key order: raw rows before tickets deadlock (rule 19).
KEEP = text("""
    INSERT INTO rejected_input (entry_id, kind, raw, whole, reason, message, operator, ticket_id,
                                event_id, received_at, rejected_at)
    VALUES (:entry_id, :kind, :raw, :whole, :reason, :message, :operator, :ticket_id, :event_id,
            :received_at, :now)
    ON CONFLICT (entry_id) DO NOTHING""")


def keep(connection: Connection, refused: Sequence[Unreadable], *, now: datetime) -> None:
    """Store *refused*. An entry that was handed out twice is kept once."""
    if not refused:
        return
    rows = [
        {
            "entry_id": one.entry_id,
            "kind": one.kind,
            "raw": one.raw,
            "whole": one.whole,
            "reason": one.reason,
            "message": one.message,
            "operator": one.operator,
            "ticket_id": one.ticket_id,
            "event_id": one.event_id,
            "received_at": one.received_at,
            "now": now,
        }
        for one in sorted(refused, key=lambda one: one.entry_id)
    ]
    connection.execute(KEEP, rows)
