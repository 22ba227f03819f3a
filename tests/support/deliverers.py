"""Deliverers side by side at one desk: they claim through the turnstile and record answers."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import timedelta

from sqlalchemy import Connection

from models.outbox.partners import partners
from models.outbox.values import Again, Attempt, Claim, Delivered, Recorded, Unanswered, Verdict
from tests.support.delivery_scene import scene_settings
from tests.support.desk import TOOK, Desk
from worker.delivery.turnstile import Passed, Turnstile

PLACES = 512
AGAIN = Again(timedelta(seconds=10))
UNANSWERED = Unanswered(timedelta(seconds=10))
DELIVERED = Delivered()


@dataclass
class Deliverer:
    """One process that delivers, without its sockets."""

    desk: Desk
    turnstile: Turnstile = field(init=False)
    passed: Passed | None = None

    def __post_init__(self) -> None:
        self.turnstile = Turnstile(scene_settings(), monotonic=self._seconds)

    def claim(self, places: int = PLACES) -> list[Claim]:
        """Claim what may go now; its calls are in flight from here on."""
        with self.desk.engine.begin() as connection:
            claims = self.claim_within(connection, places)
        assert self.passed is not None, "it has just claimed"
        self.turnstile.keep(self.passed)
        for one in claims:
            self.turnstile.lanes.started(one.operator)
        return claims

    def claim_within(self, connection: Connection, places: int = PLACES) -> list[Claim]:
        """Claim inside the caller's transaction: not yet committed, nothing in flight."""
        now = self.desk.now
        enabled = partners(connection, now=now)
        self.passed = self.turnstile.claim(connection, enabled, places=places, now=now)
        return list(self.passed.claims)

    def answer(
        self, claims: Iterable[Claim], verdict: Verdict = DELIVERED, status: int | None = 200
    ) -> Recorded:
        """The same came of each of *claims*, and is recorded."""
        listed = list(claims)
        for one in listed:
            self.turnstile.lanes.ended(one.operator)
        return self.hear(*listed, verdict=verdict, status=status)

    def hear(
        self, *claims: Claim, verdict: Verdict = DELIVERED, status: int | None = 200
    ) -> Recorded:
        """The same came late of each of *claims*, whose calls were counted as over before."""
        problem = f"answered {status}"
        return self.desk.record_attempts(
            *(Attempt(one, verdict, TOOK, http_status=status, problem=problem) for one in claims)
        )

    def deliver(self, verdict: Verdict = DELIVERED, status: int | None = 200) -> list[str]:
        """Claim what may go now, and answer it; its tickets."""
        claims = self.claim()
        self.answer(claims, verdict, status)
        return [one.ticket_id for one in claims]

    def _seconds(self) -> float:
        return self.desk.now.timestamp()
