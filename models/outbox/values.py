"""What passes between the outbox and whoever delivers: partners, claims, attempts, verdicts."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, ClassVar
from uuid import UUID

from models.notices.key import plain_key
from models.vocabulary import SENT_ONCE, Action


@dataclass(frozen=True, slots=True)
class Partner:
    """An enabled operator, as delivery needs it. *secret* signs, and is still sealed."""

    id: int
    code: str
    protocol: str
    url: str
    secret: str = field(repr=False)
    agent: str | None
    rate: float | None  # notices per second
    in_flight: int
    sign_calls: bool = False  # seamless


@dataclass(frozen=True, slots=True)
class Claim:
    """A notice that is ours to send until the lease is over (rule 14)."""

    notice: int
    ticket: int
    operator: int
    operator_code: str
    ticket_id: str
    action: Action
    generation: int
    path: str
    body: str  # the exact text to sign and send
    kept_key: str | None  # the notice's own key, where its ids joined by `/` are ambiguous
    number: int  # which claim of this notice it is, from 1
    tries: int  # attempts before this one
    first_tried_at: datetime | None  # moved on by the time that does not count
    claimed_at: datetime  # the database's clock
    lease: UUID
    perhaps_delivered: bool = False  # by an attempt before this one

    @property
    def sent_once(self) -> bool:
        """Create and reserve: never a second send, whatever happens (rule 10)."""
        return self.action in SENT_ONCE

    @property
    def idempotency_key(self) -> str:
        """What this notice is, once and for all (design.md 5.5, protocol H42)."""
        return self.kept_key or plain_key(
            self.operator_code, self.ticket_id, self.action, self.generation
        )


@dataclass(frozen=True, slots=True)
class Delivered:
    """The partner took it."""

    word: ClassVar = "delivered"  # as the database and the metrics name it


@dataclass(frozen=True, slots=True)
class RetryLater:
    """It was not taken, and the partner said so, or was never reached. Try after *pause*."""

    word: ClassVar = "again"

    pause: timedelta


@dataclass(frozen=True, slots=True)
class Unanswered:
    """It was sent and no answer came: perhaps delivered. Try after *pause* (rule 15)."""

    word: ClassVar = "unanswered"

    pause: timedelta


@dataclass(frozen=True, slots=True)
class Dead:
    """No further attempt can help; *reason* says why. A person decides (rule 18)."""

    word: ClassVar = "dead"

    reason: str
    perhaps_delivered: bool = False  # the last attempt had no answer
    out_of_time: bool = False  # tried for too long; the last answer alone would not have killed it


Verdict = Delivered | RetryLater | Unanswered | Dead


@dataclass(frozen=True, slots=True)
class Attempt:
    """One call and what was made of it. *answer* is at most the first 2,000 characters.

    *asked*: for how long, from the answer on, the partner wants to be left alone (`Retry-After`).
    *refused*: the partner said no to this one, whatever follows: a discard goes on (rule 10).
    """

    claim: Claim
    verdict: Verdict
    took: timedelta
    http_status: int | None = None
    problem: str | None = None
    answer: str | None = None
    remarks: dict[str, Any] | None = None
    asked: timedelta = timedelta()
    refused: bool = False


@dataclass(frozen=True, slots=True)
class CircuitChange:
    """A partner's circuit was opened, with the *reason*, or closed (None)."""

    operator_code: str
    reason: str | None


@dataclass(frozen=True, slots=True)
class Recorded:
    """What recording changed. *due*: a follower is due now, so look again at once.

    *attempts* as they count: what would have died of a partner that is unwell is tried again.
    """

    attempts: Sequence[Attempt]
    due: bool
    turned: Sequence[CircuitChange] = ()

    @property
    def verdicts(self) -> Counter[str]:
        """How many attempts of each verdict."""
        return Counter(one.verdict.word for one in self.attempts)
