"""Give up creates and reserves without an answer: unsent too long, or the lease lost (rule 10)."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, text

from models.database.apart import together_or_one_by_one
from models.lifecycle.effects import refuse_create
from models.lifecycle.ticket import TicketState
from models.outbox.notice_rows import lock_notices, move_heads, update_notices
from models.outbox.record import decide_parked
from models.tickets.load import lock_by_id
from models.tickets.save import save_changes
from models.vocabulary import NoticeEnd, Status

UNANSWERED_CREATES = text("""
    SELECT id, ticket, claims FROM notice
     WHERE action IN ('ticket_create', 'ticket_reserve') AND ended IS NULL
       AND ((claims = 0 AND created_at <= :born_before) OR leased_until <= :now)
     ORDER BY created_at LIMIT :limit""")

# One that is being sent stays: its discard waits behind it.
WITHDRAW_UNSENT = text("""
    WITH withdrawn AS (
        UPDATE notice
           SET ended = 'withdrawn', ended_at = :now, head = false,
               reason = 'discarded before it was sent'
         WHERE ticket = ANY(:tickets) AND action IN ('ticket_create', 'ticket_reserve')
           AND ended IS NULL AND claims = 0
     RETURNING ticket, number),
    counted AS (
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
    """Cancel the tickets of creates that got no answer and owe their discard; how many.

    At most *limit* at a time, oldest first; more may be left.
    """
    found = {
        row.id: row
        for row in connection.execute(
            UNANSWERED_CREATES, {"now": now, "born_before": now - age_max, "limit": limit}
        )
    }
    if not found:
        return 0
    by_ticket = {row.ticket: row.id for row in found.values()}

    def abandoned(ids: Collection[int]) -> int:
        rows = [found[by_ticket[one]] for one in ids]
        return _abandoned(connection, rows, now=now, parking_window=parking_window)

    return together_or_one_by_one(
        connection,
        lambda: abandoned(by_ticket),
        tickets=lambda: by_ticket,
        alone=lambda one: abandoned([one]),
    )


def _abandoned(
    connection: Connection, rows: Sequence[Row[Any]], *, now: datetime, parking_window: timedelta
) -> int:
    found = {row.id: row for row in rows}
    tickets = lock_by_id(connection, (row.ticket for row in found.values()))
    were_new = {ticket.id for ticket in tickets.values() if ticket.status is Status.NEW}
    notices = lock_notices(connection, found)
    given_up: list[TicketState] = []
    for notice in notices.values():
        ticket, claims = tickets[found[notice.id].ticket], found[notice.id].claims
        leased = notice.leased_until is not None and notice.leased_until > now
        if notice.ended is not None or leased:
            continue  # somebody claimed or recorded it before we had the lock
        notice.finish(NoticeEnd.REFUSED)
        ticket.unfinished -= 1
        sent = claims > 0
        why = "its sender was lost, and with it the answer" if sent else "unsent for too long"
        refuse_create(ticket, notice.action, why=why, in_doubt=sent)
        given_up.append(ticket)
    followed = {one.id: one.held_until for one in given_up if one.unfinished}
    turns = decide_parked(
        connection, tickets.values(), were_new=were_new, now=now, window=parking_window
    )
    save_changes(connection, turns, now=now)
    update_notices(connection, notices.values(), now=now)
    move_heads(connection, followed, now=now)
    return len(given_up)


def withdraw_unsent(connection: Connection, tickets: Sequence[int], *, now: datetime) -> bool:
    """Withdraw the unsent create of each locked ticket. True: its discard is due in its place."""
    if not tickets:
        return False
    return connection.execute(WITHDRAW_UNSENT, {"tickets": list(tickets), "now": now}).rowcount > 0
