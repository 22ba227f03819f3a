"""The intake loop: read a batch, decode it, apply it, acknowledge it, notify the deliverers.

`Intake.run_batch` is the whole way; each verb of it is a method below. While one batch is applied
the next one is read, and started if the two have no ticket in common. The loop ends when it is told
to stop and at no other time. Whatever fails, an entry stays pending in Redis until the transaction
that applied it is committed.
"""

import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from itertools import count
from threading import Event, Thread
from typing import Final, Protocol

from redis.exceptions import RedisError

from models.database.errors import UNEXPLAINED, UNEXPLAINED_TRIES, Blame, blame, error_name
from models.events.event import Entry
from models.intake.apply import Applied, DecodedBatch, Tickets
from models.platform.backoff import Backoff
from models.tracing.tracer import Tracer
from worker.intake.spans import BatchSpans
from worker.intake.stream import Stream
from worker.process.outage import Outage, reason_of

log = logging.getLogger(__name__)

BATCHES_MAX: Final = 2  # at the same time; each takes a connection to the database
FINISHING_MAX: Final = timedelta(seconds=30)  # for running batches; each statement has a limit
CLEANUP_INTERVAL: Final = timedelta(minutes=10)
CONSUMER_IDLE_MAX: Final = timedelta(hours=1)  # a running consumer reads every second


class Applier(Protocol):
    """What the loop needs of `models.intake.apply.BatchApplier`, which explains both methods."""

    def decode(self, entries: Sequence[Entry]) -> DecodedBatch: ...  # noqa: D102 - see BatchApplier
    def apply(self, batch: DecodedBatch, *, isolate_unclear: bool = False) -> Applied: ...  # noqa: D102 - see BatchApplier


@dataclass(frozen=True, slots=True)
class IntakeConfig:
    """The size of a batch, and the times that the loop keeps."""

    batch_size: int
    block: timedelta  # how long a read waits for a first entry
    claim_idle: timedelta  # an entry that is pending for longer was abandoned by its consumer

    @property
    def reclaim_interval(self) -> timedelta:
        """How often to look for abandoned entries."""
        return min(self.claim_idle, timedelta(seconds=5))

    @property
    def hold_max(self) -> timedelta:
        """How long a batch is kept while the database is unavailable, before it is released."""
        return self.claim_idle / 2


@dataclass(frozen=True, slots=True)
class AppliedBatch:
    """A batch that was applied and acknowledged."""

    applied: Applied
    entries: int
    took: timedelta
    waited: timedelta | None = None  # its oldest entry, from XADD to XACK, by Redis' clock


class BatchExecutor:
    """Runs up to *batches_max* batches at once: one is decided while another waits for PostgreSQL.

    Never two that have a ticket in common: the earlier one ends before the later one starts.
    Not thread-safe.
    """

    def __init__(self, batches_max: int) -> None:
        self._batches_max = batches_max
        self._running: deque[tuple[Tickets, Thread]] = deque()  # the oldest first

    def submit(self, tickets: Tickets, process: Callable[[], object]) -> None:
        """Start *process*, the work on a batch of *tickets*, as soon as these rules permit."""
        self.wait_for_room()
        while any(not tickets.isdisjoint(running) for running, _ in self._running):
            self._join_oldest()
        thread = Thread(target=process, name="intake-batch", daemon=True)
        thread.start()
        self._running.append((tickets, thread))

    def wait_for_room(self) -> None:
        """Wait until a batch may start, unless it has a ticket in common with a running one."""
        while len(self._running) == self._batches_max:
            self._join_oldest()

    def drain(self) -> None:
        """Wait until no batch is running."""
        while self._running:
            self._join_oldest()

    def _join_oldest(self) -> None:
        _, thread = self._running.popleft()
        thread.join()


