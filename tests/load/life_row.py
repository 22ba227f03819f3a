"""Whole lives of tickets: win applied, notice delivered, closed, closed delivered.

Many partners, each with its default limits: the deliverers of both cores
find work. The close delay is short of what the wave takes, so that it is waited for only once. The
end of a wave is when the sink has read every `ticket_closed`, and the database agrees; the peer's
waves end the same way.
"""

import time
from datetime import timedelta

from sqlalchemy import text

from tests.load.environment import Database
from tests.load.sink import Sink
from tests.load.wave import fill
from tests.support.wait import eventually

CORES = 2
OPERATORS = 32
WORKERS = ("intake",) * CORES + ("deliver",) * CORES + ("sweep", "beat")
CLOSE_DELAY = timedelta(seconds=0.2)
WARM = 640
LASTING_MAX = timedelta(minutes=5)
LIVED = "SELECT count(*) FROM notice WHERE action = 'ticket_closed' AND ended = 'delivered'"


def lives(database: Database, sink: Sink, events: int) -> float:
    """Whole lives a second, from the stream to the last receipt, recorded."""
    with database.workers(*WORKERS), database.environment.redis() as redis:
        database.empty()
        before = sink.counts().closed
        fill(redis, WARM, name="W", operators=OPERATORS)
        until_closed(database, sink, before + WARM, LIVED, WARM)
        database.empty()
        began = time.perf_counter()
        fill(redis, events, operators=OPERATORS)
        until_closed(database, sink, before + WARM + events, LIVED, events)
        return events / (time.perf_counter() - began)


def until_closed(database: Database, sink: Sink, closed: int, question: str, count: int) -> None:
    """Wait until the partner read so many `ticket_closed`, then until *question* counts its own.

    The partner is asked first, because it costs nothing: counting rows over and over would.
    """
    eventually(lambda: sink.counts().closed >= closed, within=LASTING_MAX)
    until_counted(database, question, count)


def until_counted(database: Database, question: str, count: int) -> None:
    """Wait until the database counts so many."""

    def there() -> bool:
        with database.engine.begin() as connection:
            return int(connection.execute(text(question)).scalar_one()) >= count

    eventually(there, within=LASTING_MAX)
