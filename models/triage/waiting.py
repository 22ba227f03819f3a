"""What still goes on by itself: notices between two tries, and tickets that have not ended.

Nothing here needs a person yet; who asks wants to know since when, and why. Reads only, a page at a
time, in the order of the index that finds it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Generic, TypeVar

from sqlalchemy import Connection, text

from models.events.stored import stored_object
from models.operators.listing import unknown_operator
from models.platform.timestamps import format_timestamp, parse_timestamp
from models.vocabulary import Status

T = TypeVar("T")
UNENDED: Final = (Status.NEW, Status.RESERVED, Status.OPEN, Status.RESULTED)

# Operator by operator, as the index `notice_due` goes: the next to be tried first.
UNDELIVERED: Final = text("""
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
      LEFT JOIN LATERAL (SELECT verdict, http_status, problem, answer, recorded_at
                           FROM delivery_attempt
                          WHERE notice = n.id ORDER BY claim DESC LIMIT 1) a ON true
     ORDER BY n.due_at, n.id""")
# The condition on both ends stands in the text: only so is `ticket_unended` of use.
TICKETS: Final = text("""
    SELECT t.id, CAST(:operator AS text) AS operator, t.ticket_id, t.status, t.result,
           t.created_at, t.changed_at, t.close_due_at, t.parked, t.unfinished, t.details, t.amounts
      FROM ticket t
     WHERE t.operator = (SELECT id FROM operator WHERE code = :operator)
       AND t.closed_at IS NULL AND t.cancelled_at IS NULL AND t.id > :id
       AND t.status = ANY(CAST(:statuses AS text[]))
       AND (CAST(:before AS timestamptz) IS NULL OR t.created_at <= :before)
     ORDER BY t.id LIMIT :limit""")
_WRONG_PLACE: Final = "is not where a page ends; take it from the end of the page before"
_NUMBER_MAX: Final = 2**63 - 1
KNOWN: Final = text("SELECT EXISTS (SELECT FROM operator WHERE code = :operator)")


class InvalidPlace(Exception):
    """What was given as the end of a page is none."""


@dataclass(frozen=True, slots=True)
class UndeliveredNotice:
    """A notice that its partner has not taken so far, and what the last attempt met.

    *next_try_at*: not before; later while the circuit is open or the operator disabled.
    """

    id: int
    operator: str
    ticket_id: str
    action: str
    generation: int
    undelivered_since: datetime
    next_try_at: datetime
    leased_until: datetime | None  # being sent until then, at most
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
    parked: int  # events that wait
    unfinished: int  # notices that the partner has not taken
    details: dict[str, Any]
    amounts: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Some of a list, and where the next page begins; None: there is no more."""

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
    """Notices between two tries, the next to be tried first; those owed since *before* alone.

    *after*: the `next` of the page before. Raises InvalidPlace, OperatorUnknown.
    """
    _check(connection, operator)
    due_at, number = None, 0
    if after is not None:
        due_at, number = _place(after)
    asked = {
        "operator": operator,
        "before": before,
        "due_at": due_at or "-infinity",
        "id": number,
        "limit": limit + 1,
    }
    rows = [UndeliveredNotice(**row) for row in connection.execute(UNDELIVERED, asked).mappings()]
    last = rows[min(limit, len(rows)) - 1] if rows else None
    following = (
        f"{format_timestamp(last.next_try_at)},{last.id}" if last and len(rows) > limit else None
    )
    return Page(tuple(rows[:limit]), following)


def list_unended(
    connection: Connection,
    *,
    operator: str,
    statuses: Sequence[Status] = UNENDED,
    before: datetime | None = None,
    after: str | None = None,
    limit: int,
) -> Page[UnendedTicket]:
    """An operator's tickets that have not ended, the oldest first; as `list_undelivered`."""
    _check(connection, operator)
    asked = {
        "operator": operator,
        "statuses": [status.value for status in statuses],
        "before": before,
        "id": 0 if after is None else _number(after),
        "limit": limit + 1,
    }
    rows = [_ticket(dict(row)) for row in connection.execute(TICKETS, asked).mappings()]
    following = str(rows[limit - 1].id) if len(rows) > limit else None
    return Page(tuple(rows[:limit]), following)


def _check(connection: Connection, operator: str | None) -> None:
    known = operator is None or connection.execute(KNOWN, {"operator": operator}).scalar_one()
    if operator is not None and not known:
        raise unknown_operator(connection, operator)


def _ticket(row: dict[str, Any]) -> UnendedTicket:
    row["details"] = stored_object(row["details"])
    row["amounts"] = {} if row["amounts"] is None else stored_object(row["amounts"])
    return UnendedTicket(**row)


def _place(after: str) -> tuple[datetime, int]:
    at, _, number = after.rpartition(",")
    try:
        return parse_timestamp(at), _number(number)
    except (InvalidPlace, ValueError):
        raise InvalidPlace(f"{after[:40]!r} {_WRONG_PLACE}") from None


def _number(given: str) -> int:
    digits = len(str(_NUMBER_MAX))
    if not (given.isascii() and given.isdecimal() and len(given) <= digits):
        raise InvalidPlace(f"{given[:40]!r} {_WRONG_PLACE}")
    return min(int(given), _NUMBER_MAX)
