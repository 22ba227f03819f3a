"""Keeps the results of attempts until they are recorded. None is dropped (protocol.md H43).

A partner's 200 is the one thing that cannot be had a second time: its repeat may be answered 409.
"""

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Final

from models.database.engine import Transaction
from models.database.errors import UNEXPLAINED_TRIES, Blame, blame
from models.outbox.record import RecordPolicy, record
from models.outbox.values import Attempt, Dead, Delivered
from models.platform.clock import Clock
from models.settings.settings import Settings
from worker.delivery.failure_streak import FailureStreaks
from worker.delivery.summary_log import DeliverySummary, facts
from worker.delivery.trace_log import tell_recorded

log = logging.getLogger(__name__)

ATTEMPT_NOT_RECORDED: Final = "attempt_not_recorded"
_BATCH_MAX: Final = 500
_STUCK_PAUSE_SECONDS: Final = 10.0
_FAILING_MAX: Final = 8  # results that fail without explanation, before one goes through
_WORDS_REFUSED: Final = "the database did not take the answer's text"


class Recorder:
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
        self._kept: dict[tuple[int, int], Attempt] = {}  # by notice and claim
        # Those the database refuses for what they are; one for each notice, so they stay few.
        self._stuck: dict[int, Attempt] = {}
        self._stuck_until = 0.0
        self._unexplained = 0  # errors in a row that blame nothing
        self._failing: list[tuple[Attempt, Exception]] = []  # alone, with such an error
        self._went_through = False  # while others were recorded
        self._troubles = FailureStreaks()
        self._telling = DeliverySummary(monotonic)

    def __len__(self) -> int:
        """How many results are kept."""
        return len(self._kept) + len(self._stuck)

    @property
    def waiting(self) -> int:
        """How many of them the next `flush` will record, those apart that were refused before."""
        return len(self._kept)

    def add(self, attempts: Iterable[Attempt]) -> None:
        """Keep *attempts* until they are recorded."""
        for attempt in attempts:
            self._kept[attempt.claim.notice, attempt.claim.number] = attempt

    def flush(self) -> Counter[str]:
        """Record all that waits, and say how many of each verdict.

        Raises errors that blame no result (`models.database.errors.blame`); what is not recorded
        stays kept. One without explanation that comes again and again is pinned down: what fails
        alone is tried again later, so that it does not hold up the others. Recording twice is
        harmless: the second time, the notice is no longer ours or is done.
        """
        verdicts: Counter[str] = Counter()
        self._failing, self._went_through = [], False
        try:
            while self._kept:
                batch = list(self._kept.values())[:_BATCH_MAX]
                verdicts += self._record(batch)
        except Exception:
            self.add(attempt for attempt, _ in self._failing)
            raise
        for attempt, error in self._failing:
            self._set_aside(attempt, error)
        self._unexplained = 0
        return verdicts

    def refresh(self) -> None:
        """Have what the database refused tried again, if it is time; log what is to be told."""
        if self._stuck and self._monotonic() >= self._stuck_until:
            self.add(self._stuck.values())
            self._stuck.clear()
        self._telling.tell()

    def _record(self, batch: Sequence[Attempt]) -> Counter[str]:
        """Record *batch*, in halves if it fails for its content: neighbours must go through."""
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
                return self._record_bare(batch[0])
            self._fail(batch[0], error)
            return Counter()
        self._went_through = True
        for attempt in batch:
            del self._kept[attempt.claim.notice, attempt.claim.number]
        return verdicts

    def _fail(self, attempt: Attempt, error: Exception) -> None:
        """Leave out what fails alone. Raises *error* where it may be the server's with all."""
        self._failing.append((attempt, error))
        if not self._went_through and len(self._failing) == _FAILING_MAX:
            raise error
        del self._kept[attempt.claim.notice, attempt.claim.number]

    def _pins_down(self) -> bool:
        """Count an error without explanation; whether it is time to look which result has it."""
        self._unexplained += 1
        return self._unexplained > UNEXPLAINED_TRIES

    def _record_whole(self, batch: Sequence[Attempt]) -> Counter[str]:
        troubles = self._troubles.after(batch)
        with self._transaction() as connection:
            recorded = record(
                connection,
                batch,
                policy=self._policy,
                now=self._clock.now(connection),
                to_open=troubles.given_up,
            )
        self._troubles = troubles
        self._telling.heard(recorded)
        tell_recorded(recorded.attempts)
        self._recorded(recorded.attempts)
        return recorded.verdicts

    def _record_bare(self, attempt: Attempt) -> Counter[str]:
        """Record one attempt without any of the partner's words; keep it aside if that fails."""
        problem = None if isinstance(attempt.verdict, Delivered) else _WORDS_REFUSED
        bare = replace(attempt, problem=problem, answer=None, remarks=None)
        if isinstance(attempt.verdict, Dead):
            bare = replace(bare, verdict=replace(attempt.verdict, reason=_WORDS_REFUSED))
        try:
            verdicts = self._record_whole([bare])
        except Exception as error:
            if blame(error) is Blame.SERVER:
                raise
            self._set_aside(attempt, error)
            verdicts = Counter()
        del self._kept[attempt.claim.notice, attempt.claim.number]
        return verdicts

    def _set_aside(self, attempt: Attempt, error: Exception) -> None:
        log.error(ATTEMPT_NOT_RECORDED, exc_info=error, extra=facts(attempt))
        before = self._stuck.get(attempt.claim.notice)
        if before is None or not isinstance(before.verdict, Delivered):
            self._stuck[attempt.claim.notice] = attempt
        self._stuck_until = self._monotonic() + _STUCK_PAUSE_SECONDS
