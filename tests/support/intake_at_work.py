"""The intake's loop, run in a thread of the test's own process."""

import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Protocol

from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from sqlalchemy import Engine, text

from models.events.event import Entry
from models.events.stream_contract import STREAM
from models.intake.apply import Applied, BatchApplier, DecodedBatch, decode_entries
from models.platform.clock import DatabaseClock
from worker.intake.loop import AppliedBatch, Intake, IntakeConfig
from worker.intake.stream import Stream

CONFIG = IntakeConfig(
    batch_size=100, block=timedelta(milliseconds=20), claim_idle=timedelta(milliseconds=400)
)
WINDOW = timedelta(minutes=15)
EVENTS = text("SELECT count(*) FROM ticket_event")


class Apply(Protocol):
    """Applies a batch, as `BatchApplier.apply` does."""

    def __call__(self, batch: DecodedBatch, /, *, isolate_unclear: bool = False) -> Applied: ...


@dataclass(frozen=True, slots=True)
class TestedApplier:
    """Applies batches with what a test passes."""

    apply_batch: Apply
    event_age_max: timedelta | None = None

    def decode(self, entries: Sequence[Entry]) -> DecodedBatch:
        """Decode as the worker does."""
        return decode_entries(entries, event_age_max=self.event_age_max)

    def apply(self, batch: DecodedBatch, *, isolate_unclear: bool = False) -> Applied:
        """Apply as the test says."""
        return self.apply_batch(batch, isolate_unclear=isolate_unclear)


@dataclass(slots=True)
class LoopCalls:
    """What the loop called."""

    batches: list[AppliedBatch] = field(default_factory=list)
    notified: int = 0
    turns: int = 0

    def notify(self) -> None:
        """Count a wakeup."""
        self.notified += 1

    def alive(self) -> None:
        """Count a turn."""
        self.turns += 1


def applying(engine: Engine) -> Apply:
    """Return what applies a batch, as the worker does."""
    return BatchApplier(engine.begin, DatabaseClock(), parking_window=WINDOW).apply


@contextmanager
def running(
    redis_url: str, apply: Apply, *, event_age_max: timedelta | None = None
) -> Iterator[LoopCalls]:
    """Run the loop in a thread; at the end it must stop by itself."""
    calls, stop = LoopCalls(), threading.Event()
    with Redis.from_url(redis_url, retry=Retry(NoBackoff(), 0)) as client:
        intake = Intake(
            stream=Stream(client, consumer="under-test"),
            applier=TestedApplier(apply, event_age_max),
            config=CONFIG,
            notify=calls.notify,
            report=calls.batches.append,
            alive=calls.alive,
        )
        thread = threading.Thread(target=intake.run, args=(stop,))
        thread.start()
        try:
            yield calls
        finally:
            stop.set()
            thread.join(60)
            assert not thread.is_alive(), "the loop did not stop"


def publish(redis: Redis, operator: str, *tickets: str) -> None:
    """Put a win of each of *tickets* on the stream."""
    for ticket in tickets:
        event = {"action": "ticket_win", "data": {"operator": operator, "ticket_id": ticket}}
        redis.xadd(STREAM, {"event": json.dumps(event)})


def events(engine: Engine) -> int:
    """Count the events in the log."""
    with engine.begin() as connection:
        count: int = connection.execute(EVENTS).scalar_one()
    return count
