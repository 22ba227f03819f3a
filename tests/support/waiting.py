"""A crowd that waits, written straight into the tables: behind dead heads, and for its time.

Of `blocked` every ticket is held back by a dead notice. Of `due` and `postponed` every ticket has a
notice that failed minutes ago: it is due again, or in an hour. `healthy` has something due.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from sqlalchemy import Connection, text

from models.outbox.values import Claim
from tests.support.deliverers import Deliverer
from tests.support.desk import Desk
from tests.support.plans import Plans, Touched, plans_of, touched_by

OPERATORS: Final = ("blocked", "due", "postponed", "healthy")
HEALTHY_TICKETS: Final = 200
BEHIND_EACH: Final = 100  # notices on a ticket whose head is dead
HOUR: Final = timedelta(hours=1)

# The crowd is consistent by itself: no need to have every row checked.
UNCHECKED = text("SET LOCAL session_replication_role = replica")
TICKETS = text("""
    INSERT INTO ticket (operator, ticket_id, status, result, generation, notices, unfinished)
    SELECT o.id, 'T' || n, 'resulted', 'won', 1, :each, :each
      FROM operator o, generate_series(1, CAST(:count AS int)) AS n WHERE o.code = :code""")
NOTICES = text("""
    INSERT INTO notice (ticket, operator, number, action, generation, body, head, due_at,
                        postponed_at, tries, ended, ended_at, created_at)
    SELECT t.id, t.operator, k, 'ticket_update', k, '{}', k = 1, s.since + :pause,
           CASE WHEN o.code IN ('due', 'postponed') THEN s.since END, 1,
           CASE WHEN o.code = 'blocked' AND k = 1 THEN 'dead' END,
           CASE WHEN o.code = 'blocked' AND k = 1 THEN s.since END, s.since
      FROM operator o JOIN ticket t ON t.operator = o.id AND t.ticket_id LIKE 'T%'
     CROSS JOIN generate_series(1, CAST(:each AS int)) AS k
     CROSS JOIN LATERAL (SELECT CAST(:now AS timestamptz) - interval '5 minutes'
                                + t.id * interval '1 microsecond' AS since) s
     WHERE o.code = :code""")
OPEN = text("""
    INSERT INTO circuit (operator, opened_at, probe_at)
    SELECT id, :now, :now FROM operator WHERE code IN ('due', 'postponed')
        ON CONFLICT (operator) DO UPDATE
       SET opened_at = excluded.opened_at, closed_at = NULL, probe_at = excluded.probe_at""")
CLOSE = text("UPDATE circuit SET closed_at = :at, probe_at = NULL WHERE opened_at IS NOT NULL")


def gather(desk: Desk, size: int) -> None:
    """Fill the tables: *size* notices behind dead heads, and *size* that failed, in two halves."""
    with desk.engine.begin() as connection:
        connection.execute(UNCHECKED)
        for code, count, each, pause in (
            ("blocked", size // BEHIND_EACH, BEHIND_EACH + 1, timedelta()),
            ("due", size // 2, 1, timedelta()),
            ("postponed", size // 2, 1, HOUR),
            ("healthy", HEALTHY_TICKETS, 1, timedelta()),
        ):
            connection.execute(TICKETS, {"code": code, "count": count, "each": each})
            row = {"code": code, "each": each, "pause": pause, "now": desk.now}
            connection.execute(NOTICES, row)


def open_circuits(connection: Connection, desk: Desk) -> None:
    """Two partners are locked out, and their next probes are due."""
    connection.execute(OPEN, {"now": desk.now})


def close_circuits(connection: Connection, desk: Desk) -> None:
    """They were mended, long enough ago for all of their caps."""
    open_circuits(connection, desk)
    connection.execute(CLOSE, {"at": desk.now - timedelta(seconds=60)})


@dataclass(frozen=True, slots=True)
class Look:
    """One look for due notices: how many it claimed of whom, and what that took."""

    claims: Sequence[Claim]
    touched: Touched
    plans: Plans

    def claimed(self) -> dict[str, int]:
        """How many were claimed, by operator."""
        codes = [one.operator_code for one in self.claims]
        return {code: codes.count(code) for code in sorted(set(codes))}


def look(connection: Connection, deliverer: Deliverer) -> Look:
    """Look within the caller's transaction, which should be undone."""
    claims: list[Claim] = []
    with connection.begin_nested() as attempt:
        touched = touched_by(connection, lambda: claims.extend(deliverer.claim_within(connection)))
        attempt.rollback()
    plans = plans_of(connection, lambda: deliverer.claim_within(connection))
    return Look(claims, touched, plans)
