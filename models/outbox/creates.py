"""Creates and reserves that end without a response (rule 10).

One that stays unsent for too long, or whose deliverer died, is given up: its ticket is cancelled
and the partner gets a discard. One whose ticket is discarded before it was sent is withdrawn.
"""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, text

from models.database.one_by_one import together_or_one_by_one
from models.lifecycle.effects import refuse_create
from models.lifecycle.ticket import TicketState
from models.outbox.notice_rows import lock_notices, move_heads, update_notices
from models.outbox.record import decide_parked
from models.tickets.load import lock_by_id
from models.tickets.save import save_changes
from models.vocabulary import NoticeEnd, Status

ABANDONED_CREATES = text("""
    SELECT id, ticket, claims FROM notice
     WHERE action IN ('ticket_create', 'ticket_reserve') AND ended IS NULL
       AND ((claims = 0 AND created_at <= :born_before) OR leased_until <= :now)
     ORDER BY created_at LIMIT :limit""")

# A create that is being sent stays: its discard waits behind it. No such ticket is on hold, since
# a new one never is (rule 23).
WITHDRAW_UNSENT = text("""
    WITH withdrawn AS (
        UPDATE notice
           SET ended = 'withdrawn', ended_at = :now, head = false,
               reason = 'discarded before it was sent'
         WHERE ticket = ANY(:tickets) AND action IN ('ticket_create', 'ticket_reserve')
           AND ended IS NULL AND claims = 0
     RETURNING ticket, number),
    ticket_count AS (
        UPDATE ticket t SET unfinished = t.unfinished - 1
          FROM withdrawn w WHERE t.id = w.ticket)
    UPDATE notice n SET head = true
      FROM withdrawn w
     WHERE n.ticket = w.ticket AND n.number = w.number + 1""")


def abandon_creates(
    connection: Connection,
    *,
    now: datetime,
    age_max: timedelta,
    parking_window: timedelta,
    limit: int,
) -> int:
    """Cancel the tickets of creates without a response, and add their discards.

    Takes at most *limit* at a time, oldest first; more may be left. Returns the number cancelled.
    """
    parameters = {"now": now, "born_before": now - age_max, "limit": limit}
    creates = {row.ticket: row for row in connection.execute(ABANDONED_CREATES, parameters)}
    if not creates:
        return 0

    def abandon(tickets: Collection[int]) -> int:
        rows = [creates[ticket] for ticket in tickets]
        return _abandon(connection, rows, now=now, parking_window=parking_window)

    return together_or_one_by_one(
        connection,
        lambda: abandon(creates),
        tickets=lambda: creates,
        alone=lambda ticket: abandon([ticket]),
    )


def _abandon(
    connection: Connection, rows: Sequence[Row[Any]], *, now: datetime, parking_window: timedelta
) -> int:
    creates = {row.id: row for row in rows}
    tickets = lock_by_id(connection, (row.ticket for row in creates.values()))
    were_new = {ticket.id for ticket in tickets.values() if ticket.status is Status.NEW}
    notices = lock_notices(connection, creates)
    cancelled: list[TicketState] = []
    for notice in notices.values():
        ticket, claims = tickets[creates[notice.id].ticket], creates[notice.id].claims
        is_leased = notice.leased_until is not None and notice.leased_until > now
        if notice.ended is not None or is_leased:
            continue  # claimed or recorded before this transaction had the lock
        notice.finish(NoticeEnd.REFUSED)
        ticket.unfinished -= 1
        sent = claims > 0
        why = "its sender was lost, and with it the answer" if sent else "unsent for too long"
        trace = notice.traceparent
        refuse_create(ticket, notice.action, why=why, in_doubt=sent, traceparent=trace)
        cancelled.append(ticket)
    followed = {ticket.id: ticket.held_until for ticket in cancelled if ticket.needs_head}
    changes = decide_parked(
        connection, tickets.values(), were_new=were_new, now=now, window=parking_window
    )
    save_changes(connection, changes, now=now)
    update_notices(connection, notices.values(), now=now)
    move_heads(connection, followed, now=now)
    return len(cancelled)


def withdraw_unsent(connection: Connection, tickets: Sequence[int], *, now: datetime) -> bool:
    """Withdraw the unsent create of each locked ticket; return whether a discard is due instead."""
    if not tickets:
        return False
    return connection.execute(WITHDRAW_UNSENT, {"tickets": list(tickets), "now": now}).rowcount > 0
