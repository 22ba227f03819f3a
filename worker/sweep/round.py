"""One round of the sweep: bounded batches, each a transaction of its own, until nothing is due."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection

from models.database.engine import Transaction
from models.idempotency import remove_old_responses
from models.jobs import AdvancedJob, advance_jobs, remove_ended_jobs
from models.monitoring.closings import count_closings
from models.monitoring.minutes import store_next_minute
from models.operators.due import forget_accesses, forget_old_secrets, move_accesses
from models.outbox.creates import abandon_creates
from models.partnerships.tickets import end_leftover_tickets
from models.platform.clock import Clock
from models.settings.settings import WorkerSettings
from models.sweeps.bodies import remove_bodies
from models.sweeps.closing import close_due
from models.sweeps.parking import end_windows
from models.sweeps.retention import Position, remove_expired
from models.tracing.tracer import Tracer
from models.users.failures import remove_old_failures
from models.users.sessions import remove_expired_sessions
from worker.sweep.spans import ClosingSpans
from worker.sweep.watermark import WatermarkSource

ROUND_MAX: Final = timedelta(seconds=20)  # then the next round continues, with a newer watermark
# The share of the time between two rounds that removes old tickets, and a batch at most. Nothing
# waits for that; PostgreSQL needs about a hundredth of two cores for it. Without a limit it would
# take a third of them from live tickets, and delay the closings.
REMOVAL_SHARE: Final = 0.03
# Then the removal begins at the oldest once more, for what had to stay when it passed there.
REMOVAL_RESTART: Final = timedelta(days=1)
# The share that advances jobs, after all that is due by the clock: a round is longer by this much
# and one batch at most, so closings are not later than that.
JOBS_SHARE: Final = 0.3
# The share that computes what the console's plots show, a minute of all partners at a time: one a
# minute, and more only after a pause.
PLOTS_SHARE: Final = 0.1
JOB_BATCH: Final = 100  # items; a batch holds their tickets' locks while it runs

SweepStep = Callable[[Connection, datetime], int]


@dataclass(frozen=True, slots=True)
class SweepResult:
    """How many tickets were closed, windows ended, creates abandoned and rows removed.

    *bodies_removed*: tickets of which what was sent and answered was removed (rule 28).
    *ended_with_partner*: tickets that the end of their partnership ended. *job_batches* and
    *job_items*: what jobs did; *jobs_due*: a notice is due because of them.
    """

    watermark: datetime | None
    closed: int = 0
    windows_ended: int = 0
    creates_abandoned: int = 0
    ended_with_partner: int = 0
    bodies_removed: int = 0
    forgotten: int = 0
    secrets_forgotten: int = 0
    job_batches: int = 0
    job_items: int = 0
    jobs_due: bool = False

    @property
    def due(self) -> bool:
        """Whether something changed, so that a notice may be due."""
        changed = self.closed or self.windows_ended or self.creates_abandoned
        return bool(changed or self.jobs_due)


class Sweep:
    """Does what is due by the clock. Any number may run at once: they skip locked rows."""

    def __init__(
        self,
        *,
        transaction: Transaction,
        clock: Clock,
        watermark_source: WatermarkSource,
        settings: WorkerSettings,
        tracer: Tracer | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Prepare; nothing is queried before `round`."""
        self._closings = None if tracer is None else ClosingSpans(tracer)
        self._transaction = transaction
        self._clock = clock
        self._watermark_source = watermark_source
        self._settings = settings
        self._monotonic = monotonic
        self._removed_to = Position()
        self._removal_restart_at: datetime | None = None

    def round(self) -> SweepResult:
        """Sweep until nothing is due, or for 20 s; then advance jobs and remove old rows.

        The latter two, and what plots show, have a share of the time only.

        The watermark is read once, before any ticket: with age it only gets more cautious. The
        database's clock is read before it, since one clock decides what was in time (rule 17).
        Without a watermark no ticket closes and no window ends. Raises what the database raises;
        what was committed before stays.
        """
        with self._transaction() as connection:
            now = self._clock.now(connection)
        watermark = self._watermark_source.watermark(now)
        give_up_at = self._monotonic() + ROUND_MAX.total_seconds()
        abandoned = self._until_done(self._abandon_creates, give_up_at)
        secrets = self._until_done(self._forget_secrets, give_up_at)
        ended_with_partner = self._until_done(self._end_leftover_tickets, give_up_at)
        if watermark is None:
            result = SweepResult(
                None,
                creates_abandoned=abandoned,
                ended_with_partner=ended_with_partner,
                secrets_forgotten=secrets,
            )
            result = self._with_jobs(result)
            self._compute_plots()
            return result
        ended = self._until_done(
            lambda connection, now: self._end_windows(connection, now, watermark), give_up_at
        )
        closed = self._until_done(
            lambda connection, now: self._close_due(connection, now, watermark), give_up_at
        )
        result = SweepResult(
            watermark,
            closed=closed,
            windows_ended=ended,
            creates_abandoned=abandoned,
            ended_with_partner=ended_with_partner,
            secrets_forgotten=secrets,
        )
        result = self._with_jobs(result)
        self._compute_plots()
        forgotten = self._until_done(self._forget, self._after(REMOVAL_SHARE))
        emptied = self._until_done(self._remove_bodies, self._after(REMOVAL_SHARE))
        self._until_done(self._forget_sign_ins, self._after(REMOVAL_SHARE))
        return replace(result, forgotten=forgotten, bodies_removed=emptied)

    def _with_jobs(self, result: SweepResult) -> SweepResult:
        """Advance jobs by turns, a batch a transaction, for their share of the time."""
        give_up_at = self._after(JOBS_SHARE)
        batches: list[AdvancedJob] = []
        while self._monotonic() < give_up_at:
            with self._transaction() as connection:
                now = self._clock.now(connection)
                advanced = advance_jobs(connection, now=now, limit=JOB_BATCH)
            if advanced is None:
                break
            batches.append(advanced)
        return replace(
            result,
            job_batches=len(batches),
            job_items=sum(batch.handled for batch in batches),
            jobs_due=any(batch.due for batch in batches),
        )

    def _compute_plots(self) -> None:
        """Store the attempts of the last minute and the closings ahead, at most once a minute."""
        self._until_done(self._store_minute, self._after(PLOTS_SHARE))
        with self._transaction() as connection:
            count_closings(connection, now=self._clock.now(connection))

    def _after(self, share: float) -> float:
        """Return the moment at which a *share* of the time between two rounds is over."""
        return self._monotonic() + self._settings.sweep_interval.total_seconds() * share

    def _until_done(self, step: SweepStep, give_up_at: float) -> int:
        """Repeat *step* until it finds nothing; return the sum."""
        total = 0
        while True:
            try:
                with self._transaction() as connection:
                    done = step(connection, self._clock.now(connection))
            except BaseException:
                if self._closings is not None:
                    self._closings.rolled_back()
                raise
            if self._closings is not None:
                self._closings.committed()
            total += done
            if not done or self._monotonic() >= give_up_at:
                return total

    def _close_due(self, connection: Connection, now: datetime, watermark: datetime) -> int:
        limit = self._settings.sweep_batch
        if self._closings is None:
            return close_due(connection, now=now, watermark=watermark, limit=limit)
        begin = self._closings.begin
        return close_due(connection, now=now, watermark=watermark, limit=limit, begin_trace=begin)

    def _end_windows(self, connection: Connection, now: datetime, watermark: datetime) -> int:
        return end_windows(
            connection,
            now=now,
            watermark=watermark,
            limit=self._settings.sweep_batch,
            parking_window=self._settings.parking_window,
        )

    def _forget(self, connection: Connection, now: datetime) -> int:
        before = now - self._settings.retention
        limit = self._settings.sweep_batch
        position = replace(self._removed_to)
        if self._removal_restart_at is None or now >= self._removal_restart_at:
            # Noted first: if it fails, because very much has not been vacuumed, the next batch
            # goes on where the last one ended.
            self._removal_restart_at = now + REMOVAL_RESTART
            position = Position()
        removed = remove_expired(connection, before=before, limit=limit, position=position)
        self._removed_to = position
        return removed + remove_ended_jobs(connection, before=before, limit=limit)

    def _remove_bodies(self, connection: Connection, now: datetime) -> int:
        return remove_bodies(connection, now=now, limit=self._settings.sweep_batch)

    def _forget_sign_ins(self, connection: Connection, now: datetime) -> int:
        """Remove what the console and its API left behind, also when nobody uses them any more."""
        limit = self._settings.sweep_batch
        return (
            remove_expired_sessions(connection, now=now, limit=limit)
            + remove_old_failures(connection, now=now, limit=limit)
            + remove_old_responses(connection, now=now, limit=limit)
        )

    def _store_minute(self, connection: Connection, now: datetime) -> int:
        return store_next_minute(connection, now=now)

    def _forget_secrets(self, connection: Connection, now: datetime) -> int:
        moved = move_accesses(connection, now=now)
        return forget_old_secrets(connection, now=now) + moved + forget_accesses(connection)

    def _end_leftover_tickets(self, connection: Connection, now: datetime) -> int:
        return end_leftover_tickets(connection, now=now, limit=self._settings.sweep_batch)

    def _abandon_creates(self, connection: Connection, now: datetime) -> int:
        return abandon_creates(
            connection,
            now=now,
            age_max=self._settings.create_age_max,
            parking_window=self._settings.parking_window,
            limit=self._settings.sweep_batch,
        )
