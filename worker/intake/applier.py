"""Decodes and applies batches with what the process shares: its database, clock and settings."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from models.database.engine import Transaction
from models.events.event import Entry
from models.intake.apply import Applied, DecodedBatch, apply_batch, decode_entries
from models.platform.clock import Clock


@dataclass(frozen=True, slots=True)
class BatchApplier:
    """Takes batches of entries to the rules of the tickets. Safe to call from any thread."""

    transaction: Transaction
    clock: Clock
    parking_window: timedelta
    event_age_max: timedelta | None = None  # None: no event is too old

    def decode(self, entries: Sequence[Entry]) -> DecodedBatch:
        """Decode the events in *entries*, without the database."""
        return decode_entries(entries, event_age_max=self.event_age_max)

    def apply(self, batch: DecodedBatch, *, isolate_unclear: bool = False) -> Applied:
        """Apply *batch*; all of it is committed on return (`models.intake.apply.apply_batch`)."""
        return apply_batch(
            self.transaction,
            batch,
            clock=self.clock,
            parking_window=self.parking_window,
            isolate_unclear=isolate_unclear,
        )
