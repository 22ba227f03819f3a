"""What a removal costs by the processor, what it costs batches beside it, and what bloat it leaves.

    python -m tests.load.removal_row [--old 60000] [--events 3000] [--rounds 5]

For machines on which other things run: only the processor time of PostgreSQL's own backends is
counted. One applies batches of events; in every other round another one removes closed tickets as
fast as it can, which is more than the sweep does, whose share of the time is a tenth. Then all is
removed and vacuumed, and the same stock put there again, several times: what grows is bloat.
"""

import argparse
import statistics
import sys
import threading
from collections import defaultdict
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from sqlalchemy import Connection, text

from models.events.event import Entry
from models.events.stream_contract import EVENT_FIELD
from models.intake.apply import decode_entries
from models.intake.batch import apply_events
from models.platform.clock import DatabaseClock
from models.sweeps.retention import remove_expired
from tests.load.environment import OPERATOR, Database, open_environment
from tests.load.results import say
from tests.load.retention_row import STOCK, UNCHECKED, left, stock

BATCH = 500  # events, and tickets removed, in one transaction
CYCLES = 3
VACUUMS = 2  # an index's empty pages are free for use after the second
NEXT = text("SELECT pg_current_xact_id()")
KEPT, REMOVED = "kept", "removed"
RETENTION = timedelta(days=90)  # the stock closed 100 days ago
WINDOW = timedelta(minutes=15)
PID = text("SELECT pg_backend_pid()")
TABLES = ("ticket", "ticket_event", "notice", "delivery_attempt")
SIZES = text("""
    SELECT sum(pg_total_relation_size(CAST(name AS regclass)))
      FROM unnest(CAST(:tables AS text[])) AS name""")


@dataclass(frozen=True, slots=True)
class Backend:
    """A session, and the processor time that its backend has taken."""

    connection: Connection

    def seconds(self) -> float:
        """The time on a processor so far."""
        pid = self.connection.execute(PID).scalar_one()
        self.connection.commit()
        on_processor = Path(f"/proc/{pid}/schedstat").read_text(encoding="ascii").split()[0]
        return int(on_processor) / 1e9


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--old", type=int, default=60_000, help="closed tickets in the tables")
    parser.add_argument("--events", type=int, default=3_000, help="of each round")
    parser.add_argument("--rounds", type=int, default=5, help="of each kind")
    given = parser.parse_args()
    with open_environment() as environment, environment.database("removal") as database:
        stock(database, given.old)
        applied = in_turns(database, events=given.events, rounds=given.rounds)
        database.empty()
        filled, emptied, ticket = [], [], 0.0
        for _ in range(CYCLES):
            put(database, given.old)
            filled.append(size(database))
            ticket = remove_all(database)
            for _ in range(VACUUMS):
                database.tidy("VACUUM ANALYZE")
                with database.engine.begin() as connection:
                    connection.execute(NEXT)
            emptied.append(size(database))
    kept, removed = (statistics.median(applied[kind]) * 1e6 for kind in (KEPT, REMOVED))
    say(
        f"PostgreSQL's processor time for an event: {kept:.1f} us, {removed:.1f} us beside a"
        f" removal ({removed / kept:.3f}); for a ticket removed: {ticket * 1e6:.1f} us"
    )
    for number, (full, empty) in enumerate(zip(filled, emptied, strict=True), 1):
        say(
            f"stock {number} of {given.old:,} closed tickets: {full / 1e6:,.1f} MB with indexes;"
            f" removed and vacuumed: {empty / 1e6:,.1f} MB"
        )
    return 0


def in_turns(database: Database, *, events: int, rounds: int) -> dict[str, list[float]]:
    """Apply events with and without a removal beside it; seconds of the processor for each."""
    seconds: defaultdict[str, list[float]] = defaultdict(list)
    with database.engine.connect() as connection:
        backend = Backend(connection)
        apply_round(connection, events, name="warm")
        for number in range(rounds):
            for kind in (KEPT, REMOVED) if number % 2 else (REMOVED, KEPT):
                stop = threading.Event()
                beside = threading.Thread(target=remove_until, args=(database, stop))
                if kind == REMOVED:
                    beside.start()
                before = backend.seconds()
                apply_round(connection, events, name=f"{kind}{number}")
                seconds[kind].append((backend.seconds() - before) / events)
                assert kind == KEPT or left(database), "the stock was to last"
                stop.set()
                if kind == REMOVED:
                    beside.join()
    return seconds


def apply_round(connection: Connection, events: int, *, name: str) -> None:
    """Apply wins of new tickets, in batches."""
    for first in range(0, events, BATCH):
        now = DatabaseClock().now(connection)
        at = int(now.timestamp() * 1000)
        entries = [
            Entry(f"{at}-{number}", {EVENT_FIELD: win(f"{name}-{number}")}, read_at=now)
            for number in range(first, first + BATCH)
        ]
        apply_events(connection, decode_entries(entries).events, now=now, parking_window=WINDOW)
        connection.commit()


def win(ticket_id: str) -> bytes:
    """Write a win."""
    data = f'{{"operator":"{OPERATOR}","ticket_id":"{ticket_id}"}}'
    return f'{{"event_id":"win","action":"ticket_win","data":{data}}}'.encode()


def remove_batch(connection: Connection) -> int:
    """Remove a batch as the sweep does; return how many."""
    now = DatabaseClock().now(connection)
    removed = remove_expired(connection, before=now - RETENTION, limit=BATCH)
    connection.commit()
    return removed


def remove_until(database: Database, stop: threading.Event) -> None:
    """Remove batches without a pause."""
    with database.engine.connect() as connection:
        while not stop.is_set() and remove_batch(connection):
            pass


def remove_all(database: Database) -> float:
    """Remove what is left; seconds of the processor for each ticket."""
    with database.engine.connect() as connection:
        backend = Backend(connection)
        before, removed = backend.seconds(), 0
        while batch := remove_batch(connection):
            removed += batch
        return (backend.seconds() - before) / removed


def put(database: Database, old: int) -> None:
    """Put the closed tickets there, into what was given back before."""
    database.tidy("TRUNCATE tombstone")
    for statement in STOCK.values():
        with database.engine.begin() as connection:
            connection.execute(UNCHECKED)
            connection.execute(statement, {"old": old})


def size(database: Database) -> int:
    """Bytes of the tables with their indexes."""
    with database.engine.begin() as connection:
        return int(connection.execute(SIZES, {"tables": list(TABLES)}).scalar_one())


if __name__ == "__main__":
    sys.exit(main())
