"""Whether a batch costs the same however many were removed before, also if vacuum is held back.

    python -m tests.load.removal_batches [--old 50000] [--vacuum]

A stock of closed tickets is removed whole, twice: each batch begins at the oldest, and where the
one before ended. Meanwhile another's long transaction (a report, a dump) keeps PostgreSQL from
vacuuming what is removed; with --vacuum there is none. Prints what the backend took of a
processor for each batch, by tenths of the removal, as Markdown.
"""

import argparse
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from statistics import median
from typing import Final

from sqlalchemy import Connection, text

from models.platform.clock import DatabaseClock
from models.sweeps.retention import Position, remove_expired
from tests.load.environment import Database, open_environment
from tests.load.results import say
from tests.load.retention_row import stock

BATCH: Final = 500  # tickets removed in one transaction, as `SLIPWAY_SWEEP_BATCH` says
PARTS: Final = 10
RETENTION: Final = timedelta(days=90)  # the stock closed 100 days ago
PID: Final = text("SELECT pg_backend_pid()")
UNLIMITED: Final = text("SET LOCAL idle_in_transaction_session_timeout = 0")
LOOK: Final = text("SELECT count(*) FROM operator")
OLDEST, ON = "from the oldest", "from the last one's end"


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


@dataclass(frozen=True, slots=True)
class Batch:
    """What one batch took."""

    removed: int
    processor: float  # seconds of its backend
    clock: float


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--old", type=int, default=50_000, help="closed tickets in the tables")
    parser.add_argument("--vacuum", action="store_true", help="nothing holds it back")
    given = parser.parse_args()
    tenths: dict[str, list[str]] = {}
    with open_environment() as environment, environment.database("batches") as database:
        for way in (OLDEST, ON):
            stock(database, given.old)
            with held_back(database, held=not given.vacuum):
                tenths[way] = by_tenths(remove_all(database, keep_position=way == ON))
            say(f"{way}: {' | '.join(tenths[way])}")
    say(f"| tenth of {given.old:,} | {' | '.join(tenths)} |")
    say(f"|---|{'---|' * len(tenths)}")
    for number, cells in enumerate(zip(*tenths.values(), strict=True), 1):
        say(f"| {number} | {' | '.join(cells)} |")
    return 0


@contextmanager
def held_back(database: Database, *, held: bool) -> Iterator[None]:
    """Keep a snapshot open, as a dump does."""
    isolated = database.engine.execution_options(isolation_level="REPEATABLE READ")
    with isolated.connect() as connection:
        if held:
            connection.execute(UNLIMITED)
            connection.execute(LOOK)
        yield


def remove_batch(connection: Connection, position: Position | None) -> int:
    """Remove a batch as the sweep does; return how many."""
    now = DatabaseClock().now(connection)
    removed = remove_expired(connection, before=now - RETENTION, limit=BATCH, position=position)
    connection.commit()
    return removed


def remove_all(database: Database, *, keep_position: bool = True) -> list[Batch]:
    """Remove all that is old, without pauses."""
    batches: list[Batch] = []
    position = Position()
    with database.engine.connect() as connection:
        backend = Backend(connection)
        before, began = backend.seconds(), time.perf_counter()
        while removed := remove_batch(connection, position if keep_position else None):
            after, ended = backend.seconds(), time.perf_counter()
            batches.append(Batch(removed, after - before, ended - began))
            before, began = after, ended
    return batches


def by_tenths(batches: list[Batch]) -> list[str]:
    """Word what a batch took: the median of the processor, and the longest by the clock."""
    size = -(-len(batches) // PARTS)
    parts = [batches[first : first + size] for first in range(0, len(batches), size)]
    return [
        f"{median(batch.processor for batch in part) * 1e3:.1f} ms"
        f" (longest by the clock {max(batch.clock for batch in part) * 1e3:,.0f})"
        for part in parts
    ]


if __name__ == "__main__":
    sys.exit(main())
