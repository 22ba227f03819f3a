"""What truly happened to a ticket of a property test, and how much of it has arrived."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from producers.simulation.rehearsal.lives import Kind, RehearsedLife, TrueEvent, expected_outcome
from producers.simulation.rehearsal.world import EVENT_AGE_MAX

WITHIN_WINDOW = timedelta(minutes=10)


@dataclass
class TicketArrivals:
    """One ticket: what truly happened to it, and which of it is still on its way."""

    operator: str
    ticket_id: str
    numbered: bool
    truths: list[TrueEvent] = field(default_factory=list)
    on_the_way: list[dict[str, Any]] = field(default_factory=list)
    arrived: list[tuple[datetime, dict[str, Any]]] = field(default_factory=list)
    by_hand: bool = False  # a person published an event as well

    def life(self) -> RehearsedLife:
        kind = Kind.NUMBERED if self.numbered else Kind.DISORDERED
        truth = expected_outcome(self.truths, announced=self.operator.endswith("a"))
        return RehearsedLife(kind, self.operator, self.ticket_id, truth, ())

    @property
    def in_time(self) -> bool:
        """All of it came within one parking window, none too old: only then is its end promised."""
        moments = [moment for moment, _ in self.arrived]
        if any(
            moment - datetime.fromisoformat(event["occurred_at"]) > EVENT_AGE_MAX
            for moment, event in self.arrived
        ):
            return False
        return not moments or max(moments) - min(moments) < WITHIN_WINDOW
