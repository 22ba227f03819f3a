"""From a response to what is recorded of an attempt, and when to try again. For every protocol.

The pauses are 10 s, 30 s, 2 min, 10 min, 30 min, 1 h, then 2 h each, until 48 h are over; a
`ticket_discard` has its own: 30 min each (contracts 1.6). A partner may have pauses and
a limit of its own. Only pauses count towards the limit, and each no longer than it was meant to be:
what delays an attempt (`models/outbox/claim.py`) takes nothing away from a notice. Time and chance
are arguments.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Final, Self, assert_never

from models.operators.delivery_terms import parse_pauses
from models.outbox.values import (
    ANSWER_MAX,
    BY_PROXY,
    FAILURE_ANSWER_MAX,
    Attempt,
    Claim,
    Dead,
    Delivered,
    Partner,
    RetryLater,
    Unanswered,
    Verdict,
)
from models.platform.durations import format_duration
from models.settings.settings import Settings
from models.vocabulary import Action
from worker.delivery.front_ends import certificate_problem
from worker.delivery.http.decoding import compression_of
from worker.delivery.http.exchange import CallResult, HttpResponse, NoResponse, NotReached
from worker.delivery.protocols import ADAPTERS
from worker.delivery.protocols.adapter import (
    Confirmed,
    Meaning,
    NotNow,
    Rejected,
    Unclear,
)
from worker.delivery.response_headers import kept_headers

RETRY_AFTER_MAX: Final = timedelta(hours=2)  # a partner can slow us down this far, and no further
_SECONDS_DIGITS_MAX: Final = 9
_NO_TIME: Final = timedelta()


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """The pauses between the attempts of a notice. The last of *schedule* repeats until *limit*."""

    schedule: Sequence[timedelta]
    jitter: float  # the largest part of a pause that chance adds to it
    limit: timedelta  # an attempt that fails after pauses of this sum is the last
    discard_interval: timedelta

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Take the policy from the settings."""
        return cls(
            schedule=settings.retry_schedule,
            jitter=settings.retry_jitter,
            limit=settings.retry_limit,
            discard_interval=settings.discard_interval,
        )

    def of_partner(self, partner: Partner) -> Self:
        """Return the policy for *partner*: what it has of its own counts instead."""
        if partner.retry_schedule is None and partner.retry_limit is None:
            return self
        own = partner.retry_schedule
        return replace(
            self,
            schedule=self.schedule if own is None else parse_pauses(own),
            limit=self.limit if partner.retry_limit is None else partner.retry_limit,
        )

    def pause(
        self,
        action: Action,
        *,
        tries: int,
        age: timedelta,
        retry_after: timedelta = _NO_TIME,
        chance: float,
    ) -> timedelta | None:
        """Return the pause after a failed attempt, or None if it was the last.

        *tries*: attempts before this one. *age*: the sum of the pauses since the first attempt; 0
        if this is the first. *retry_after*: what the partner asked for (`read_retry_after`).
        *chance*: from 0 to 1; it only adds, because a pause may also be a promise of silence
        (rule 15). The pause before the last attempt is shortened, so that it is made at the limit,
        but never below the first pause of the schedule. A discard's pauses are never shortened.
        """
        if age >= self.limit:
            return None
        if action is Action.DISCARD:
            own = self.discard_interval
        else:
            own = self.schedule[min(tries, len(self.schedule) - 1)]
            own = max(min(own, self.limit - age), self.schedule[0])
        return max(own, retry_after) * (1 + self.jitter * chance)


def classify(
    claim: Claim,
    result: CallResult,
    *,
    took: timedelta,
    partner: Partner,
    policy: RetryPolicy,
    chance: float,
    remote_address: str | None = None,
    by_proxy: bool = False,
) -> Attempt:
    """Turn a result into what is recorded. *chance*: 0 to 1, for the jitter.

    Not reached and not now: again. No response, or one that leaves open what the partner did:
    unanswered. Rejected: dead, but a discard goes on (rule 10). When the time for attempts is over:
    dead, with the last problem.
    """
    match result:
        case HttpResponse():
            attempt = _answered(
                claim,
                result,
                took=took,
                partner=partner,
                policy=policy,
                chance=chance,
                remote_address=remote_address,
            )
        case NotReached(problem):
            unsent = classify_unsent(claim, problem, took=took, policy=policy, chance=chance)
            attempt = replace(unsent, sent_at=claim.claimed_at, remote_address=remote_address)
        case NoResponse(problem):
            attempt = Attempt(
                claim=claim,
                verdict=_unanswered(claim, problem, policy=policy, chance=chance),
                took=took,
                problem=problem,
                sent_at=claim.claimed_at,
                remote_address=remote_address,
            )
        case _:
            assert_never(result)
    if by_proxy and remote_address is not None:
        attempt = replace(attempt, remarks={**(attempt.remarks or {}), BY_PROXY: True})
    return attempt


