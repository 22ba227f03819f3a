"""Sends again what a partner took between two times, ticket by ticket (rule 22).

It goes through the attempts of that time in their order, each of which leads to a ticket. A ticket
that had its turn is found by the record of it, an intervention that names the job: so it has one
turn, whatever dies in between. One with something unfinished is left for a later pass; passes go on
until none is left.
"""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection, text

from models.database.one_by_one import together_or_one_by_one
from models.jobs.values import Arguments, Job, JobKind, StepResult
from models.operators.interventions import Change, Person, record_intervention
from models.operators.listing import unknown_operator
from models.outbox.dead_letters import NotPossible
from models.outbox.repeats import (
    SENT_AGAIN,
    BodyErased,
    BodyRemoved,
    NothingToRepeat,
    StillUnfinished,
)
from models.outbox.send_again import SentAgain
from models.outbox.taken_between import (
    READ_AT_ONCE,
    AttemptPlace,
    TakenAttempt,
    TimeWindow,
    attempts_behind,
    count_taken,
    first_taken,
)
from models.platform.bounded_count import COUNT_MAX, BoundedCount
from models.platform.errors import InvalidError
from models.platform.timestamps import parse_timestamp
from models.triage.send_again import send_many_again

BETWEEN_PASSES: Final = timedelta(seconds=15)
# An attempt is dated when its recording begins, and is seen when that has committed.
RECORDED_WITHIN: Final = timedelta(minutes=1)
OPERATOR: Final = text(
    "SELECT id, ended_at IS NOT NULL AS has_ended FROM operator WHERE code = :code"
)


@dataclass(slots=True)
class Passage:
    """How far a job is: in which pass, where, and what this pass has left so far."""

    number: int
    place: AttemptPlace
    left: int = 0
    first_left: AttemptPlace | None = None  # the next pass begins there

    @classmethod
    def of(cls, job: Job, since: datetime) -> "Passage":
        """Return where *job* continues; at first before everything."""
        if job.position is None:
            return cls(1, AttemptPlace(since))
        stored = job.position
        first_left = stored["first_left"]
        return cls(
            stored["pass"],
            AttemptPlace.stored(stored["place"]),
            stored["left"],
            None if first_left is None else AttemptPlace.stored(first_left),
        )

    @property
    def words(self) -> dict[str, Any]:
        """The passage as a JSON object."""
        return {
            "pass": self.number,
            "place": self.place.words,
            "left": self.left,
            "first_left": None if self.first_left is None else self.first_left.words,
        }

    def leave(self, before: AttemptPlace) -> None:
        """Note that a ticket at the attempt behind *before* is left for the next pass."""
        self.left += 1
        self.first_left = self.first_left or before


@dataclass(slots=True)
class TicketBatch:
    """The tickets whose turn it is, each with the place before the attempt that led to it."""

    before: dict[int, AttemptPlace] = field(default_factory=dict)
    removed: set[int] = field(default_factory=set)
    results: dict[int, SentAgain | NotPossible] = field(default_factory=dict)


def _prepare(connection: Connection, arguments: Arguments, now: datetime) -> Arguments:
    code = str(arguments.get("operator"))
    operator = connection.execute(OPERATOR, {"code": code}).one_or_none()
    if operator is None:
        raise unknown_operator(connection, code)
    if operator.has_ended:
        raise NotPossible(
            f"the partnership with operator {code!r} has ended: nothing is sent again"
        )
    try:
        since, until = (parse_timestamp(str(arguments.get(name))) for name in ("since", "until"))
    except ValueError as problem:
        raise InvalidError(f"since and until are times: one {problem}") from None
    if since >= until:
        raise InvalidError("the time begins after it ends: since must be before until")
    if until > now:
        raise InvalidError(
            "the time ends in the future: only what the partner has taken already is sent again"
        )
    return arguments


def _count(connection: Connection, arguments: Arguments) -> BoundedCount:
    tickets, is_exact = count_taken(connection, _window(connection, arguments))
    return BoundedCount(min(tickets, COUNT_MAX), is_exact and tickets <= COUNT_MAX)


def _window(connection: Connection, arguments: Arguments) -> TimeWindow:
    code = arguments["operator"]
    return TimeWindow(
        connection.execute(OPERATOR, {"code": code}).scalar_one(),
        parse_timestamp(arguments["since"]),
        parse_timestamp(arguments["until"]),
    )