class Intake:
    """Moves entries from the stream into the database until it is told to stop."""

    def __init__(
        self,
        *,
        stream: Stream,
        applier: Applier,
        config: IntakeConfig,
        notify: Callable[[], None],
        report: Callable[[AppliedBatch], None],
        alive: Callable[[], None],
        tracer: Tracer | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Prepare; *notify*, *report* and *alive* must neither block nor raise.

        These, `applier.apply`, `stream.acknowledge` and `stream.release` are called by several
        threads.
        """
        self._stream = stream
        self._applier = applier
        self._config = config
        self._notify = notify
        self._report = report
        self._alive = alive
        self._tracer = tracer
        self._monotonic = monotonic
        self._executor = BatchExecutor(BATCHES_MAX)
        self._last_was_full = False
        self._batch_backoff = Backoff()
        self._outage = Outage(log, "redis_unavailable", "redis_available")
        self._last_applied_at = monotonic()
        self._next_reclaim_at = monotonic()  # at once: a predecessor may have died
        self._next_cleanup_at = monotonic()

    def run(self, stop: Event) -> None:
        """Work until *stop*, then finish the running batches and return. Raises nothing."""
        backoff = Backoff()
        while not stop.is_set():
            self._alive()
            self._survive(partial(self.run_batch, stop), backoff, stop)
        self._executor.drain()
        try:
            self._stream.remove_consumer()
        except RedisError as error:  # another process removes it after an hour
            log.info("consumer_not_removed", extra={"error": error_name(error)})

    def run_batch(self, stop: Event) -> None:
        """Take one batch from the stream into the database; from `_apply` on in a thread."""
        entries = self._reclaim() or self._read()
        self._outage.over()
        if not entries:
            return
        started_at = self._monotonic()
        batch = self._applier.decode(entries)
        spans: BatchSpans | None = None
        if self._tracer is not None:
            batch, spans = BatchSpans.begin(self._tracer, batch, stream=self._stream.name)

        def process() -> None:
            applied = self._apply(batch, started_at, stop)
            if spans is not None:
                spans.end(applied)
            if applied is None:
                self._stream.release(entries)
                return
            done = [entry for entry in entries if entry.id not in applied.left]
            if not done:
                return  # all of it stays pending, and is counted when it is reclaimed
            if applied.due:
                self._notify()
            acknowledged_at = self._acknowledge([entry.id for entry in done], stop)
            took = timedelta(seconds=self._monotonic() - started_at)
            waited = None if acknowledged_at is None else acknowledged_at - done[0].received_at
            self._report(AppliedBatch(applied, len(done), took, waited))

        self._executor.submit(
            batch.tickets, partial(self._survive, process, self._batch_backoff, stop)
        )

    def _read(self) -> list[Entry]:
        """Read the next batch: ahead while there is more than one batch to do, as one can tell.

        Else what is read now would only wait for a batch to end, and what comes meanwhile for the
        read after it.
        """
        if not self._last_was_full:
            self._executor.wait_for_room()
        entries = self._stream.read(count=self._config.batch_size, block=self._config.block)
        self._last_was_full = len(entries) >= self._config.batch_size
        return entries

    def _reclaim(self) -> list[Entry]:
        """Take over entries that other consumers abandoned, from time to time."""
        if self._monotonic() >= self._next_cleanup_at:
            self._next_cleanup_at = self._monotonic() + CLEANUP_INTERVAL.total_seconds()
            self._stream.remove_idle_consumers(idle=CONSUMER_IDLE_MAX)
        if self._monotonic() < self._next_reclaim_at:
            return []
        # Entries of running batches would look abandoned. And the batch that was reclaimed before
        # has ended: if one of its entries kills its reader, no other entry is counted with it.
        self._executor.drain()
        entries = self._stream.reclaim(
            min_idle=self._config.claim_idle, count=self._config.batch_size
        )
        if not entries:  # otherwise there may be more: look again with the next batch
            self._next_reclaim_at = (
                self._monotonic() + self._config.reclaim_interval.total_seconds()
            )
        if abandoned := sum(entry.deliveries > 1 for entry in entries):  # not released ones
            log.warning("entries_reclaimed", extra={"entries": abandoned})
        return entries

    def _apply(self, batch: DecodedBatch, started_at: float, stop: Event) -> Applied | None:
        """Apply *batch*, repeatedly while its content is not to blame (rule 21).

        Returns None if it still fails after `hold_max`, or if the loop must stop: nothing was
        applied, or it counts once anyway. Where the error has no explanation and other batches are
        applied meanwhile, the failing ticket is isolated: its entries stay pending, so that their
        deliveries count and they are stored as rejected input at the sixth (H46). Otherwise one
        damaged row would hold up every ticket.
        """
        backoff = Backoff()
        give_up_at = started_at + self._config.hold_max.total_seconds()
        failed_at: float | None = None
        isolate_unclear = False
        for tries in count(1):
            try:
                applied = self._applier.apply(batch, isolate_unclear=isolate_unclear)
            except Exception as error:
                blamed = blame(error)
                if blamed is Blame.CONTENT:
                    raise
                unclear = blamed is Blame.UNCLEAR
                event = UNEXPLAINED if unclear else "database_unavailable"
                facts = {"error": error_name(error), "entries": len(batch.entries)}
                log.warning(event, extra=facts)
            else:
                self._last_applied_at = self._monotonic()
                return applied
            failed_at = failed_at or self._monotonic()
            if isolate_unclear and unclear and self._last_applied_at > failed_at:
                return Applied(left={entry.id for entry in batch.entries})
            self._alive()
            pause = backoff.next().total_seconds()
            is_last = self._monotonic() + pause > give_up_at
            if unclear and not isolate_unclear and (is_last or tries >= UNEXPLAINED_TRIES):
                isolate_unclear = True
            elif is_last:
                break
            if stop.wait(pause):
                break
        # Released entries are read first. Those that may fail alone first let others through.
        delay = self._config.reclaim_interval if isolate_unclear else timedelta()
        self._next_reclaim_at = self._monotonic() + delay.total_seconds()
        return None

    def _acknowledge(self, ids: Sequence[str], stop: Event) -> datetime | None:
        """Acknowledge committed entries and return when, by Redis' clock.

        Tried until it succeeds: entries that are not acknowledged are all applied again. Returns
        None if the loop must stop; the intake that reclaims the entries then finds duplicates.
        """
        backoff = Backoff()
        while True:
            try:
                acknowledged_at = self._stream.acknowledge(ids)
            except RedisError as error:
                self._outage.failed(reason_of(error))
            else:
                self._outage.over()
                return acknowledged_at
            self._alive()
            if stop.wait(backoff.next().total_seconds()):
                return None

    def _survive(self, work: Callable[[], None], backoff: Backoff, stop: Event) -> None:
        """Do *work*; an error is logged and followed by a pause."""
        try:
            work()
        except RedisError as error:
            self._outage.failed(reason_of(error))
        except Exception:
            # The entries stay pending and are delivered again, one by one from the third time on.
            log.exception("intake_failed")
        else:
            backoff.reset()
            return
        stop.wait(backoff.next().total_seconds())