def _answered(
    claim: Claim,
    response: HttpResponse,
    *,
    took: timedelta,
    partner: Partner,
    policy: RetryPolicy,
    chance: float,
    remote_address: str | None,
) -> Attempt:
    locked_out = certificate_problem(response)
    meaning = (
        NotNow(locked_out)
        if locked_out
        else ADAPTERS[partner.protocol].interpret(claim, partner, response)
    )
    is_plain = _is_plain_success(meaning)
    retry_after = _NO_TIME
    if response.retry_after is not None:
        retry_after = read_retry_after(response.retry_after, now=claim.claimed_at + took)
    return Attempt(
        claim=claim,
        verdict=_verdict(claim, meaning, retry_after=retry_after, policy=policy, chance=chance),
        took=took,
        http_status=response.status,
        problem=None if isinstance(meaning, Confirmed) else meaning.problem,
        answer=_stored_text(response, ANSWER_MAX if is_plain else FAILURE_ANSWER_MAX),
        remarks=meaning.remarks,
        retry_after=retry_after,
        refused=isinstance(meaning, Rejected),
        response_headers=None
        if is_plain
        else kept_headers(response.headers, omitted=response.headers_omitted),
        sent_at=claim.claimed_at,
        remote_address=remote_address,
    )


def classify_unsent(
    claim: Claim, problem: str, *, took: timedelta = _NO_TIME, policy: RetryPolicy, chance: float
) -> Attempt:
    """Return the attempt of a claim that sent nothing: the partner certainly does not have it."""
    pause = _pause(claim, policy=policy, chance=chance)
    verdict = _out_of_time(problem, policy) if pause is None else RetryLater(pause)
    return Attempt(claim=claim, verdict=verdict, took=took, problem=problem)


def read_retry_after(header: str | None, *, now: datetime) -> timedelta:
    """Read a `Retry-After` header: seconds, or an HTTP date (RFC 9110, 10.2.3).

    Returns from 0 to 2 h; 0 for anything else.
    """
    if header is None:
        return _NO_TIME
    value = header.strip()
    if value.isascii() and value.isdigit():
        if len(value) > _SECONDS_DIGITS_MAX:
            return RETRY_AFTER_MAX
        return min(timedelta(seconds=int(value)), RETRY_AFTER_MAX)
    try:
        moment = parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return _NO_TIME
    if moment.tzinfo is None:  # "-0000": a time in UTC from an unknown zone
        moment = moment.replace(tzinfo=UTC)
    return min(max(moment - now, _NO_TIME), RETRY_AFTER_MAX)


def _verdict(
    claim: Claim,
    meaning: Meaning,
    *,
    retry_after: timedelta,
    policy: RetryPolicy,
    chance: float,
) -> Verdict:
    match meaning:
        case Confirmed():
            return Delivered()
        case Rejected(problem, text) if claim.action is not Action.DISCARD:
            return Dead(problem if text is None else f"{problem}: {text}")
        case Unclear(problem):
            return _unanswered(
                claim, problem, retry_after=retry_after, policy=policy, chance=chance
            )
        case NotNow(problem) | Rejected(problem):
            pause = _pause(claim, retry_after=retry_after, policy=policy, chance=chance)
            return _out_of_time(problem, policy) if pause is None else RetryLater(pause)
        case _:
            assert_never(meaning)


def _unanswered(
    claim: Claim,
    problem: str,
    *,
    retry_after: timedelta = _NO_TIME,
    policy: RetryPolicy,
    chance: float,
) -> Verdict:
    """Return the verdict on an attempt on which the partner may have acted."""
    pause = _pause(claim, retry_after=retry_after, policy=policy, chance=chance)
    if pause is None:
        return _out_of_time(problem, policy, perhaps_delivered=True)
    return Unanswered(pause)


def _pause(
    claim: Claim, *, retry_after: timedelta = _NO_TIME, policy: RetryPolicy, chance: float
) -> timedelta | None:
    first = claim.first_tried_at
    age = _NO_TIME if first is None else claim.claimed_at - first
    return policy.pause(
        claim.action, tries=claim.tries, age=age, retry_after=retry_after, chance=chance
    )


def _out_of_time(problem: str, policy: RetryPolicy, *, perhaps_delivered: bool = False) -> Dead:
    return Dead(
        f"not taken within {format_duration(policy.limit)}; at last: {problem}",
        perhaps_delivered=perhaps_delivered,
        out_of_time=True,
    )


def _is_plain_success(meaning: Meaning) -> bool:
    if not isinstance(meaning, Confirmed):
        return False
    return meaning.remarks is None or not meaning.remarks.get("doubts")


def _stored_text(response: HttpResponse, characters_max: int) -> str | None:
    """Return as much of the body as is stored; PostgreSQL's text holds no NUL.

    Of a body that nobody could read, what it is.
    """
    packed = compression_of(response)
    if packed is not None:
        return f"({len(response.body)} bytes that cannot be read; compression: {packed})"
    text = response.body[: 4 * characters_max].decode(errors="replace")
    return text.replace("\x00", "\ufffd")[:characters_max] or None