def _step(connection: Connection, job: Job, now: datetime, limit: int) -> StepResult:
    if connection.execute(OPERATOR, {"code": job.arguments["operator"]}).one().has_ended:
        message = "ended with the partnership: nothing more is sent again"
        return StepResult(finished=True, message=message)
    window = _window(connection, job.arguments)
    if now < window.until + RECORDED_WITHIN:
        message = "waits until all attempts of that time are recorded"
        wait = window.until + RECORDED_WITHIN - now
        return StepResult(finished=False, wait=wait, message=message)
    passage = Passage.of(job, window.since)
    attempts = attempts_behind(connection, window, passage.place, job=job.id)
    batch, is_end = _batch_of(attempts, passage, limit)
    _send(connection, job, window, batch, now=now)
    return _result_of(batch, passage, is_end=is_end)


def _batch_of(
    attempts: Sequence[TakenAttempt], passage: Passage, limit: int
) -> tuple[TicketBatch, bool]:
    """Choose at most *limit* tickets, and move the passage behind the last attempt looked at.

    Returns whether that was the last one of the time.
    """
    batch = TicketBatch()
    for attempt in attempts:
        ticket = None if attempt.had_its_turn else attempt.ticket
        if ticket is not None and ticket not in batch.before:
            if len(batch.before) == limit:
                return batch, False
            batch.before[ticket] = passage.place
        passage.place = attempt.place
    return batch, len(attempts) < READ_AT_ONCE


def _send(
    connection: Connection, job: Job, window: TimeWindow, batch: TicketBatch, *, now: datetime
) -> None:
    """Send the tickets again together, or one by one if one of them makes that impossible."""
    firsts = first_taken(connection, window, batch.before)
    batch.removed = batch.before.keys() - firsts.keys()
    person = Person(job.who, job.why)
    code = job.arguments["operator"]

    def send(tickets: Collection[int]) -> int:
        chosen = {ticket: firsts[ticket] for ticket in tickets}
        batch.results |= send_many_again(
            connection, chosen, operator=code, person=person, now=now, job=job.id
        )
        return 0

    def refuse(ticket: int, error: Exception) -> int:
        refusal = NotPossible(f"its rows cannot be read: {type(error).__name__}")
        facts = {"notices": 0, "refused": str(refusal), "job": job.id}
        change = Change(SENT_AGAIN, operator=code, ticket=ticket, facts=facts)
        record_intervention(connection, change, person=person, at=now)
        batch.results[ticket] = refusal
        return 0

    together_or_one_by_one(
        connection,
        lambda: send(firsts),
        tickets=lambda: firsts,
        alone=lambda ticket: send([ticket]),
        blamed=refuse,
    )


def _result_of(batch: TicketBatch, passage: Passage, *, is_end: bool) -> StepResult:
    done = 0
    due = False
    reasons: Counter[str] = Counter()
    waits_for: str | None = None
    for ticket, before in batch.before.items():
        match batch.results.get(ticket):
            case SentAgain() as sent:
                done, due = done + 1, due or sent.due
            case StillUnfinished() as refusal:
                passage.leave(before)
                waits_for = waits_for or str(refusal)
            case NotPossible() as refusal:
                reasons[_reason(refusal)] += 1
            case None if ticket not in batch.removed:  # an error that is logged
                passage.leave(before)
    result = StepResult(
        finished=is_end and passage.first_left is None,
        done=done,
        refused=reasons.total(),
        unchanged=len(batch.removed),
        reasons=reasons,
        position=passage.words,
        due=due,
        message=_message(passage, waits_for),
    )
    if is_end and passage.first_left is not None:
        following = Passage(passage.number + 1, passage.first_left)
        result = replace(result, position=following.words, wait=BETWEEN_PASSES)
    return result


def _reason(refusal: NotPossible) -> str:
    match refusal:
        case BodyErased():
            return "a body was erased with the player's data"
        case BodyRemoved():
            return "a body was removed: the time for which the partner's are kept is over"
        case NothingToRepeat():
            return "nothing of it may be sent again"
        case _:
            return str(refusal)


def _message(passage: Passage, waits_for: str | None) -> str | None:
    if not passage.left:
        return None
    such_as = "" if waits_for is None else f", such as: {waits_for}"
    return (
        f"pass {passage.number}: {passage.left:,} tickets with something unfinished have their turn"
        f" later{such_as}"
    )


SEND_OPERATOR_AGAIN: Final = JobKind(
    "send_operator_again", count=_count, step=_step, prepare=_prepare
)
