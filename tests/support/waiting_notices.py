"""Many waiting notices, written straight into the tables: behind dead letters, and for their time.

Of `blocked` every ticket is held back by a dead notice. Of `due` and `postponed` every ticket has a
notice that failed minutes ago: it is due again, or in an hour. `healthy` has something due.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from sqlalchemy import Connection, text

from models.database.engine import open_engine
from models.outbox.values import Attempt, CircuitChange, Claim, Delivered
from tests.support import databases
from tests.support.deliverers import AGAIN, Deliverer
from tests.support.harness import TOOK, Harness
from tests.support.manual_clock import ManualClock
from tests.support.many_tickets import UNCHECKED
from tests.support.plans import plans_of, touched_by
from worker.local.servers import Servers

OPERATORS: Final = ("blocked", "due", "postponed", "healthy")
HEALTHY_TICKETS: Final = 200
BEHIND_EACH: Final = 100  # notices on a ticket whose head is dead
HOUR: Final = timedelta(hours=1)
LANE: Final = 32  # what an operator has in flight at most
QUIET_ROUNDS: Final = 12
BIG: Final = {"ticket", "notice"}
ROWS_EACH: Final = 6  # to see that it is there, find it, lock it, change it

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


def gather(harness: Harness, size: int) -> None:
    """Fill the tables: *size* notices behind dead heads, and *size* that failed, in two halves."""
    with harness.engine.begin() as connection:
        connection.execute(UNCHECKED)
        for code, count, each, pause in (
            ("blocked", size // BEHIND_EACH, BEHIND_EACH + 1, timedelta()),
            ("due", size // 2, 1, timedelta()),
            ("postponed", size // 2, 1, HOUR),
            ("healthy", HEALTHY_TICKETS, 1, timedelta()),
        ):
            connection.execute(TICKETS, {"code": code, "count": count, "each": each})
            row = {"code": code, "each": each, "pause": pause, "now": harness.now}
            connection.execute(NOTICES, row)


def open_circuits(connection: Connection, harness: Harness) -> None:
    """Open the circuits of two partners; their next probes are due."""
    connection.execute(OPEN, {"now": harness.now})


def close_circuits(connection: Connection, harness: Harness) -> None:
    """Close the circuits, long enough ago for all of their caps."""
    open_circuits(connection, harness)
    connection.execute(CLOSE, {"at": harness.now - timedelta(seconds=60)})


@contextmanager
def many_notices_in(servers: Servers, template: str, size: int) -> Iterator[Harness]:
    """Write them into a database of its own, seen by a session that knew its tables when empty.

    psycopg prepares a statement at its sixth use, and PostgreSQL plans it for good five later.
    """
    url = databases.create(servers.database_url, f"waiting_{size}", template=template)
    engine = open_engine(
        url, application_name="tests", pool_size=1, statement_timeout=timedelta(minutes=5)
    )
    harness = Harness(engine, ManualClock())
    for code in OPERATORS:
        harness.add_operator(code)
    deliverer = Deliverer(harness)
    for number in range(QUIET_ROUNDS):
        harness.say("ticket_win", f"Q{number}", operator="due")
        deliverer.deliver(AGAIN, 401)
        harness.wait(timedelta(minutes=1))
        deliverer.deliver()
        harness.wait(timedelta(minutes=1))
    gather(harness, size)
    yield harness
    engine.dispose()
    databases.drop(servers.database_url, f"waiting_{size}")


@dataclass(frozen=True, slots=True)
class ClaimCase:
    """What is done before a look, what the look must claim of whom, and by which indexes."""

    prepare: Callable[[Connection, Harness], None]
    claimed: Mapping[str, int]
    indexes: frozenset[str] = frozenset()


CLAIM_CASES: Final[Mapping[str, ClaimCase]] = {
    # The tickets of `postponed` wait for their time, those of `blocked` for a person.
    "behind dead heads and pauses": ClaimCase(lambda *_: None, {"due": LANE, "healthy": LANE}),
    "at open circuits": ClaimCase(
        open_circuits,
        {"due": 1, "healthy": LANE, "postponed": 1},
        frozenset({"notice_postponed"}),
    ),
    "when circuits close": ClaimCase(
        close_circuits,
        {"due": LANE, "healthy": LANE, "postponed": LANE},
        frozenset({"notice_postponed"}),
    ),
}


def check_claim(harness: Harness, connection: Connection, case: ClaimCase) -> None:
    """Claim due notices: what is read must fit what is claimed, not what waits."""
    case.prepare(connection, harness)
    deliverer = Deliverer(harness)
    claims: list[Claim] = []
    with connection.begin_nested() as attempt:
        touched = touched_by(connection, lambda: claims.extend(deliverer.claim_within(connection)))
        attempt.rollback()
    plans = plans_of(connection, lambda: deliverer.claim_within(connection))

    assert Counter(claim.operator_code for claim in claims) == case.claimed
    assert plans.indexes >= case.indexes | {"notice_due"}
    assert not BIG & plans.whole_tables
    for name in BIG:
        assert touched.one_by_one[name] == 0
        assert touched.by_index[name] <= ROWS_EACH * len(claims), touched


def check_closing(harness: Harness, connection: Connection) -> None:
    """Have the probes succeed: that writes their own rows and the circuits', not all that wait."""
    open_circuits(connection, harness)
    harness.wait(timedelta(microseconds=1))
    claims = Deliverer(harness).claim_within(connection)
    probes = [claim for claim in claims if claim.operator_code in {"due", "postponed"}]
    attempts = [Attempt(probe, Delivered(), TOOK, http_status=200) for probe in probes]
    closed: list[CircuitChange] = []
    touched = touched_by(
        connection,
        lambda: closed.extend(harness.record_within(connection, *attempts).circuit_changes),
    )

    assert [change.reason for change in closed] == [None, None]
    for name in BIG:
        assert touched.one_by_one[name] == 0
        assert touched.by_index[name] <= 10 * len(attempts), touched
