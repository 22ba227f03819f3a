"""Lists what still proceeds by itself: undelivered notices, and tickets that have not ended.

Nothing here needs a person yet; the lists answer since when something waits, and why. Reads only, a
page at a time, in the order of the index that finds the rows.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Generic, TypeVar

from sqlalchemy import Connection, RowMapping, text

from models.events.stored import stored_object
from models.events.time_of_change import CHANGED_AT
from models.operators.listing import unknown_operator
from models.outbox.attempts import ATTEMPTS
from models.platform.errors import SlipwayError
from models.platform.timestamps import format_timestamp, parse_timestamp
from models.vocabulary import Status

T = TypeVar("T")
UNENDED: Final = (Status.NEW, Status.RESERVED, Status.OPEN, Status.RESULTED)

# Operator by operator, in the order of the index `notice_due`: the next to be tried first.
UNDELIVERED: Final = text(f"""
      WITH undelivered AS MATERIALIZED (
           SELECT n.*, o.code, o.disabled_at,
                  c.opened_at IS NOT NULL AND c.closed_at IS NULL AS held
             FROM operator o
             LEFT JOIN circuit c ON c.operator = o.id
            CROSS JOIN LATERAL (
                  SELECT h.* FROM notice h
                   WHERE h.operator = o.id AND h.head AND h.ended IS NULL
                     AND h.due_at >= CAST(:due_at AS timestamptz)
                     AND (h.due_at, h.id) > (CAST(:due_at AS timestamptz), :id)
                     AND (CAST(:before AS timestamptz) IS NULL OR h.created_at <= :before)
                   ORDER BY h.due_at, h.id LIMIT :limit) n
            WHERE (CAST(:operator AS text) IS NULL OR o.code = :operator)
            ORDER BY n.due_at, n.id LIMIT :limit)
    SELECT n.id, n.code AS operator, t.ticket_id, n.action, n.generation,
           n.created_at AS undelivered_since, n.due_at AS next_try_at, n.leased_until, n.tries,
           n.perhaps_delivered,
           n.held AS circuit_open, n.disabled_at AS operator_disabled_at, a.verdict, a.http_status,
           a.problem, a.answer, a.recorded_at AS last_tried_at
      FROM undelivered n JOIN ticket t ON t.id = n.ticket
      LEFT JOIN LATERAL (SELECT verdict, http_status, problem, left(answer, 2000) AS answer,
                                recorded_at
                           FROM {ATTEMPTS} a
                          WHERE a.notice = n.id ORDER BY a.claim DESC LIMIT 1) a ON true
     ORDER BY n.due_at, n.id""")  # noqa: S608 - a constant
# `ticket_unended` is a partial index: the statement must repeat its condition.
TICKETS: Final = text(f"""
    SELECT t.id, CAST(:operator AS text) AS operator, t.ticket_id, t.status, t.result,
           t.created_at, {CHANGED_AT} AS changed_at,
           t.close_due_at, t.parked, t.unfinished, t.on_hold_at, t.details, t.amounts
      FROM ticket t
     WHERE t.operator = (SELECT id FROM operator WHERE code = :operator)
       AND t.closed_at IS NULL AND t.cancelled_at IS NULL AND t.id > :id
       AND t.status = ANY(CAST(:statuses AS text[]))
       AND (CAST(:before AS timestamptz) IS NULL OR t.created_at <= :before)
     ORDER BY t.id LIMIT :limit""")  # noqa: S608 - a constant
_WRONG_PLACE: Final = "is not where a page ends; take it from the end of the page before"
_NUMBER_MAX: Final = 2**63 - 1
KNOWN: Final = text("SELECT EXISTS (SELECT FROM operator WHERE code = :operator)")


class InvalidPlace(SlipwayError):
    """What was given as the place where a page ended is none."""


@dataclass(frozen=True, slots=True)
class UndeliveredNotice:
    """A notice that its partner has not accepted so far, and the result of the last attempt.

    *next_try_at* is the earliest time; it is later while the circuit is open or the operator is
    disabled.
    """

    id: int
    operator: str
    ticket_id: str
    action: str
    generation: int
    undelivered_since: datetime
    next_try_at: datetime
    leased_until: datetime | None  # being sent, until then at most
    tries: int
    perhaps_delivered: bool
    circuit_open: bool
    operator_disabled_at: datetime | None
    verdict: str | None
    http_status: int | None
    problem: str | None
    answer: str | None
    last_tried_at: datetime | None


@dataclass(frozen=True, slots=True)
class UnendedTicket:
    """A ticket that is neither closed nor cancelled."""

    id: int
    operator: str
    ticket_id: str
    status: str
    result: str
    created_at: datetime
    changed_at: datetime
    close_due_at: datetime | None
    parked: int  # parked events
    unfinished: int  # notices that the partner has not accepted
    on_hold_at: datetime | None  # since when a person holds it
    details: dict[str, Any]
    amounts: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """A part of a list. *next* is the place where the next page begins, or None at the end."""

    lines: tuple[T, ...]
    next: str | None


def list_undelivered(
    connection: Connection,
    *,
    operator: str | None,
    before: datetime | None = None,
    after: str | None = None,
    limit: int,
) -> Page[UndeliveredNotice]:
    """List undelivered notices, the next to be tried first; only those created before *before*.

    *after* is the `next` of the previous page. Raises InvalidPlace, OperatorNotFound.
    """
    check_operator(connection, operator)
    due_at, number = None, 0
    if after is not None:
        due_at, number = _place(after)
    parameters = {
        "operator": operator,
        "before": before,
        "due_at": due_at or "-infinity",
        "id": number,
        "limit": limit + 1,
    }
    rows = connection.execute(UNDELIVERED, parameters).mappings()
    notices = [UndeliveredNotice(**row) for row in rows]
    if len(notices) <= limit:
        return Page(tuple(notices), next=None)
    last = notices[limit - 1]
    return Page(tuple(notices[:limit]), next=f"{format_timestamp(last.next_try_at)},{last.id}")


def list_unended(
    connection: Connection,
    *,
    operator: str,
    statuses: Sequence[Status] = UNENDED,
    before: datetime | None = None,
    after: str | None = None,
    limit: int,
) -> Page[UnendedTicket]:
    """List an operator's tickets that have not ended, oldest first; see `list_undelivered`."""
    check_operator(connection, operator)
    parameters = {
        "operator": operator,
        "statuses": [status.value for status in statuses],
        "before": before,
        "id": 0 if after is None else _number(after),
        "limit": limit + 1,
    }
    rows = connection.execute(TICKETS, parameters).mappings()
    tickets = [_ticket(row) for row in rows]
    if len(tickets) <= limit:
        return Page(tuple(tickets), next=None)
    return Page(tuple(tickets[:limit]), next=str(tickets[limit - 1].id))


def check_operator(connection: Connection, operator: str | None) -> None:
    """Raise OperatorNotFound if an operator is named that does not exist."""
    known = operator is None or connection.execute(KNOWN, {"operator": operator}).scalar_one()
    if operator is not None and not known:
        raise unknown_operator(connection, operator)


def _ticket(row: RowMapping) -> UnendedTicket:
    facts = {
        **row,
        "details": stored_object(row["details"]),
        "amounts": {} if row["amounts"] is None else stored_object(row["amounts"]),
    }
    return UnendedTicket(**facts)


def _place(after: str) -> tuple[datetime, int]:
    at, _, number = after.rpartition(",")
    try:
        return parse_timestamp(at), _number(number)
    except (InvalidPlace, ValueError):
        raise InvalidPlace(f"{after[:40]!r} {_WRONG_PLACE}") from None


def _number(place: str) -> int:
    digits = len(str(_NUMBER_MAX))
    if not (place.isascii() and place.isdecimal() and len(place) <= digits):
        raise InvalidPlace(f"{place[:40]!r} {_WRONG_PLACE}")
    return min(int(place), _NUMBER_MAX)
