"""What the removal of old tickets costs those that live: events, notices and closings beside it.

    python -m tests.load.retention_row [--old 300000] [--events 30000] [--rounds 3]

Rounds take turns. In each, the same stock of closed tickets lies in the tables, a wave of results
goes through intake and deliverer, and a ticket comes due every 50 ms. In every other round the
stock is older than `SLIPWAY_RETENTION`, and the sweep removes it meanwhile. Prints medians, then
how fast it removes when nothing else goes on.
"""

import argparse
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import text

from models.events.stream_contract import STREAM
from models.platform.clock import DatabaseClock
from tests.load.environment import LONG, Database, open_environment
from tests.load.results import say
from tests.load.sink import open_sink
from tests.load.wave import fill
from tests.support.procfile_processes import Running
from tests.support.wait import eventually
from worker.sweep.round import Sweep

WORKERS = ("intake", "deliver", "sweep", "beat")
KEPT, REMOVED = "kept", "removed"
RETENTION = {KEPT: "900d", REMOVED: "90d"}  # the stock closed 100 days ago
STARTING_MAX = timedelta(seconds=60)
WARM = 2_000  # events before each round: connections, prepared statements
UNCHECKED = text("SET LOCAL session_replication_role = replica")
# Tickets with a whole life: opened, won and closed, with both notices delivered.
STOCK = text("""
    WITH tickets AS (
        INSERT INTO ticket (operator, ticket_id, status, result, generation, notices, settled_at,
                            closed_at, details, created_at, changed_at)
        SELECT 1, 'old-' || n, 'closed', 'won', 1, 2, at, at,
               jsonb_build_object('ticket_code', md5(CAST(n AS text)), 'player_id', n % 100000,
                                  'price', 500, 'stake', 444, 'currency', 'EUR',
                                  'ticket_type', 'quickbet', 'gross_payout', 1200,
                                  'net_payout', 1145), at, at
          FROM generate_series(CAST(:low AS int), CAST(:high AS int)) AS n,
               LATERAL (SELECT now() - interval '100 days' + n * interval '1 ms' AS at) moment
     RETURNING id, closed_at),
    events AS (
        INSERT INTO ticket_event (ticket, event_id, action, data, order_time, received_at, outcome,
                                  status_before, status_after, decided_at, operator)
        SELECT t.id, action || t.id, action, '{"operator":"acme","ticket_id":"old"}', t.closed_at,
               t.closed_at, 'applied', 'open', 'open', t.closed_at, 1
          FROM tickets t, unnest(ARRAY['ticket_open', 'ticket_win']) AS action)
    INSERT INTO notice (ticket, operator, number, action, generation, body, head, due_at,
                        claims, tries, ended, ended_at, created_at, took_ms, http_status)
    SELECT t.id, 1, number, action, 1,
           '{"action":"' || action || '","data":{"operator":"acme","ticket_id":"old"}}',
           false, t.closed_at, 1, 1, 'delivered', t.closed_at, t.closed_at, 5, 200
      FROM tickets t,
           (VALUES (1, 'ticket_win'), (2, 'ticket_closed')) AS notices (number, action)""")
AT_ONCE = 200_000
# Tickets that come due one after the other while the round lasts.
DUE = text("""
    INSERT INTO ticket (operator, ticket_id, status, result, generation, notices, settled_at,
                        close_due_at)
    SELECT 1, 'due-' || n, 'resulted', 'won', 1, 1, now(), now() + n * interval '50 ms'
      FROM generate_series(1, CAST(:due AS int)) AS n""")
DUE_SECONDS, DUE_EACH = 120, 20
LEFT = text("SELECT count(*) FROM ticket WHERE ticket_id LIKE 'old-%'")
UNDELIVERED = text("""
    SELECT 1 FROM notice WHERE operator = 1 AND head AND ended IS NULL AND action = 'ticket_win'
     LIMIT 1""")
LATEST_CLOSE = text("""
    SELECT coalesce(max(extract(epoch FROM changed_at - at)), 0)
      FROM (SELECT coalesce(closed_at, now()) AS changed_at,
                   settled_at + CAST(substr(ticket_id, 5) AS int) * interval '50 ms' AS at
              FROM ticket WHERE ticket_id LIKE 'due-%') due WHERE at < now()""")


@dataclass(frozen=True, slots=True)
class Round:
    """What one round gave."""

    applied: float  # events a second
    delivered: float  # of the same wave, a second, from its publication on
    latest_close: float  # seconds after its time
    removed: float  # tickets a second


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--old", type=int, default=300_000, help="closed tickets in the tables")
    parser.add_argument("--events", type=int, default=30_000, help="of each wave")
    parser.add_argument("--rounds", type=int, default=3, help="of each kind")
    given = parser.parse_args()
    rounds: defaultdict[str, list[Round]] = defaultdict(list)
    with (
        open_environment() as environment,
        open_sink() as sink,
        environment.database("retention", sink=sink.url) as database,
    ):
        for number in range(given.rounds):
            for kind in (KEPT, REMOVED) if number % 2 else (REMOVED, KEPT):
                round_ = play(database, kind, old=given.old, events=given.events)
                say(f"{kind}: {round_}")
                rounds[kind].append(round_)
        bare = removal_alone(database, old=given.old)
    say(table(rounds, bare, old=given.old))
    return 0


