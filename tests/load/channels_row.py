"""How many events a second come in by the Celery queue, and how many by the lottery feed.

    python -m tests.load.channels_row [--events 20000]

One intake: the loop and the drain of the queue, each a thread as in production; real servers, the
messages in place before it starts. Printed are the moves of the Celery queue alone, and the Celery
queue and the lottery feed up to the commit.
"""

import argparse
import sys
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import uuid4

from redis import Redis
from sqlalchemy import Engine

from models.database.engine import open_engine
from models.events.stream_contract import STREAM
from models.intake.apply import BatchApplier
from models.migrations.runner import upgrade
from models.platform.clock import DatabaseClock
from producers.wall_clock import utc_now
from tests.support import databases
from tests.support.envelopes import task
from tests.support.harness import OPERATOR, PARKING_WINDOW, Harness
from tests.support.lottery import settlement
from tests.support.manual_clock import ManualClock
from tests.support.server_folders import roomy_memory
from tests.support.wait import eventually
from worker.intake.celery_queue import CeleryQueue, QueueDrain
from worker.intake.loop import AppliedBatch, Intake, IntakeConfig
from worker.intake.stream import Stream
from worker.local.servers import Servers, embedded_servers
from worker.process.queues import TICKETS_QUEUE

AT_ONCE = 1_000
LASTING_MAX = timedelta(minutes=5)
CONFIG = IntakeConfig(batch_size=500, block=timedelta(seconds=1), claim_idle=timedelta(seconds=30))


@dataclass(slots=True)
class Progress:
    """What the intake has applied so far."""

    applied: int = 0
    other: dict[str, int] = field(default_factory=dict)

    def add(self, batch: AppliedBatch) -> None:
        """Count a batch."""
        for (_, outcome), count in batch.applied.outcomes.items():
            if outcome == "applied":
                self.applied += count
            else:
                self.other[outcome] = self.other.get(outcome, 0) + count


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--events", type=int, default=20_000)
    events = parser.parse_args().events
    with embedded_servers(durable=False, within=roomy_memory()) as servers:
        say("celery queue, moves alone", moves(servers, events))
        say("celery queue, to the commit", intake(servers, events, queue))
        say("lottery feed, to the commit", intake(servers, events, feed))
    return 0


def say(what: str, rate: float) -> None:
    """Print one line."""
    sys.stdout.write(f"{what + ':':28s} {rate:9,.0f} events/s\n")
    sys.stdout.flush()


def moves(servers: Servers, events: int) -> float:
    """Move all from the queue to the stream; how many a second."""
    with Redis.from_url(servers.redis_url) as redis:
        queue(redis, events)
        queue_drain = CeleryQueue(redis)
        before = time.perf_counter()
        while queue_drain.drain().left:
            pass
        took = time.perf_counter() - before
        assert redis.xlen(STREAM) == events, "all of them moved"
        redis.flushall()
    return events / took


def intake(servers: Servers, events: int, fill: Callable[[Redis, int], None]) -> float:
    """Let an intake apply all that *fill* publishes; how many a second."""
    name = f"load_{fill.__name__}"
    url = databases.create(servers.database_url, name)
    upgrade(url)
    engine = open_engine(url, application_name="load", pool_size=2)
    Harness(engine, ManualClock()).add_operator()
    with Redis.from_url(servers.redis_url) as redis, Redis.from_url(servers.redis_url) as other:
        fill(redis, events)
        took = applied(engine, redis, other, events)
        redis.flushall()
    engine.dispose()
    databases.drop(servers.database_url, name)
    return events / took


def applied(engine: Engine, redis: Redis, other: Redis, events: int) -> float:
    """Run the intake until all is applied; the seconds it took."""
    progress, stop = Progress(), threading.Event()
    loop = Intake(
        stream=Stream(redis, consumer="load"),
        applier=BatchApplier(engine.begin, DatabaseClock(), parking_window=PARKING_WINDOW),
        config=CONFIG,
        notify=lambda: None,
        report=progress.add,
        alive=lambda: None,
    )
    threads = [
        threading.Thread(target=run, args=(stop,))
        for run in (loop.run, QueueDrain(CeleryQueue(other)).run)
    ]
    before = time.perf_counter()
    for thread in threads:
        thread.start()
    try:
        eventually(lambda: progress.applied >= events or progress.other, within=LASTING_MAX)
    finally:
        took = time.perf_counter() - before
        stop.set()
        for thread in threads:
            thread.join()
    assert not progress.other, f"the events should fit: {progress.other}"
    return took


def queue(redis: Redis, events: int) -> None:
    """Send tasks as Celery does: a ticket each."""
    facts = {"operator": OPERATOR, "net_payout": 500, "occurred_at": utc_now().isoformat()}
    put(
        redis,
        events,
        lambda number: (
            "LPUSH",
            TICKETS_QUEUE,
            task(kwargs={**facts, "ticket_id": str(number)}, headers={"id": str(uuid4())}),
        ),
    )


def feed(redis: Redis, events: int) -> None:
    """Send settlements as the lottery's backend does: a ticket each."""
    put(
        redis,
        events,
        lambda number: (
            *("XADD", STREAM, "*", "type", "LOTTERY_V2", "operator", OPERATOR, "event"),
            settlement(ticket_id=str(number)),
        ),
    )


def put(redis: Redis, events: int, command: Callable[[int], Iterable[str | bytes]]) -> None:
    """Send the commands, many in a round trip."""
    for first in range(0, events, AT_ONCE):
        with redis.pipeline(transaction=False) as pipe:
            for number in range(first, min(first + AT_ONCE, events)):
                pipe.execute_command(*command(number))  # type: ignore[no-untyped-call] # redis-py's
            pipe.execute()


if __name__ == "__main__":
    sys.exit(main())
