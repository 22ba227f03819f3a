"""A person holds a ticket, and releases it: nothing is sent and it does not close (rule 23).

A ticket on hold has no head, so neither claims nor probes can find it. What makes a head elsewhere
asks `TicketState.needs_head`; the sweep passes over the ticket's row.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Final
from unicodedata import normalize

from sqlalchemy import Connection, text

from models.history.ticket_status import TICKET_STATUS
from models.lifecycle.ticket import TicketState, refused_since
from models.operators.interventions import Change, Person, record_intervention
from models.operators.listing import unknown_operator
from models.outbox.unwanted import end_unwanted
from models.platform.errors import SlipwayError
from models.platform.timestamps import format_timestamp
from models.tickets.load import lock_by_id
from models.tickets.tombstones import why_removed
from models.triage.waiting import check_operator
from models.vocabulary import NoticeEnd, Status

FIND: Final = text("""
    SELECT o.disabled_at IS NOT NULL AS operator_disabled,
           (SELECT t.id FROM ticket t
             WHERE t.operator = o.id AND t.ticket_id = :ticket_id) AS ticket
      FROM operator o WHERE o.code = :operator""")

HOLD: Final = text("UPDATE ticket SET on_hold_at = :now, changed_at = :now WHERE id = :ticket")
# A notice that is being sent keeps its lease: its outcome is recorded as ever. A claim that meets
# this statement has the row locked and is waited for, or skips it.
REMOVE_HEAD: Final = text("""
    UPDATE notice SET head = false WHERE ticket = :ticket AND head
 RETURNING action, ended IS NULL AND leased_until > :now AS in_flight, leased_until""")

# What fell due meanwhile is due now: a rollback that was on the stream before counts (rule 17).
RELEASE: Final = text("""
    UPDATE ticket
       SET on_hold_at = NULL, changed_at = :now,
           close_due_at = CASE WHEN close_due_at < :now THEN :now ELSE close_due_at END
     WHERE id = :ticket RETURNING close_due_at""")
CLOSE_DUE_AT: Final = text("SELECT close_due_at FROM ticket WHERE id = :ticket")
# A delay that is not over stays as it is. The pause in which the notice fell due does not count
# towards its retry limit, like that of any late attempt (`models.outbox.claim`).
RESTORE_HEAD: Final = text("""
    UPDATE notice n
       SET head = true, due_at = greatest(n.due_at, CAST(:held_until AS timestamptz), :now),
           first_tried_at = CASE WHEN n.due_at < :now
                                 THEN n.first_tried_at + (:now - n.postponed_at)
                                 ELSE n.first_tried_at END,
           postponed_at = CASE WHEN n.due_at < :now AND n.postponed_at IS NOT NULL THEN :now
                               ELSE n.postponed_at END
     WHERE n.id = (SELECT f.id FROM notice f
                    WHERE f.ticket = :ticket AND (f.ended IS NULL OR f.ended = 'dead')
                    ORDER BY f.number LIMIT 1)
 RETURNING n.action, n.due_at, n.ended, n.unwanted""")

ON_HOLD: Final = text(f"""
    SELECT o.code AS operator, t.ticket_id, {TICKET_STATUS} AS status,
           t.on_hold_at, i.who, i.why, t.unfinished, t.close_due_at
      FROM ticket t JOIN operator o ON o.id = t.operator
      LEFT JOIN LATERAL (
           SELECT who, why FROM intervention
            WHERE ticket = t.id AND did = 'ticket_held' AND at = t.on_hold_at
            ORDER BY id DESC LIMIT 1) i ON true
     WHERE t.on_hold_at IS NOT NULL AND (CAST(:operator AS text) IS NULL OR o.code = :operator)
     ORDER BY t.on_hold_at, t.id LIMIT :limit""")  # noqa: S608 - constants


class HoldRefused(SlipwayError):
    """A ticket cannot be held or released; the message says why, and what is possible."""


@dataclass(frozen=True, slots=True)
class HeldTicket:
    """A ticket that was put on hold.

    *in_flight*: the notice that is being sent, until *in_flight_until* at most; its outcome is
    still recorded.
    """

    operator: str
    ticket_id: str
    status: str
    on_hold_at: datetime
    unfinished: int  # notices that the partner has not accepted
    in_flight: str | None
    in_flight_until: datetime | None


@dataclass(frozen=True, slots=True)
class ReleasedTicket:
    """A ticket that is on hold no more. *next_action*: the notice that is its head now, if any."""

    operator: str
    ticket_id: str
    status: str
    on_hold_since: datetime
    next_action: str | None
    next_try_at: datetime | None
    next_dead: bool
    close_due_at: datetime | None
    operator_disabled: bool


@dataclass(frozen=True, slots=True)
class TicketOnHold:
    """A ticket that is on hold, and who holds it and why."""

    operator: str
    ticket_id: str
    status: str
    on_hold_at: datetime
    who: str | None
    why: str | None
    unfinished: int  # notices that the partner has not accepted
    close_due_at: datetime | None


def hold_ticket(
    connection: Connection, operator: str, ticket_id: str, *, person: Person, now: datetime
) -> HeldTicket:
    """Put a ticket on hold, inside the caller's transaction, and record who did it and why.

    Events go on being decided. Raises HoldRefused, OperatorNotFound.
    """
    ticket, _ = _lock(connection, operator, ticket_id)
    if reason := _why_not_held(ticket):
        raise HoldRefused(f"ticket {ticket.ticket_id} of {operator} {reason}")
    connection.execute(HOLD, {"ticket": ticket.id, "now": now})
    head = connection.execute(REMOVE_HEAD, {"ticket": ticket.id, "now": now}).one_or_none()
    in_flight = head is not None and head.in_flight
    facts = {"status": ticket.status_text, "unfinished": ticket.unfinished}
    change = Change("ticket_held", operator=operator, ticket=ticket.id, facts=facts)
    record_intervention(connection, change, person=person, at=now)
    return HeldTicket(
        operator=operator,
        ticket_id=ticket.ticket_id,
        status=ticket.status_text,
        on_hold_at=now,
        unfinished=ticket.unfinished,
        in_flight=head.action if head is not None and in_flight else None,
        in_flight_until=head.leased_until if head is not None and in_flight else None,
    )


def release_ticket(
    connection: Connection, operator: str, ticket_id: str, *, person: Person, now: datetime
) -> ReleasedTicket:
    """Release a ticket, inside the caller's transaction, and record who did it and why.

    What fell due while it was on hold is due now; no delay that still runs is shortened. Raises
    HoldRefused, OperatorNotFound.
    """
    ticket, operator_disabled = _lock(connection, operator, ticket_id)
    if ticket.on_hold_at is None:
        raise HoldRefused(f"ticket {ticket.ticket_id} of {operator} is not on hold")
    parameters = {"ticket": ticket.id, "now": now}
    close_due_at = connection.execute(RELEASE, parameters).scalar_one()
    head = connection.execute(
        RESTORE_HEAD, {**parameters, "held_until": ticket.held_until}
    ).one_or_none()
    if head is not None and head.unwanted:
        end_unwanted(connection, [ticket.id], now=now)
        head = connection.execute(
            RESTORE_HEAD, {**parameters, "held_until": ticket.held_until}
        ).one_or_none()
        close_due_at = connection.execute(CLOSE_DUE_AT, parameters).scalar_one()
    facts = {"status": ticket.status_text, "since": format_timestamp(ticket.on_hold_at)}
    change = Change("ticket_released", operator=operator, ticket=ticket.id, facts=facts)
    record_intervention(connection, change, person=person, at=now)
    return ReleasedTicket(
        operator=operator,
        ticket_id=ticket.ticket_id,
        status=ticket.status_text,
        on_hold_since=ticket.on_hold_at,
        next_action=None if head is None else head.action,
        next_try_at=None if head is None else head.due_at,
        next_dead=head is not None and head.ended == NoticeEnd.DEAD,
        close_due_at=close_due_at,
        operator_disabled=operator_disabled,
    )


def list_on_hold(
    connection: Connection, *, operator: str | None = None, limit: int
) -> list[TicketOnHold]:
    """List the tickets on hold, of all operators or of one, the longest first."""
    rows = connection.execute(ON_HOLD, {"operator": operator, "limit": limit}).mappings()
    tickets = [TicketOnHold(**row) for row in rows]
    if not tickets and operator is not None:
        check_operator(connection, operator)
    return tickets


def _lock(connection: Connection, operator: str, ticket_id: str) -> tuple[TicketState, bool]:
    """Lock the ticket; return it, and whether its operator is disabled."""
    row = connection.execute(
        FIND, {"operator": operator, "ticket_id": normalize("NFC", ticket_id)}
    ).one_or_none()
    if row is None:
        raise unknown_operator(connection, operator)
    ticket = lock_by_id(connection, [row.ticket]).get(row.ticket) if row.ticket else None
    if ticket is None and (why := why_removed(connection, ticket_id, operator=operator)):
        raise HoldRefused(why)
    if ticket is None or ticket.status is Status.ABSENT:
        raise HoldRefused(
            f"no ticket {ticket_id} of {operator} has been opened, so there is nothing to hold or"
            " to release"
        )
    return ticket, row.operator_disabled


def _why_not_held(ticket: TicketState) -> str | None:
    """Return why the ticket cannot be put on hold. A create cannot wait (rule 10)."""
    if ticket.terms.ended_at is not None:
        return f"ends with its partnership: {refused_since(ticket.terms)}"
    if ticket.on_hold_at is not None:
        return (
            f"is on hold already, since {format_timestamp(ticket.on_hold_at, 'seconds')};"
            f" `slipway ticket {ticket.ticket_id}` shows who holds it and why"
        )
    if ticket.status is Status.NEW:
        return (
            "is new: its create is sent within a minute or not at all; hold it once the partner has"
            " responded, or publish a ticket_discard"
        )
    if ticket.status in {Status.CLOSED, Status.CANCELLED} and not ticket.unfinished:
        return f"is {ticket.status} and nothing of it is left to be sent: there is nothing to hold"
    return None
