"""What PgBouncer costs: processor time of an event, directly and through it, in batches of 20, 500.

    python -m tests.load.pooler_cost [--events 10000] [--rounds 3]

Real servers and an intake as the Procfile starts it; the four cases take turns. Processor time
hardly depends on what else the machine does. Prints a table in Markdown: the median of the rounds
and their range, in microseconds.
"""

import argparse
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median
from typing import Final

from sqlalchemy import text

from tests.load.environment import Database, open_environment
from tests.load.intake_rows import LASTING_MAX
from tests.load.results import say
from tests.load.wave import fill
from tests.support.pooler import pgbouncer
from tests.support.processes import parent_of
from tests.support.server_folders import passable_folder
from tests.support.wait import eventually

BATCHES: Final = (20, 500)
WARM: Final = 1_000
TICKS: Final = os.sysconf("SC_CLK_TCK")


@dataclass(slots=True)
class Cost:
    """Microseconds of each event, a value for each round."""

    intake: list[float] = field(default_factory=list)
    postgres: list[float] = field(default_factory=list)
    pgbouncer: list[float] = field(default_factory=list)

    @property
    def whole(self) -> list[float]:
        """All three together."""
        return [sum(each) for each in zip(self.intake, self.postgres, self.pgbouncer, strict=True)]


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--events", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    costs = {(batch, pooled): Cost() for batch in BATCHES for pooled in (False, True)}
    with open_environment() as environment, environment.database("pooler") as database:
        for _ in range(given.rounds):
            for (batch, pooled), cost in costs.items():
                measure(database, cost, batch=batch, pooled=pooled, events=given.events)
    say("| batch | way | intake | PostgreSQL | PgBouncer | all | range |")
    say("|---|---|---|---|---|---|---|")
    for (batch, pooled), cost in costs.items():
        parts = (cost.intake, cost.postgres, cost.pgbouncer, cost.whole)
        cells = " | ".join(f"{median(part):.0f}" for part in parts)
        way = "PgBouncer" if pooled else "directly"
        say(f"| {batch} | {way} | {cells} | {min(cost.whole):.0f} to {max(cost.whole):.0f} |")
    return 0


def measure(database: Database, cost: Cost, *, batch: int, pooled: bool, events: int) -> None:
    """Apply *events*, and add to *cost* what each of them took."""
    at = replace(database.environment, more={"chunk_size": str(batch)})
    server = postgres_of(database)
    with way(database, pooled=pooled) as (url, pooler):
        through = Database(at, url, database.engine)
        database.empty()
        with through.workers("intake") as (intake,), at.redis() as redis:

            def apply(count: int, name: str) -> None:
                fill(redis, count, name=name)
                eventually(lambda: redis.xlen("ticket-events") == 0, within=LASTING_MAX)

            apply(WARM, "W")
            before = [spent(pid) for pid in (intake, server, pooler)]
            apply(events, "T")
            after = [spent(pid) for pid in (intake, server, pooler)]
    for part, begun, ended in zip(
        (cost.intake, cost.postgres, cost.pgbouncer), before, after, strict=True
    ):
        part.append((ended - begun) * 1e6 / events)


@contextmanager
def way(database: Database, *, pooled: bool) -> Iterator[tuple[str, int]]:
    """Give the address, and the process of the pooler; 0: there is none."""
    if not pooled:
        yield database.url, 0
        return
    with passable_folder() as folder, pgbouncer(database.url, folder, mode="transaction") as url:
        (pid,) = [each for each in children(os.getpid()) if name_of(each) == "pgbouncer"]
        yield url, pid


def postgres_of(database: Database) -> int:
    """The first process of the server."""
    with database.engine.connect() as connection:
        return parent_of(connection.execute(text("SELECT pg_backend_pid()")).scalar_one())


def spent(pid: int) -> float:
    """Seconds of a processor that a process, its children and those that ended have had."""
    if not pid:
        return 0.0
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / TICKS + sum(spent(each) for each in children(pid))


def children(pid: int) -> Iterator[int]:
    """The processes that *pid* has started."""
    for entry in Path(f"/proc/{pid}/task").iterdir():
        yield from map(int, (entry / "children").read_text().split())


def name_of(pid: int) -> str:
    """What the process is called."""
    return Path(f"/proc/{pid}/comm").read_text().strip()


if __name__ == "__main__":
    sys.exit(main())
