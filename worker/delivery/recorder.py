"""Keeps the results of attempts until they are recorded, in a thread of its own. None is dropped.

A partner's 200 cannot be had a second time: its repeat may be answered 409 (H43).
"""

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import replace
from typing import Final

from models.database.engine import Transaction
from models.database.errors import UNEXPLAINED_TRIES, Blame, blame
from models.outbox.record import RecordPolicy, record
from models.outbox.values import Attempt, Dead, Delivered
from models.platform.clock import Clock
from models.settings.settings import Settings
from worker.delivery.failure_streak import FailureStreaks
from worker.delivery.log import DeliverySummary, attempt_fields, log_recorded

log = logging.getLogger(__name__)

ATTEMPT_NOT_RECORDED: Final = "attempt_not_recorded"
_BATCH_MAX: Final = 500
_REFUSED_PAUSE_SECONDS: Final = 10.0
_FAILING_MAX: Final = 8  # results that fail without explanation, before one can be recorded
_TEXT_REFUSED: Final = "the database refused the text of the response"


class BackgroundRecorder:
    """Records results while the delivery loop claims and sends the next notices.

    What is added while one batch is recorded is the next batch. For one thread; the buffer belongs
    to the other thread for as long as a batch is recorded.
    """

    def __init__(self, buffer: "ResultBuffer", batch_ended: Callable[[], None]) -> None:
        """*batch_ended* is called in the other thread after each batch; it must not block."""
        self._buffer = buffer
        self._batch_ended = batch_ended
        self._added: list[Attempt] = []
        self._batch: Future[Counter[str]] | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="recording")

    def __len__(self) -> int:
        """How many results are not recorded yet."""
        return len(self._added) + len(self._buffer)

    @property
    def is_recording(self) -> bool:
        """Whether a batch was begun whose end `record_next` has not seen."""
        return self._batch is not None

    @property
    def has_waiting(self) -> bool:
        """Whether there are results that the next `record_next` would begin to record."""
        return not self.is_recording and bool(self._added or self._buffer.waiting)

    @property
    def would_record_successes_only(self) -> bool:
        """Whether the results that the next `record_next` would begin to record are successes."""
        return self.has_waiting and all(
            isinstance(attempt.verdict, Delivered) for attempt in self._added
        )

    def add(self, attempts: Iterable[Attempt]) -> None:
        """Keep *attempts* until they are recorded."""
        self._added += attempts

    def record_next(self) -> Counter[str]:
        """Begin to record what was added, unless a batch is being recorded. Never waits.

        Returns how many of each verdict the batch that has ended recorded. Raises its errors of the
        database; what is not recorded stays kept.
        """
        recorded: Counter[str] = Counter()
        if self._batch is not None:
            if not self._batch.done():
                return recorded
            ended, self._batch = self._batch, None
            recorded = ended.result()
        self._buffer.add(self._added)
        self._added.clear()
        self._buffer.refresh()
        if self._buffer.waiting:
            self._batch = self._thread.submit(self._buffer.flush)
            self._batch.add_done_callback(lambda _: self._batch_ended())
        return recorded

    def wait(self) -> None:
        """Wait for the current batch. It takes no longer than the limits of its statements."""
        if self._batch is not None:
            wait([self._batch])

    def close(self) -> None:
        """End the thread."""
        self._thread.shutdown()


