"""Events applied a second, from the stream to the commit: the limit, one intake, two intakes."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

from models.events.stream_contract import STREAM
from tests.load import bare_sql
from tests.load.environment import BenchEnvironment, Database
from tests.load.results import Samples
from tests.load.wave import fill
from tests.support.wait import eventually

BATCH = 500
LASTING_MAX = timedelta(minutes=10)


def measure(environment: BenchEnvironment, samples: Samples, *, rounds: int, events: int) -> None:
    """Take turns between the limit and the intake, on the same tables, emptied in between."""
    with environment.database("intake") as database:
        _bare(database, clients=1, batch=BATCH, events=events // 4)  # the files are there now
        for _ in range(rounds):
            for clients in (1, 2):
                for batch in (BATCH, 2 * BATCH):
                    database.empty()
                    rate = _bare(database, clients=clients, batch=batch, events=events)
                    samples.add(f"bare SQL, clients {clients}, batch {batch}, events/s", rate)
                with running_intakes(database, clients) as applied:
                    samples.add(f"Slipway, intakes {clients}, events/s", applied(events))
            for name, clients in (("intake", 1), ("two_intakes", 2)):
                bare = samples.last(f"bare SQL, clients {clients}, batch {BATCH}, events/s")
                samples.ratio(name, samples.last(f"Slipway, intakes {clients}, events/s") / bare)


def _bare(database: Database, *, clients: int, batch: int, events: int) -> float:
    return bare_sql.rate(database.url, clients=clients, batch=batch, events=events)


@contextmanager
def running_intakes(database: Database, intakes: int) -> Iterator[Callable[[int], float]]:
    """Run intakes; what is given publishes so many events and tells how many a second went in."""
    with database.workers(*["intake"] * intakes), database.environment.redis() as redis:

        def settled() -> bool:
            return int(redis.xlen(STREAM)) == 0

        def applied(events: int) -> float:
            before = time.perf_counter()
            fill(redis, events)
            eventually(settled, within=LASTING_MAX)
            return events / (time.perf_counter() - before)

        database.empty()
        fill(redis, 20 * BATCH, name="W")  # connections, prepared statements
        eventually(settled, within=LASTING_MAX)
        database.empty()
        yield applied