def play(database: Database, kind: str, *, old: int, events: int) -> Round:
    """One round, all processes fresh."""
    stock(database, old)
    with running(database, kind), database.environment.redis() as redis:
        wave(database, redis_events=WARM, name="W")
        with database.engine.begin() as connection:
            connection.execute(DUE, {"due": DUE_SECONDS * DUE_EACH})
        before, began = left(database), time.perf_counter()
        fill(redis, events, name="T")
        eventually(lambda: redis.xlen(STREAM) == 0, within=LONG)
        applied = time.perf_counter() - began
        eventually(lambda: is_delivered(database), within=LONG)
        took = time.perf_counter() - began
        still = left(database)
        with database.engine.begin() as connection:
            late = float(connection.execute(LATEST_CLOSE).scalar_one())
    assert kind == KEPT or 0 < still < before, "the removal was to last for the whole wave"
    return Round(events / applied, events / took, late, (before - still) / took)


def wave(database: Database, *, redis_events: int, name: str) -> None:
    """Have some events applied and their notices delivered."""
    with database.environment.redis() as redis:
        fill(redis, redis_events, name=name)
        eventually(lambda: redis.xlen(STREAM) == 0, within=LONG)
    eventually(lambda: is_delivered(database), within=LONG)


@contextmanager
def running(database: Database, kind: str) -> Iterator[None]:
    """Run the processes; the retention is longer, or shorter, than the stock is old."""
    env = database.environment.environment(database.url)
    env |= {"SLIPWAY_RETENTION": RETENTION[kind]}
    folder = database.environment.folder
    with ExitStack() as ending:
        processes = [Running(name, env=env, folder=folder) for name in WORKERS]
        for process in processes:
            ending.callback(process.kill)
        eventually(lambda: any(folder.glob("slipway-*/intake@*.ready")), within=STARTING_MAX)
        yield
        for process in processes:
            process.tell_to_end()
        for process in processes:
            assert process.code() == 0, process.wrote()


def stock(database: Database, old: int) -> None:
    """Put the closed tickets there, and nothing else."""
    database.empty()
    database.tidy("TRUNCATE tombstone")
    put_stock(database, old)
    database.tidy("VACUUM ANALYZE")
    database.tidy("CHECKPOINT")


def put_stock(database: Database, old: int) -> None:
    """Add the closed tickets to what is there."""
    for low in range(1, old + 1, AT_ONCE):
        with database.engine.begin() as connection:
            connection.execute(UNCHECKED)
            connection.execute(STOCK, {"low": low, "high": min(low + AT_ONCE - 1, old)})


def removal_alone(database: Database, *, old: int) -> float:
    """Tickets removed a second by rounds of the sweep, without the pauses between them."""
    stock(database, old)
    clock = DatabaseClock()
    sweep = Sweep(
        transaction=database.engine.begin,
        clock=clock,
        watermark_source=_NothingWaiting(database),
        settings=database.environment.settings(database.url),
    )
    working = 0.0
    while left(database):
        before = time.perf_counter()
        sweep.round()
        working += time.perf_counter() - before
    return old / working


@dataclass(frozen=True, slots=True)
class _NothingWaiting:
    """A source of the watermark for a stream on which no entry waits."""

    database: Database

    def watermark(self, now: datetime) -> datetime | None:  # noqa: ARG002 - as the watermark's source
        with self.database.engine.begin() as connection:
            return DatabaseClock().now(connection)


def is_delivered(database: Database) -> bool:
    """Whether the partner took all results."""
    with database.engine.begin() as connection:
        return connection.execute(UNDELIVERED).first() is None


def left(database: Database) -> int:
    """How many of the stock are there."""
    with database.engine.begin() as connection:
        return int(connection.execute(LEFT).scalar_one())


def table(rounds: dict[str, list[Round]], bare: float, *, old: int) -> str:
    """Format the medians as Markdown."""
    names = {
        "applied": "events applied/s",
        "delivered": "notices delivered/s",
        "latest_close": "latest close, s after its time",
        "removed": "tickets removed/s",
    }
    lines = [
        f"| beside {old:,} closed tickets | they stay | they are removed | ratio |",
        "|---|---|---|---|",
    ]
    for field, name in names.items():
        kept, removed = (
            statistics.median(getattr(round_, field) for round_ in rounds[kind])
            for kind in (KEPT, REMOVED)
        )
        ratio = f"{removed / kept:.2f}" if kept else "-"
        lines.append(f"| {name} | {kept:,.1f} | {removed:,.1f} | {ratio} |")
    lines.append(f"| tickets removed/s, nothing else going on, no pauses | | {bare:,.0f} | |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
