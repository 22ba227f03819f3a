"""The intake's loop, run in a thread of the test's own process."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial

from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from sqlalchemy import Engine, text

from models.events.stream_contract import STREAM
from models.intake.apply import apply_opened, open_entries
from models.platform.clock import DatabaseClock
from worker.intake.loop import Apply, Batch, Intake, IntakeConfig
from worker.intake.stream import Stream

PACE = IntakeConfig(
    chunk_size=100, block=timedelta(milliseconds=20), claim_idle=timedelta(milliseconds=400)
)
WINDOW = timedelta(minutes=15)
EVENTS = text("SELECT count(*) FROM ticket_event")


@dataclass(slots=True)
class Heard:
    """What the loop told its surroundings."""

    batches: list[Batch] = field(default_factory=list)
    hints: int = 0
    turns: int = 0

    def hint(self) -> None:
        """Count a hint."""
        self.hints += 1

    def turn(self) -> None:
        """Count a turn."""
        self.turns += 1


def applying(engine: Engine) -> Apply:
    """What applies a chunk, as the worker does."""
    return lambda opened, *, apart=False: apply_opened(
        engine.begin, opened, clock=DatabaseClock(), parking_window=WINDOW, apart=apart
    )


@contextmanager
def running(
    redis_url: str, apply: Apply, *, event_age_max: timedelta | None = None
) -> Iterator[Heard]:
    """Run the loop in a thread; at the end it must stop by itself."""
    heard, stop = Heard(), threading.Event()
    with Redis.from_url(redis_url, retry=Retry(NoBackoff(), 0)) as client:
        intake = Intake(
            source=Stream(client, consumer="under-test"),
            unpack=partial(open_entries, event_age_max=event_age_max),
            apply=apply,
            pace=PACE,
            notices_due=heard.hint,
            report=heard.batches.append,
            alive=heard.turn,
        )
        thread = threading.Thread(target=intake.run, args=(stop,))
        thread.start()
        try:
            yield heard
        finally:
            stop.set()
            thread.join(10)
            assert not thread.is_alive(), "the loop did not stop"


def publish(redis: Redis, operator: str, *tickets: str) -> None:
    """Put a win of each of *tickets* on the stream."""
    for ticket in tickets:
        event = {"action": "ticket_win", "data": {"operator": operator, "ticket_id": ticket}}
        redis.xadd(STREAM, {"event": json.dumps(event)})


def events(engine: Engine) -> int:
    """Count the events in the log."""
    with engine.begin() as connection:
        found: int = connection.execute(EVENTS).scalar_one()
    return found
