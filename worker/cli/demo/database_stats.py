"""Reads the state of the demo from the database, while it runs and at its end."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, TextClause, text

from models.vocabulary import Status

STATUSES: Final = text("SELECT status AS name, count(*) AS number FROM ticket GROUP BY status")
OUTCOMES: Final = text(
    "SELECT outcome AS name, count(*) AS number FROM ticket_event GROUP BY outcome"
)
UNREADABLE: Final = text("SELECT count(*) FROM rejected_input")
NOTICES: Final = text("""
    SELECT count(*) FILTER (WHERE ended = 'delivered') AS delivered,
           count(*) FILTER (WHERE ended IS DISTINCT FROM 'delivered') AS undelivered
      FROM notice
""")
CLOSINGS: Final = text("""
    SELECT t.ticket_id, o.code AS operator, t.result, t.close_due_at
      FROM ticket t JOIN operator o ON o.id = t.operator
     WHERE t.close_due_at > :now
     ORDER BY t.close_due_at LIMIT :limit
""")
PARTNERS: Final = text("""
    SELECT o.code, c.probe_at,
           (SELECT count(*) FROM notice n
             WHERE n.operator = o.id AND n.head AND n.ended IS NULL) AS waiting
      FROM operator o JOIN circuit c ON c.operator = o.id
     ORDER BY o.code
""")
STEPS: Final = text("""
    SELECT t.ticket_id, t.status, t.close_due_at,
           ARRAY(SELECT n.action || CASE WHEN n.ended = 'delivered' THEN '+' ELSE '-' END
                   FROM notice n WHERE n.ticket = t.id ORDER BY n.number) AS steps
      FROM ticket t WHERE t.ticket_id = ANY(:ids)
""")


@dataclass(frozen=True, slots=True)
class Closing:
    """A ticket whose close delay is running."""

    operator: str
    ticket_id: str
    result: str
    due_at: datetime


@dataclass(frozen=True, slots=True)
class PartnerState:
    """A partner as delivery sees it; *probe_at* is the next probe if its circuit is open."""

    code: str
    waiting: int  # tickets with an undelivered notice
    probe_at: datetime | None


@dataclass(frozen=True, slots=True)
class DemoNotice:
    """A notice in a ticket's timeline."""

    action: str
    delivered: bool


@dataclass(frozen=True, slots=True)
class DemoTicket:
    """A ticket's history so far."""

    ticket_id: str
    status: Status
    close_due_at: datetime | None
    steps: tuple[DemoNotice, ...]


@dataclass(frozen=True, slots=True)
class DemoCounts:
    """What the database has counted."""

    tickets: Mapping[str, int]  # by status
    events: Mapping[str, int]  # by outcome
    unreadable: int
    delivered: int
    undelivered: int

    @property
    def finished(self) -> bool:
        """Whether every ticket is closed, and every notice delivered."""
        return set(self.tickets) == {Status.CLOSED} and not self.undelivered


def count_all(connection: Connection) -> DemoCounts:
    """Count the tickets, events and notices."""
    notices = connection.execute(NOTICES).mappings().one()
    return DemoCounts(
        tickets=_counted(connection, STATUSES),
        events=_counted(connection, OUTCOMES),
        unreadable=connection.execute(UNREADABLE).scalar_one(),
        delivered=notices["delivered"],
        undelivered=notices["undelivered"],
    )


def partner_states(connection: Connection) -> list[PartnerState]:
    """Return for each partner how many tickets wait, and whether its circuit is open."""
    rows = connection.execute(PARTNERS)
    return [PartnerState(row.code, row.waiting, row.probe_at) for row in rows]


def next_closings(connection: Connection, *, now: datetime, limit: int) -> list[Closing]:
    """Return the tickets whose delay ends next after *now*, in that order."""
    rows = connection.execute(CLOSINGS, {"now": now, "limit": limit})
    return [Closing(row.operator, row.ticket_id, row.result, row.close_due_at) for row in rows]


def lives(connection: Connection, ids: Sequence[str]) -> list[DemoTicket]:
    """Return the tickets with these *ids*, in that order; those that do not exist are left out."""
    tickets = {
        row["ticket_id"]: DemoTicket(
            ticket_id=row["ticket_id"],
            status=Status(row["status"]),
            close_due_at=row["close_due_at"],
            steps=tuple(DemoNotice(step[:-1], step.endswith("+")) for step in row["steps"]),
        )
        for row in connection.execute(STEPS, {"ids": list(ids)}).mappings()
    }
    return [tickets[ticket_id] for ticket_id in ids if ticket_id in tickets]


def _counted(connection: Connection, statement: TextClause) -> dict[str, int]:
    return {row.name: row.number for row in connection.execute(statement)}
