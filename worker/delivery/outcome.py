"""From the reply to the verdict: what is recorded of an attempt. The same for every dialect."""

from datetime import timedelta
from typing import Final, assert_never

from models.outbox.values import (
    Attempt,
    Claim,
    Dead,
    Delivered,
    RetryLater,
    Unanswered,
    Verdict,
)
from models.vocabulary import Action
from worker.delivery.http.exchange import HttpResponse, NoAnswer, NotReached, Reply
from worker.delivery.protocols.adapter import (
    Accepted,
    Meaning,
    NotNow,
    ProtocolAdapter,
    Rejected,
    Unclear,
)
from worker.delivery.retry import RetryPolicy, asked_pause

ANSWER_CHARS_MAX: Final = 2000  # kept with the attempt
_NO_TIME: Final = timedelta()


def judge(
    claim: Claim,
    reply: Reply,
    *,
    took: timedelta,
    dialect: ProtocolAdapter,
    policy: RetryPolicy,
    chance: float,
) -> Attempt:
    """Make of a reply what is recorded. *chance*: 0 to 1, for the jitter.

    Not reached and not now: again. No answer, or one that leaves open what the partner did:
    unanswered. Refused: dead, but a discard goes on (protocol.md rule 10). When the time for
    attempts is over, dead with the last problem.
    """
    match reply:
        case HttpResponse():
            meaning = dialect.read(claim, reply)
            asked = asked_pause(reply.retry_after, now=claim.claimed_at + took)
            return Attempt(
                claim=claim,
                verdict=_verdict(claim, meaning, asked=asked, policy=policy, chance=chance),
                took=took,
                http_status=reply.status,
                problem=None if isinstance(meaning, Accepted) else meaning.problem,
                answer=_kept(reply),
                remarks=meaning.remarks,
                retry_after=asked,
                refused=isinstance(meaning, Rejected),
            )
        case NotReached(problem):
            return not_sent(claim, problem, took=took, policy=policy, chance=chance)
        case NoAnswer(problem):
            verdict = _in_doubt(claim, problem, policy=policy, chance=chance)
            return Attempt(claim=claim, verdict=verdict, took=took, problem=problem)
        case _:
            assert_never(reply)


def not_sent(
    claim: Claim, problem: str, *, took: timedelta = _NO_TIME, policy: RetryPolicy, chance: float
) -> Attempt:
    """Make an attempt of one that sent nothing: the partner certainly does not have it."""
    pause = _pause(claim, policy=policy, chance=chance)
    verdict = _given_up(problem, policy) if pause is None else RetryLater(pause)
    return Attempt(claim=claim, verdict=verdict, took=took, problem=problem)


def _verdict(
    claim: Claim,
    meaning: Meaning,
    *,
    asked: timedelta,
    policy: RetryPolicy,
    chance: float,
) -> Verdict:
    match meaning:
        case Accepted():
            return Delivered()
        case Rejected(problem, words) if claim.action is not Action.DISCARD:
            return Dead(problem if words is None else f"{problem}: {words}")
        case Unclear(problem):
            return _in_doubt(claim, problem, asked=asked, policy=policy, chance=chance)
        case NotNow(problem) | Rejected(problem):
            pause = _pause(claim, asked=asked, policy=policy, chance=chance)
            return _given_up(problem, policy) if pause is None else RetryLater(pause)
        case _:
            assert_never(meaning)


def _in_doubt(
    claim: Claim,
    problem: str,
    *,
    asked: timedelta = _NO_TIME,
    policy: RetryPolicy,
    chance: float,
) -> Verdict:
    """The partner may have acted."""
    pause = _pause(claim, asked=asked, policy=policy, chance=chance)
    if pause is None:
        return _given_up(problem, policy, in_doubt=True)
    return Unanswered(pause)


def _pause(
    claim: Claim, *, asked: timedelta = _NO_TIME, policy: RetryPolicy, chance: float
) -> timedelta | None:
    first = claim.first_tried_at
    age = _NO_TIME if first is None else claim.claimed_at - first
    return policy.pause(claim.action, tries=claim.tries, age=age, asked=asked, chance=chance)


def _given_up(problem: str, policy: RetryPolicy, *, in_doubt: bool = False) -> Dead:
    return Dead(
        f"not taken within {policy.limit / timedelta(hours=1):g} h; at last: {problem}",
        perhaps_delivered=in_doubt,
        out_of_time=True,
    )


def _kept(answer: HttpResponse) -> str | None:
    """The partner's words, as far as they are kept; PostgreSQL's text holds no NUL."""
    text = answer.body[: 4 * ANSWER_CHARS_MAX].decode(errors="replace").replace("\x00", "\ufffd")
    return text[:ANSWER_CHARS_MAX] or None
