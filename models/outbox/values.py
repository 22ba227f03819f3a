"""The values that the outbox and the delivery loop exchange: partners, claims, attempts."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, ClassVar, Final
from uuid import UUID

from models.notices.key import plain_key
from models.platform.made_often import made_often
from models.vocabulary import SENT_ONCE, Action

# Characters of a response that are stored. There are millions of plain successes, so of those the
# beginning; of anything else, which people read, all but the longest error pages.
ANSWER_MAX: Final = 2_000
FAILURE_ANSWER_MAX: Final = 16_000
BY_PROXY: Final = "by_proxy"  # among the remarks: the remote address is the egress proxy's


@dataclass(frozen=True, slots=True)
class Partner:
    """An enabled operator, as delivery needs it. *secret* signs, and is still encrypted."""

    id: int
    code: str
    protocol: str
    url: str
    secret: str = field(repr=False)
    agent: str | None
    rate: float | None  # notices per second
    in_flight: int
    sign_calls: bool = False  # seamless
    # Its own terms of delivery, where it has any (`models.operators.delivery_terms`).
    access: str | None = field(default=None, repr=False)  # sealed: `models.access.document`
    user_agent: str | None = None
    timeout: timedelta | None = None
    retry_schedule: str | None = None
    retry_limit: timedelta | None = None
    taken: str | None = None
    create_taken: str | None = None
    success_json: bool = False
    success_text: str | None = None
    pass_trace: bool = False


@made_often
class Claim:
    """A notice that one deliverer may send until its lease is over (rule 14)."""

    notice: int
    ticket: int
    operator: int
    operator_code: str
    ticket_id: str
    action: Action
    generation: int
    path: str
    body: str  # the exact text to sign and send
    stored_key: str | None  # the notice's own key, where its ids joined by `/` are ambiguous
    number: int  # which claim of this notice it is, from 1
    tries: int  # attempts before this one
    first_tried_at: datetime | None  # moved on by the time that does not count
    claimed_at: datetime  # the database's clock
    lease: UUID
    perhaps_delivered: bool = False  # by an attempt before this one
    repeat: int = 0  # rule 22; 0: the original
    timeout: timedelta | None = None  # of its call, which its lease covers; None: as for all
    traceparent: str | None = None  # the trace that it belongs to

    @property
    def sent_once(self) -> bool:
        """Whether it is a create or reserve, which is never sent twice (rule 10)."""
        return self.action in SENT_ONCE

    @property
    def went_out_before(self) -> bool:
        """Whether this is not its first call: an earlier attempt, or its original (rule 22)."""
        return self.number > 1 or self.repeat > 0

    @property
    def idempotency_key(self) -> str:
        """What identifies this notice, the same on every attempt (H42)."""
        return self.stored_key or plain_key(
            self.operator_code, self.ticket_id, self.action, self.generation
        )


@dataclass(frozen=True, slots=True)
class Delivered:
    """The partner accepted it."""

    word: ClassVar = "delivered"  # as the database and the metrics name it


@dataclass(frozen=True, slots=True)
class RetryLater:
    """The partner did not accept it, or was never reached. Try again after *pause*."""

    word: ClassVar = "again"

    pause: timedelta


@dataclass(frozen=True, slots=True)
class Unanswered:
    """It was sent and got no response: perhaps delivered. Try again after *pause* (rule 15)."""

    word: ClassVar = "unanswered"

    pause: timedelta


@dataclass(frozen=True, slots=True)
class Dead:
    """No further attempt can help, for *reason*. A person decides (rule 18)."""

    word: ClassVar = "dead"

    reason: str
    perhaps_delivered: bool = False  # the last attempt got no response
    out_of_time: bool = False  # tried for too long; the last response alone would not kill it


Verdict = Delivered | RetryLater | Unanswered | Dead


class TokenTrouble(StrEnum):
    """Why an attempt says nothing about its notice: its token (OAuth 2). It uses up none."""

    MISSING = "missing"  # the token endpoint gave none, so nothing was sent
    RENEWED = "renewed"  # the partner no longer takes it; the next attempt has another


@made_often
class Attempt:
    """One call and its verdict. *answer*: the first characters of the response.

    *sent_at*: when its request was signed; None if none was made. *response_headers*: of what is
    not a plain success. *traceparent*: the trace that its call named to the partner, if any.

    *retry_after*: the pause that the partner asks for, counted from its response (`Retry-After`).
    *refused*: the partner refused this call, even if it is tried again as a discard is (rule 10).
    """

    claim: Claim
    verdict: Verdict
    took: timedelta
    http_status: int | None = None
    problem: str | None = None
    answer: str | None = None
    remarks: dict[str, Any] | None = None
    retry_after: timedelta = timedelta()
    refused: bool = False
    sent_at: datetime | None = None
    remote_address: str | None = None
    response_headers: dict[str, Any] | None = None
    traceparent: str | None = None
    token_trouble: TokenTrouble | None = None  # not stored: the problem says it

    @property
    def wallet_reported(self) -> bool:
        """Whether the wallet's body says what became of the call, whatever the HTTP status is."""
        return "code" in (self.remarks or {})


@dataclass(frozen=True, slots=True)
class CircuitChange:
    """A partner's circuit was opened, with the *reason*, or closed (None)."""

    operator_code: str
    reason: str | None


@dataclass(frozen=True, slots=True)
class Recorded:
    """What recording changed. *due*: a following notice is due now, so claim again at once.

    *attempts* are as they count: a failing partner kills no notice, so those are tried again.
    """

    attempts: Sequence[Attempt]
    due: bool
    circuit_changes: Sequence[CircuitChange] = ()

    @property
    def verdicts(self) -> Counter[str]:
        """The number of attempts of each verdict."""
        return Counter(attempt.verdict.word for attempt in self.attempts)
