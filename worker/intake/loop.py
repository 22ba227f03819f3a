"""The endless loop of the intake: read a chunk, have it applied, finish it, hint the deliverers.

While one chunk is applied the next one is read, and begun if it speaks of other tickets. The loop
ends when told to and at no other time. Whatever goes wrong, an entry stays pending in Redis until
the transaction that applied it is committed.
"""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from itertools import count
from threading import Event
from typing import Final, Protocol

from redis.exceptions import RedisError

from models.database.errors import UNEXPLAINED, UNEXPLAINED_TRIES, Blame, blame, error_name
from models.events.event import Entry
from models.intake.apply import Applied, Opened
from models.platform.backoff import Backoff
from worker.intake.executor import BatchExecutor
from worker.process.outage import Outage, reason_of

log = logging.getLogger(__name__)

IN_HAND: Final = 2  # chunks at the same time; each takes a connection to the database
RETIRE_INTERVAL: Final = timedelta(minutes=10)
RETIRE_IDLE: Final = timedelta(hours=1)  # a living consumer asks every second


class EntrySource(Protocol):
    """Where entries come from: `worker.intake.stream.Stream`, where each verb is explained."""

    def read(self, *, count: int, block: timedelta) -> list[Entry]: ...  # noqa: D102 - see Stream
    def claim_stale(  # noqa: D102 - see Stream
        self, *, min_idle: timedelta, count: int
    ) -> list[Entry]: ...
    def hand_back(self, entries: Sequence[Entry]) -> None: ...  # noqa: D102 - see Stream
    def finish(self, ids: Sequence[str]) -> datetime: ...  # noqa: D102 - see Stream
    def retire_consumers(self, *, idle: timedelta) -> int: ...  # noqa: D102 - see Stream
    def leave(self) -> None: ...  # noqa: D102 - see Stream


class Apply(Protocol):
    """Applies a chunk: `models.intake.apply.apply_opened`, where `apart` is explained."""

    def __call__(self, opened: Opened, /, *, apart: bool = False) -> Applied: ...  # noqa: D102 - see there


@dataclass(frozen=True, slots=True)
class IntakeConfig:
    """How much at once, and how long for what."""

    chunk_size: int
    block: timedelta  # for a first entry
    claim_idle: timedelta  # an entry pending for longer was left behind

    @property
    def claim_interval(self) -> timedelta:
        """How often to look for what others left behind."""
        return min(self.claim_idle, timedelta(seconds=5))

    @property
    def hold_max(self) -> timedelta:
        """How long a chunk is kept while the database is away; then it is handed back."""
        return self.claim_idle / 2


@dataclass(frozen=True, slots=True)
class Batch:
    """One chunk that is applied and finished."""

    applied: Applied
    entries: int
    took: timedelta
    waited: timedelta | None = None  # its oldest entry, from XADD until finished, by Redis' clock


