"""One round of the sweep: bounded batches, each a transaction of its own, until nothing is left."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection

from models.database.engine import Transaction
from models.operators import forget_old_secrets
from models.outbox.creates import abandon_creates
from models.platform.clock import Clock
from models.settings.settings import Settings
from models.sweeps.closing import close_due
from models.sweeps.parking import end_windows
from models.sweeps.retention import remove_expired
from worker.sweep.watermark import WatermarkSource

ROUND_MAX: Final = timedelta(seconds=20)  # then the next round goes on, with a newer horizon
# Of the time between two rounds, what goes into the removal of old tickets. Nobody waits for that;
# without pauses it would take a third of two cores from those that live, and hold up the closings.
REMOVAL_SHARE: Final = 0.1

Step = Callable[[Connection, datetime], int]


@dataclass(frozen=True, slots=True)
class Swept:
    """How many tickets were closed, parked events decided, creates given up and rows removed."""

    horizon: datetime | None
    closed: int = 0
    windows_ended: int = 0
    creates_abandoned: int = 0
    forgotten: int = 0
    secrets_forgotten: int = 0

    @property
    def due(self) -> bool:
        """Something changed, so a notice may be due."""
        return bool(self.closed or self.windows_ended or self.creates_abandoned)


class Sweep:
    """Does in the clock's name what is due. Any number may run at once: they skip locked rows."""

    def __init__(
        self,
        *,
        transaction: Transaction,
        clock: Clock,
        sight: WatermarkSource,
        settings: Settings,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Prepare; nothing is asked before `round`."""
        self._transaction = transaction
        self._clock = clock
        self._sight = sight
        self._settings = settings
        self._monotonic = monotonic

    def round(self) -> Swept:
        """Sweep until nothing is due, or 20 s have passed; remove what is old, for a moment only.

        The horizon is taken once, before tickets are looked at: it only gets more cautious with
        age. The database's clock is read before it, for one clock decides what was in time (rule
        17). Without a horizon nothing is closed and no window ends. Raises what the database
        raises; what was committed before stays.
        """
        with self._transaction() as connection:
            asked = self._clock.now(connection)
        horizon = self._sight.horizon(asked)
        give_up = self._monotonic() + ROUND_MAX.total_seconds()
        abandoned = self._until_done(self._abandon_creates, give_up)
        secrets = self._until_done(self._forget_secrets, give_up)
        if horizon is None:
            return Swept(None, creates_abandoned=abandoned, secrets_forgotten=secrets)
        ended = self._until_done(lambda at, now: self._end_windows(at, now, horizon), give_up)
        closed = self._until_done(lambda at, now: self._close_due(at, now, horizon), give_up)
        share = self._settings.sweep_interval.total_seconds() * REMOVAL_SHARE
        forgotten = self._until_done(self._forget, self._monotonic() + share)
        return Swept(horizon, closed, ended, abandoned, forgotten, secrets)

    def _until_done(self, step: Step, give_up: float) -> int:
        """Repeat *step* until it finds nothing; give the sum."""
        total = 0
        while True:
            with self._transaction() as connection:
                done = step(connection, self._clock.now(connection))
            total += done
            if not done or self._monotonic() >= give_up:
                return total

    def _close_due(self, connection: Connection, now: datetime, horizon: datetime) -> int:
        return close_due(connection, now=now, horizon=horizon, limit=self._settings.sweep_batch)

    def _end_windows(self, connection: Connection, now: datetime, horizon: datetime) -> int:
        return end_windows(
            connection,
            now=now,
            horizon=horizon,
            limit=self._settings.sweep_batch,
            parking_window=self._settings.parking_window,
        )

    def _forget(self, connection: Connection, now: datetime) -> int:
        retention = self._settings.retention
        return remove_expired(connection, before=now - retention, limit=self._settings.sweep_batch)

    def _forget_secrets(self, connection: Connection, now: datetime) -> int:
        return forget_old_secrets(connection, now=now)

    def _abandon_creates(self, connection: Connection, now: datetime) -> int:
        return abandon_creates(
            connection,
            now=now,
            age_max=self._settings.create_age_max,
            parking_window=self._settings.parking_window,
            limit=self._settings.sweep_batch,
        )
