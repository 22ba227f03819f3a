"""Stores input that did not become an event of a ticket, so that nothing is dropped silently."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, text

from models.events.event import Unreadable

# Written last in its transaction, in key order: before the tickets, these rows deadlock (rule 19).
STORE = text("""
    INSERT INTO rejected_input (entry_id, kind, raw, whole, reason, message, operator, ticket_id,
                                event_id, received_at, rejected_at)
    VALUES (:entry_id, :kind, :raw, :whole, :reason, :message, :operator, :ticket_id, :event_id,
            :received_at, :now)
    ON CONFLICT (entry_id) DO NOTHING""")


def store_rejected(
    connection: Connection, rejected: Sequence[Unreadable], *, now: datetime
) -> None:
    """Store *rejected*; an entry that was delivered twice is stored once."""
    if not rejected:
        return
    rows = [
        {
            "entry_id": entry.entry_id,
            "kind": entry.kind,
            "raw": entry.raw,
            "whole": entry.whole,
            "reason": entry.reason,
            "message": entry.message,
            "operator": entry.operator,
            "ticket_id": entry.ticket_id,
            "event_id": entry.event_id,
            "received_at": entry.received_at,
            "now": now,
        }
        for entry in sorted(rejected, key=lambda entry: entry.entry_id)
    ]
    connection.execute(STORE, rows)