class ResultBuffer:
    """Records attempts in bulk; what fails stays and is tried again. For one thread at a time."""

    def __init__(
        self,
        *,
        transaction: Transaction,
        clock: Clock,
        settings: Settings,
        monotonic: Callable[[], float],
        recorded: Callable[[Sequence[Attempt]], None] = lambda _: None,
    ) -> None:
        self._transaction = transaction
        self._clock = clock
        self._policy = RecordPolicy(settings.partner_grace, settings.parking_window)
        self._monotonic = monotonic
        self._recorded = recorded
        self._waiting: dict[tuple[int, int], Attempt] = {}  # by notice and claim
        # Those that the database refuses for their content; one per notice, so they stay few.
        self._refused: dict[int, Attempt] = {}
        self._refused_until = 0.0
        self._unexplained = 0  # errors in a row that blame nothing
        self._failing: list[tuple[Attempt, Exception]] = []  # alone, with such an error
        self._any_recorded = False  # while others failed
        self._streaks = FailureStreaks()
        self._summary = DeliverySummary(monotonic)

    def __len__(self) -> int:
        """How many results are kept."""
        return len(self._waiting) + len(self._refused)

    @property
    def waiting(self) -> int:
        """How many of them the next `flush` will record; those refused before do not count."""
        return len(self._waiting)

    def add(self, attempts: Iterable[Attempt]) -> None:
        """Keep *attempts* until they are recorded."""
        for attempt in attempts:
            self._waiting[attempt.claim.notice, attempt.claim.number] = attempt

    def flush(self) -> Counter[str]:
        """Record all that waits. Returns how many of each verdict were recorded.

        Raises errors that blame no result (`models.database.errors.blame`); what is not recorded
        stays kept. One without explanation that comes again and again is pinned down: what fails
        alone is tried again later, so that it does not hold up the others. Recording twice is
        harmless: the second time, the notice is no longer ours or has ended.
        """
        verdicts: Counter[str] = Counter()
        self._failing, self._any_recorded = [], False
        try:
            while self._waiting:
                batch = list(self._waiting.values())[:_BATCH_MAX]
                verdicts += self._record(batch)
        except Exception:
            self.add(attempt for attempt, _ in self._failing)
            raise
        for attempt, error in self._failing:
            self._set_aside(attempt, error)
        self._unexplained = 0
        return verdicts

    def refresh(self) -> None:
        """Let refused results be tried again if it is time, and write log lines that are due."""
        if self._refused and self._monotonic() >= self._refused_until:
            self.add(self._refused.values())
            self._refused.clear()
        self._summary.log_due()

    def _record(self, batch: Sequence[Attempt]) -> Counter[str]:
        """Record *batch*; in halves if its content fails, so that the others are recorded."""
        try:
            verdicts = self._record_whole(batch)
        except Exception as error:
            whose = blame(error)
            if whose is Blame.SERVER or (whose is Blame.UNCLEAR and not self._pins_down()):
                raise
            if len(batch) > 1:
                middle = len(batch) // 2
                return self._record(batch[:middle]) + self._record(batch[middle:])
            if whose is Blame.CONTENT:
                return self._record_without_text(batch[0])
            self._fail(batch[0], error)
            return Counter()
        self._any_recorded = True
        for attempt in batch:
            del self._waiting[attempt.claim.notice, attempt.claim.number]
        return verdicts

    def _fail(self, attempt: Attempt, error: Exception) -> None:
        """Leave out what fails alone. Raises *error* if it may concern the whole server."""
        self._failing.append((attempt, error))
        if not self._any_recorded and len(self._failing) == _FAILING_MAX:
            raise error
        del self._waiting[attempt.claim.notice, attempt.claim.number]

    def _pins_down(self) -> bool:
        """Count an unexplained error. Returns whether to search for the result that causes it."""
        self._unexplained += 1
        return self._unexplained > UNEXPLAINED_TRIES

    def _record_whole(self, batch: Sequence[Attempt]) -> Counter[str]:
        streaks = self._streaks.after(batch)
        with self._transaction() as connection:
            recorded = record(
                connection,
                batch,
                policy=self._policy,
                now=self._clock.now(connection),
                to_open=streaks.to_open,
            )
        self._streaks = streaks
        self._summary.count(recorded)
        log_recorded(recorded.attempts)
        self._recorded(recorded.attempts)
        return recorded.verdicts

    def _record_without_text(self, attempt: Attempt) -> Counter[str]:
        """Record one attempt without any of the partner's text; set it aside if that fails too."""
        problem = None if isinstance(attempt.verdict, Delivered) else _TEXT_REFUSED
        bare = replace(
            attempt,
            problem=problem,
            answer=None,
            remarks=None,
            remote_address=None,
            response_headers=None,
        )
        if isinstance(attempt.verdict, Dead):
            bare = replace(bare, verdict=replace(attempt.verdict, reason=_TEXT_REFUSED))
        try:
            verdicts = self._record_whole([bare])
        except Exception as error:
            if blame(error) is Blame.SERVER:
                raise
            self._set_aside(attempt, error)
            verdicts = Counter()
        del self._waiting[attempt.claim.notice, attempt.claim.number]
        return verdicts

    def _set_aside(self, attempt: Attempt, error: Exception) -> None:
        log.error(ATTEMPT_NOT_RECORDED, exc_info=error, extra=attempt_fields(attempt))
        before = self._refused.get(attempt.claim.notice)
        if before is None or not isinstance(before.verdict, Delivered):
            self._refused[attempt.claim.notice] = attempt
        self._refused_until = self._monotonic() + _REFUSED_PAUSE_SECONDS
