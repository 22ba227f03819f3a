"""Saves what was decided: tickets, then events, then notices (rule 19), one statement each.

A few new rows of all three take one statement, and all that is saved one round trip. COMMIT may go
along with it.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from psycopg.errors import UniqueViolation
from pydantic_core import to_json
from sqlalchemy import Connection, TextClause, text
from sqlalchemy.exc import DBAPIError

from models.database.pooler import begin_again
from models.database.round_trip import RoundTrip
from models.events.kept_data import kept_data
from models.events.kept_once import kept_once
from models.lifecycle.advance import DecidedEvent
from models.lifecycle.ticket import NewNotice, TicketState
from models.notices.body import kept_body, message
from models.notices.key import key_to_keep
from models.platform.errors import SlipwayError
from models.tickets.row import (
    ASSIGNMENTS,
    INSERTED,
    SETTLED_ASSIGNMENTS,
    SETTLED_ROWS,
    UPDATED,
    NewRow,
    NewRows,
    document,
    inserted_row,
    settled_rows,
    updated_row,
    write_together,
)
from models.vocabulary import NOT_WANTED, RESULTS, Action, NoticeEnd, Outcome, Status

TICKETS = NewRows("ticket", INSERTED)

UPDATE_TICKETS = text(f"""
    UPDATE ticket t
       SET {ASSIGNMENTS}, changed_at = CASE WHEN r.news THEN :now ELSE t.changed_at END,
           cancelled_at = CASE WHEN NOT r.over THEN NULL
                               WHEN t.status = 'cancelled' THEN coalesce(t.cancelled_at, :now)
                               ELSE :now END,
           details = CASE WHEN r.filled IS NULL AND r.amended IS NULL THEN t.details
                     ELSE coalesce(r.filled, '{{}}') || t.details || coalesce(r.amended, '{{}}')
                     END
      FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r({UPDATED})
     WHERE t.id = r.id""")  # noqa: S608 - constant lists of columns

# Before the details change that the event leaves out: its words stay what they were.
MAKE_EVENTS_WHOLE = text("""
    UPDATE ticket_event e SET data = t.details || e.data, left_out = 'key'
      FROM ticket t
     WHERE t.id = ANY(:tickets) AND e.ticket = t.id AND e.left_out = 'details'""")

# Nearly all tickets that are updated are open ones that were settled. They take a third of the
# time so: of an object for each row, PostgreSQL reads every column by its name.
# No :changed_at: their events have the time (`models.events.time_of_change`).
UPDATE_SETTLED = text(f"""
    UPDATE ticket t
       SET {SETTLED_ASSIGNMENTS}, cancelled_at = NULL,
           changed_at = coalesce(CAST(:changed_at AS timestamptz), t.changed_at)
      FROM {SETTLED_ROWS}
     WHERE t.id = r.id""")  # noqa: S608 - constant lists of columns

EVENTS = NewRows(
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
        "operator": "int4",
        "traceparent": "varchar",
        "left_out": "text",
    },
)

# A parked event that has ended, or whose window starts again.
UPDATE_EVENTS = text("""
    UPDATE ticket_event e
       SET outcome = r.outcome, reason = r.reason, message = r.message,
           status_before = r.status_before, status_after = r.status_after,
           park_until = r.park_until, decided_at = :now
      FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r(
               ticket bigint, event_id text, outcome text, reason text, message text,
               status_before text, status_after text, park_until timestamptz)
     WHERE e.ticket = r.ticket AND e.event_id = r.event_id""")

NOTICES = NewRows(
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
        "unwanted": "bool",
        "traceparent": "varchar",
    },
)


_BEFORE_TICKETS = text("SAVEPOINT before_tickets")
_AFTER_TICKETS = text("RELEASE before_tickets")
_WITHOUT_TICKETS = text("ROLLBACK TO before_tickets")


class TicketExists(SlipwayError):
    """Another transaction has inserted the same ticket since `new_among` looked."""


class TicketChange(NamedTuple):
    """A locked ticket and what was decided about its events."""

    ticket: TicketState
    decided: Sequence[DecidedEvent] = ()


def save_changes(
    connection: Connection,
    changes: Sequence[TicketChange],
    *,
    now: datetime,
    commit: bool = False,
) -> bool:
    """Write *changes*. Returns True if a new notice is due now, so that deliverers should look.

    *commit*: end the transaction with them.
    """
    notices, due = _notice_rows(changes, now)
    trip = RoundTrip(connection)
    _update_tickets(trip, filter(_is_row_changed, changes), now)
    fresh, ended = _event_rows(changes, now, with_tickets=False)
    _ask(trip, UPDATE_EVENTS, ended, now)
    write_together(trip, [(EVENTS, fresh), (NOTICES, notices)])
    trip.run(commit=commit)
    return due


def save_new_tickets(
    connection: Connection,
    changes: Sequence[TicketChange],
    *,
    now: datetime,
    commit: bool = False,
) -> bool:
    """Insert the tickets of *changes*, none of which had a row, and write *changes*.

    They are inserted as they are after their first events: one version of a row instead of two; in
    key order, and before any other ticket is locked (rule 19, E5). A transaction that inserts the
    same ticket at the same time waits for this one, then finds that it exists.
    Returns the same as `save_changes`. Raises TicketExists if another transaction has inserted one
    of them meanwhile; then nothing was written. *commit*: end the transaction with them; so far it
    has neither written nor locked anything, so it may begin again.
    """
    notices, due = _notice_rows(changes, now)
    tickets = sorted(
        (change.ticket for change in changes),
        key=lambda ticket: (ticket.terms.operator, ticket.ticket_id),
    )
    trip = RoundTrip(connection)
    try:
        rows = [inserted_row(ticket, now) for ticket in tickets]
        if not commit:
            trip.ask(_BEFORE_TICKETS)
            TICKETS.write(trip, rows)
            trip.ask(_AFTER_TICKETS)
            rows = []
        fresh, ended = _event_rows(changes, now, with_tickets=True)
        _ask(trip, UPDATE_EVENTS, ended, now)
        write_together(trip, [(TICKETS, rows), (EVENTS, fresh), (NOTICES, notices)])
        trip.run(commit=commit)
    except DBAPIError as error:
        if not _is_taken(error):
            raise
        if commit:
            begin_again(connection)
        else:
            connection.execute(_WITHOUT_TICKETS)
        raise TicketExists from error
    return due


def _is_taken(error: DBAPIError) -> bool:
    """Return whether another transaction inserted a ticket with the same key."""
    cause = error.orig
    return isinstance(cause, UniqueViolation) and cause.diag.table_name == TICKETS.table


def _update_tickets(trip: RoundTrip, changes: Iterable[TicketChange], now: datetime) -> None:
    settled: list[TicketState] = []
    once = True  # all may rely on the times of the events
    others: list[dict[str, Any]] = []
    for change in changes:
        ticket = change.ticket
        if change.decided and ticket.settled_only and not ticket.is_over:
            settled.append(ticket)
            once &= ticket.terms.times_once and any(each.is_applied for each in change.decided)
        else:
            news = bool(change.decided) or ticket.has_news
            others.append(updated_row(ticket, news=news))
    if settled:
        changed_at = None if once else now
        trip.ask(UPDATE_SETTLED, {**settled_rows(settled), "changed_at": changed_at})
    if changing := [row["id"] for row in others if row["filled"] or row["amended"]]:
        trip.ask(MAKE_EVENTS_WHOLE, {"tickets": changing})
    _ask(trip, UPDATE_TICKETS, others, now)


def _is_row_changed(change: TicketChange) -> bool:
    """Return whether the ticket's row changes.

    With each event of a ticket that nothing has opened its retention starts again, so its row
    changes even if the event did nothing.
    """
    ticket = change.ticket
    return ticket.changed or (ticket.status is Status.ABSENT and bool(change.decided))


def _event_rows(
    changes: Iterable[TicketChange], now: datetime, *, with_tickets: bool
) -> tuple[list[NewRow], list[dict[str, Any]]]:
    """Return fresh events and the ends of parked ones. *with_tickets*: theirs are just inserted."""
    fresh: list[NewRow] = []
    ended: list[dict[str, Any]] = []
    for change in changes:
        details = change.ticket.facts if with_tickets else {}
        for decided in change.decided:
            if decided.pending.is_fresh:
                fresh.append(_event_row(change.ticket, decided, now, details))
            else:
                ended.append(_event_end(change.ticket.id, decided))
    return fresh, ended


def _ask(
    trip: RoundTrip, statement: TextClause, rows: Sequence[dict[str, Any]], now: datetime
) -> None:
    if rows:
        trip.ask(statement, {"rows": to_json(rows).decode(), "now": now})


def _event_row(
    ticket: TicketState, decided: DecidedEvent, now: datetime, details: dict[str, Any]
) -> NewRow:
    """Return the values of the columns of `EVENTS`; of an erased player without texts (rule 25).

    *details*: those that its ticket was just inserted with.
    """
    event, decision = decided.pending.event, decided.decision
    blanked = ticket.takes_no_text
    data, left_out = kept_data(event.data) if blanked else event.data, None
    if ticket.terms.keeps_once and decision.outcome is Outcome.APPLIED:
        data, left_out = kept_once(
            data, operator=ticket.terms.code, ticket_id=ticket.ticket_id, details=details
        )
    return (
        ticket.id,
        event.event_id,
        event.action,
        document(data),
        event.occurred_at,
        event.order_time,
        event.sequence,
        event.entry_id,
        event.received_at,
        decision.outcome,
        decision.reason,
        None if blanked else decision.message,
        decided.before,
        decided.after,
        decided.park_until,
        now,
        ticket.terms.operator,
        event.traceparent,
        left_out,
    )


def _event_end(ticket: int, decided: DecidedEvent) -> dict[str, Any]:
    """Return a row for `UPDATE_EVENTS`."""
    decision = decided.decision
    return {
        "ticket": ticket,
        "event_id": decided.pending.event.event_id,
        "outcome": str(decision.outcome),
        "reason": None if decision.reason is None else str(decision.reason),
        "message": decision.message,
        "status_before": decided.before,
        "status_after": decided.after,
        "park_until": decided.park_until,
    }


def _notice_rows(changes: Iterable[TicketChange], now: datetime) -> tuple[list[NewRow], bool]:
    """Return the rows of the new notices, and whether one of them can be sent now.

    Their tickets count them, so the rows are made before the tickets are written.
    """
    rows: list[NewRow] = []
    due = False
    for change in changes:
        for notice in change.ticket.new_notices:
            row, due_now = _notice_row(change.ticket, notice, now)
            rows.append(row)
            due = due or due_now
    return rows, due


def _notice_row(ticket: TicketState, notice: NewNotice, now: datetime) -> tuple[NewRow, bool]:
    """Return the values of the columns of `NOTICES`, and whether the notice can be sent now.

    It is the head of its ticket's queue if no earlier notice is unfinished (rule 12), unless the
    ticket is on hold (rule 23).
    """
    text_ = message(ticket, notice)
    ended = reason = None
    is_unwanted = ticket.terms.leaves_out(notice.action)
    ends_now = is_unwanted and ticket.unfinished == 0 and ticket.on_hold_at is None
    if notice.withheld:
        ended, reason = (
            NoticeEnd.WITHDRAWN,
            "the partner never received the result it takes back",
        )
    elif ends_now:
        ended, reason = NoticeEnd.NOT_WANTED, NOT_WANTED
        if is_current_result(ticket, notice.action, notice.generation):
            ticket.close_due_at = close_time(ticket, now=now)
    elif is_unwanted:
        pass  # it waits its turn (`models.outbox.unwanted`), and is no dead letter then
    elif text_.impossible is not None:
        ended, reason = NoticeEnd.DEAD, text_.impossible
    ticket.notices += 1
    is_over = notice.withheld or ends_now
    is_first = ticket.unfinished == 0 and not is_over
    if not is_over:
        ticket.unfinished += 1
    is_head = is_first and ticket.needs_head
    due_at = max(now, notice.not_before or now, ticket.held_until or now)
    row = (
        ticket.id,
        ticket.terms.operator,
        ticket.notices,
        notice.action,
        notice.generation,
        notice.event_id,
        text_.path,
        kept_body(ticket, notice, text_.body),
        key_to_keep(ticket.terms.code, ticket.ticket_id, notice.action, notice.generation),
        is_head,
        due_at,
        ended,
        now if ended else None,
        reason,
        now,
        is_unwanted and not is_over,
        notice.traceparent,
    )
    return row, is_head and ended is None and due_at <= now


def is_current_result(ticket: TicketState, action: Action, generation: int) -> bool:
    """Return whether the notice has the result that stands (rule 16)."""
    return (
        action in RESULTS and ticket.status is Status.RESULTED and ticket.generation == generation
    )


def close_time(ticket: TicketState, *, now: datetime) -> datetime:
    """Return when the ticket closes if its result's turn is *now*, or when its pause is over."""
    return max(now, ticket.held_until or now) + ticket.terms.close_delay
