"""The records after a trial: published against applied against delivered, ticket by ticket."""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import cache

from redis import Redis
from sqlalchemy import Connection, Engine, TextClause, create_engine, text
from sqlalchemy.pool import NullPool

from producers.simulation.backends import PublishedSoFar
from producers.simulation.partner import LedgerEntry
from producers.simulation.reconciliation import Reconciliation, reconcile
from producers.simulation.verdict import Verdict, check_all_sequences
from tests.faults.cancelled import Cancelled, Span, cancelled
from worker.local.servers import Servers

OUTCOMES = text("SELECT outcome, count(*) FROM ticket_event GROUP BY outcome")
EVENT_IDS = text("SELECT event_id FROM ticket_event")
REPEATS = text("SELECT coalesce(sum(repeats), 0) FROM ticket_event")
RAW = text("SELECT reason, count(*) FROM rejected_input GROUP BY reason")
# A create whose outcome is unknown has its discard repeated once, half an hour later.
UNFINISHED = text("""
    SELECT (SELECT count(*) FROM notice
             WHERE ended = 'dead' OR (ended IS NULL AND NOT (
                   action = 'ticket_discard' AND due_at > clock_timestamp() + interval '5 min')))
         + (SELECT count(*) FROM ticket WHERE status = 'resulted' OR parked > 0)""")
EARLY = text("""
    SELECT count(*) FROM ticket t JOIN operator o ON o.id = t.operator
      JOIN notice n ON n.ticket = t.id AND n.generation = t.generation
       AND n.action IN ('ticket_win', 'ticket_lost', 'ticket_void', 'ticket_refund')
     WHERE t.status = 'closed' AND t.closed_at < n.ended_at + o.close_delay""")
LATEST = text("""
    SELECT coalesce(max(t.closed_at - n.ended_at - o.close_delay), interval '0')
      FROM ticket t JOIN operator o ON o.id = t.operator
      JOIN notice n ON n.ticket = t.id AND n.generation = t.generation
       AND n.action IN ('ticket_win', 'ticket_lost', 'ticket_void', 'ticket_refund')
     WHERE t.status = 'closed'""")


@dataclass(frozen=True, slots=True)
class Records:
    """What each side says. *lost*: published, confirmed, and nowhere to be found."""

    published: int
    outcomes: Counter[str]
    repeats: int
    raw: Counter[str]
    lost: tuple[str, ...]
    left_on_stream: int
    unfinished: int
    early: int
    latest_close: timedelta
    verdict: Verdict
    reconciliation: Reconciliation
    cancelled: Cancelled

    @property
    def balanced(self) -> bool:
        """Nothing lost, illegal, early or cancelled without cause, everything at its end."""
        return not (
            self.lost
            or self.left_on_stream
            or self.unfinished
            or self.early
            or not self.verdict.legal
            or not self.reconciliation.balanced
            or self.cancelled.without_cause
        )


def unfinished(servers: Servers) -> int:
    """Entries on the stream, notices not done and tickets not at their end, together."""
    with Redis.from_url(servers.redis_url) as redis:
        waiting = int(redis.xlen("ticket-events"))
    with asking(servers.database_url) as connection:
        return waiting + int(connection.execute(UNFINISHED).scalar_one())


@contextmanager
def asking(database_url: str) -> Iterator[Connection]:
    """A connection that is closed for good afterwards, whatever happens to it."""
    with _engine(database_url).connect() as connection:
        yield connection


@cache
def _engine(database_url: str) -> Engine:
    """It keeps no connection, but what it has learnt of the server: it is asked again and again."""
    return create_engine(database_url, poolclass=NullPool)


def compare_records(
    servers: Servers,
    published: PublishedSoFar,
    received: Sequence[LedgerEntry],
    *,
    close_delay: timedelta,
    partner_timeout: timedelta = timedelta(seconds=1),
    cuts: Sequence[Span] = (),
) -> Records:
    """Compare what was published with the event log, the tickets and the partner's ledger.

    *cuts*: when the way to the partner was disturbed on purpose.
    """
    with asking(servers.database_url) as connection:
        logged = set(connection.execute(EVENT_IDS).scalars())
        counts = {
            name: connection.execute(statement).scalar_one()
            for name, statement in (
                ("repeats", REPEATS),
                ("unfinished", UNFINISHED),
                ("early", EARLY),
                ("latest", LATEST),
            )
        }
        outcomes = _counted(connection, OUTCOMES)
        raw = _counted(connection, RAW)
        in_vain = cancelled(connection, received, cuts=cuts, timeout=partner_timeout)
    with Redis.from_url(servers.redis_url) as redis:
        left_on_stream = int(redis.xlen("ticket-events"))
    return Records(
        published=len(published.events),
        outcomes=outcomes,
        repeats=counts["repeats"],
        raw=raw,
        lost=tuple(
            event["event_id"] for event in published.events if event["event_id"] not in logged
        ),
        left_on_stream=left_on_stream,
        unfinished=counts["unfinished"],
        early=counts["early"],
        latest_close=counts["latest"],
        verdict=check_all_sequences(received, close_delay=close_delay),
        reconciliation=reconcile(published.events, received),
        cancelled=in_vain,
    )


def _counted(connection: Connection, statement: TextClause) -> Counter[str]:
    return Counter({str(row[0]): int(row[1]) for row in connection.execute(statement)})
