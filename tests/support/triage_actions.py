"""A person's triage: retries, drops and skips, each in a transaction of its own."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from sqlalchemy import Row, text

from models.operators.interventions import Person
from models.outbox.dead_letters import Resolution
from models.triage import (
    EventResolution,
    Listed,
    ResolvedNotice,
    Selection,
    drop_events,
    drop_raw,
    list_events,
    list_rejected,
    resolve_dead,
    retry_events,
    retry_raw,
)
from models.vocabulary import Outcome
from tests.support.harness import OPERATOR, PARKING_WINDOW, Harness
from tests.support.records import Records

ANNA: Final = Person("anna", "their clock was slow")
AGE_MAX: Final = timedelta(days=30)
EVERYTHING: Final = Selection()

INTERVENTIONS: Final = text("SELECT * FROM intervention ORDER BY id")


@dataclass
class TriageActions:
    """Acts at the harness's present moment, as Anna."""

    harness: Harness
    records: Records

    def retry(
        self,
        *event_ids: str,
        outcome: Outcome = Outcome.REJECTED,
        as_now: bool = False,
        ticket: str = "T",
        operator: str = OPERATOR,
    ) -> list[EventResolution]:
        """Retry events of one ticket."""
        with self.harness.engine.begin() as connection:
            return retry_events(
                connection,
                self.records.ticket(ticket, operator=operator).id,
                event_ids,
                outcome=outcome,
                as_now=as_now,
                now=self.harness.now,
                window=PARKING_WINDOW,
                person=ANNA,
            )

    def drop(
        self,
        *event_ids: str,
        outcome: Outcome = Outcome.REJECTED,
        ticket: str = "T",
    ) -> list[EventResolution]:
        """Drop events of one ticket."""
        with self.harness.engine.begin() as connection:
            return drop_events(
                connection,
                self.records.ticket(ticket).id,
                event_ids,
                outcome=outcome,
                now=self.harness.now,
                window=PARKING_WINDOW,
                person=ANNA,
            )

    def retry_raw(self, entry_id: str) -> EventResolution:
        """Retry raw input."""
        with self.harness.engine.begin() as connection:
            return retry_raw(
                connection,
                entry_id,
                age_max=AGE_MAX,
                now=self.harness.now,
                window=PARKING_WINDOW,
                person=ANNA,
            )

    def drop_raw(self, entry_id: str) -> EventResolution:
        """Drop raw input."""
        with self.harness.engine.begin() as connection:
            return drop_raw(connection, entry_id, now=self.harness.now, person=ANNA)

    def resolve(self, notice_id: int, resolution: Resolution) -> ResolvedNotice:
        """Resolve a dead notice."""
        with self.harness.engine.begin() as connection:
            return resolve_dead(
                connection, notice_id, resolution, now=self.harness.now, person=ANNA
            )

    def listed(
        self, outcome: Outcome, selection: Selection = EVERYTHING, *, limit: int = 100
    ) -> list[Listed]:
        """What `slipway events ... list` shows."""
        with self.harness.engine.begin() as connection:
            if outcome is Outcome.REJECTED:
                return list_rejected(connection, selection, limit=limit)
            return list_events(connection, outcome, selection, limit=limit)

    def kept(self) -> Sequence[Row[Any]]:
        """What people did, oldest first."""
        with self.harness.engine.begin() as connection:
            return connection.execute(INTERVENTIONS).all()
