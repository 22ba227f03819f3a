"""Deliverers side by side on one harness: they claim within all limits and record responses."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import timedelta

from sqlalchemy import Connection

from models.operators.partners import enabled_partners
from models.outbox.values import (
    Attempt,
    Claim,
    Delivered,
    Recorded,
    RetryLater,
    Unanswered,
    Verdict,
)
from tests.support.delivery_setup import delivery_settings
from tests.support.harness import OPERATOR, TOOK, Harness
from worker.delivery.admission import Admission, Admitted

PLACES = 512
AGAIN = RetryLater(timedelta(seconds=10))
UNANSWERED = Unanswered(timedelta(seconds=10))
DELIVERED = Delivered()


@dataclass
class Deliverer:
    """One process that delivers, without its sockets."""

    harness: Harness
    admission: Admission = field(init=False)
    admitted: Admitted | None = None

    def __post_init__(self) -> None:
        self.admission = Admission(
            transaction=self.harness.engine.begin,
            clock=self.harness.clock,
            settings=delivery_settings(),
            monotonic=self._seconds,
        )

    def claim(self, places: int = PLACES) -> list[Claim]:
        """Claim what may go now; its calls are in flight from here on."""
        self.admitted = self.admission.claim(
            places,
            partners=(),
            refresh=lambda connection, now: enabled_partners(connection, now=now),
        )
        for claim in self.admitted.claims:
            self.admission.in_flight.started(claim.operator)
        return list(self.admitted.claims)

    def claim_within(self, connection: Connection, places: int = PLACES) -> list[Claim]:
        """Claim inside the caller's transaction: not yet committed, nothing in flight."""
        now = self.harness.now
        enabled = enabled_partners(connection, now=now)
        self.admitted = self.admission.claim_within(connection, enabled, places=places, now=now)
        return list(self.admitted.claims)

    def answer(
        self, claims: Iterable[Claim], verdict: Verdict = DELIVERED, status: int | None = 200
    ) -> Recorded:
        """The same came of each of *claims*, and is recorded."""
        listed = list(claims)
        for claim in listed:
            self.admission.in_flight.ended(claim.operator)
        return self.record_late(*listed, verdict=verdict, status=status)

    def record_late(
        self, *claims: Claim, verdict: Verdict = DELIVERED, status: int | None = 200
    ) -> Recorded:
        """The same came late of each of *claims*, whose calls were counted as over before."""
        problem = f"answered {status}"
        return self.harness.record_attempts(
            *(
                Attempt(claim, verdict, TOOK, http_status=status, problem=problem)
                for claim in claims
            )
        )

    def deliver(self, verdict: Verdict = DELIVERED, status: int | None = 200) -> list[str]:
        """Claim what may go now, and answer it; its tickets."""
        claims = self.claim()
        self.answer(claims, verdict, status)
        return [claim.ticket_id for claim in claims]

    def _seconds(self) -> float:
        return self.harness.now.timestamp()


def add_due(
    harness: Harness, count: int, *, prefix: str = "T", operator: str = OPERATOR
) -> list[str]:
    """Win *count* tickets; all are due at the same time, a second ago."""
    names = [f"{prefix}{number}" for number in range(count)]
    harness.publish(*(harness.event("ticket_win", name, operator=operator) for name in names))
    harness.wait(timedelta(seconds=1))
    return names


def lock_out(deliverer: Deliverer) -> list[str]:
    """Add 36 notices, the last four one after the other, and have the partner answer 401."""
    names = add_due(deliverer.harness, 32)
    for number in range(4):
        names += add_due(deliverer.harness, 1, prefix=f"later-{number}-")
    assert len(deliverer.deliver(AGAIN, 401)) == 32
    return names