class Intake:
    """Moves entries from the stream into the database until it is told to stop."""

    def __init__(
        self,
        *,
        source: EntrySource,
        unpack: Callable[[Sequence[Entry]], Opened],
        apply: Apply,
        pace: IntakeConfig,
        notices_due: Callable[[], None],
        report: Callable[[Batch], None],
        alive: Callable[[], None],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Prepare; *notices_due*, *report* and *alive* must neither block nor raise.

        These, *apply*, and of *source* `finish` and `hand_back`, are called by several threads.
        """
        self._source = source
        self._unpack = unpack
        self._apply = apply
        self._pace = pace
        self._notices_due = notices_due
        self._report = report
        self._alive = alive
        self._monotonic = monotonic
        self._hands = BatchExecutor(IN_HAND)
        self._failures = Backoff()  # of chunks in hand
        self._outage = Outage(log, "intake_waits_for_redis", "intake_reaches_redis")
        self._well_at = monotonic()  # when a chunk was last applied
        self._next_claim = monotonic()  # at once: a predecessor may have died
        self._next_retire = monotonic()

    def run(self, stop: Event) -> None:
        """Work until *stop*; then finish the chunks in hand and return. Raises nothing."""
        pauses = Backoff()
        while not stop.is_set():
            self._alive()
            _guarded(partial(self._turn, stop), pauses, stop, self._outage)
        self._hands.rest()
        try:
            self._source.leave()
        except RedisError as error:  # somebody else forgets this consumer after an hour
            log.info("intake_left_its_name", extra={"error": error_name(error)})

    def _turn(self, stop: Event) -> None:
        entries = self._left_behind() or self._source.read(
            count=self._pace.chunk_size, block=self._pace.block
        )
        self._outage.over()
        if not entries:
            return
        began = self._monotonic()
        opened = self._unpack(entries)
        carry = partial(self._carry, opened, began, stop)
        self._hands.give(
            opened.tickets, partial(_guarded, carry, self._failures, stop, self._outage)
        )

    def _carry(self, opened: Opened, began: float, stop: Event) -> None:
        """Apply a chunk and finish it; in a thread of its own."""
        entries = opened.entries
        applied = self._applied(opened, began, stop)
        if applied is None:
            self._source.hand_back(entries)
            return
        done = [entry for entry in entries if entry.id not in applied.left]
        if not done:
            return  # all of it stays pending, and is counted when it is taken over
        finished_at = self._finished([entry.id for entry in done], stop)
        if applied.due:
            self._notices_due()
        took = timedelta(seconds=self._monotonic() - began)
        waited = None if finished_at is None else finished_at - done[0].received_at
        self._report(Batch(applied, len(done), took, waited))

    def _left_behind(self) -> list[Entry]:
        if self._monotonic() >= self._next_retire:
            self._next_retire = self._monotonic() + RETIRE_INTERVAL.total_seconds()
            self._source.retire_consumers(idle=RETIRE_IDLE)
        if self._monotonic() < self._next_claim:
            return []
        # What is in hand would look left behind. And what was found in the turn before is over: if
        # it holds what killed its reader, nothing else is counted along with it.
        self._hands.rest()
        entries = self._source.claim_stale(
            min_idle=self._pace.claim_idle, count=self._pace.chunk_size
        )
        if not entries:  # after a find there may be more: look again in the next turn
            self._next_claim = self._monotonic() + self._pace.claim_interval.total_seconds()
        if orphans := sum(entry.deliveries > 1 for entry in entries):  # not what was handed back
            log.warning("entries_taken_over", extra={"entries": orphans})
        return entries

    def _applied(self, opened: Opened, began: float, stop: Event) -> Applied | None:
        """Apply the chunk, again and again while its content is not to blame (rule 21).

        None: it still fails after `hold_max`, or we shall stop; nothing was applied, or it counts
        once anyway. Where the error has no explanation and others are applied meanwhile, it is
        pinned down: what fails alone is left pending, so that its deliveries count and it is kept
        raw at the sixth (H46). Without that, one damaged row would hold up every ticket.
        """
        pauses = Backoff()
        give_up = began + self._pace.hold_max.total_seconds()
        failed_at: float | None = None
        apart = False
        for tries in count(1):
            try:
                applied = self._apply(opened, apart=apart)
            except Exception as error:
                whose = blame(error)
                if whose is Blame.CONTENT:
                    raise
                unclear = whose is Blame.UNCLEAR
                event = UNEXPLAINED if unclear else "intake_waits_for_database"
                log.warning(
                    event,
                    extra={"error": error_name(error), "entries": len(opened.entries)},
                )
            else:
                self._well_at = self._monotonic()
                return applied
            failed_at = failed_at or self._monotonic()
            if apart and unclear and self._well_at > failed_at:
                return Applied(left={entry.id for entry in opened.entries})
            self._alive()
            pause = pauses.next().total_seconds()
            is_last = self._monotonic() + pause > give_up
            if unclear and not apart and (is_last or tries >= UNEXPLAINED_TRIES):
                apart = True
            elif is_last:
                break
            if stop.wait(pause):
                break
        # They come first when we go on; but what may fail alone lets others through before.
        later = self._pace.claim_interval if apart else timedelta()
        self._next_claim = self._monotonic() + later.total_seconds()
        return None

    def _finished(self, ids: Sequence[str], stop: Event) -> datetime | None:
        """Finish what is committed; when. Tried until it works: they would all be done once more.

        None: we shall stop. They are still pending; whoever takes them over finds duplicates.
        """
        pauses = Backoff()
        while True:
            try:
                finished_at = self._source.finish(ids)
            except RedisError as error:
                self._outage.failed(reason_of(error))
            else:
                self._outage.over()
                return finished_at
            self._alive()
            if stop.wait(pauses.next().total_seconds()):
                return None


def _guarded(work: Callable[[], None], pauses: Backoff, stop: Event, outage: Outage) -> None:
    """Do *work*. What goes wrong is said, and followed by a pause."""
    try:
        work()
    except RedisError as error:
        outage.failed(reason_of(error))
    except Exception:
        # What was read stays pending and is delivered again, alone from the third time on.
        log.exception("intake_failed")
    else:
        pauses.reset()
        return
    stop.wait(pauses.next().total_seconds())
