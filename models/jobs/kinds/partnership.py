"""The kind of job that ends the tickets of an operator whose partnership has ended (rule 24)."""

from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection

from models.jobs.values import Arguments, Job, JobKind, StepResult
from models.operators.listing import unknown_operator
from models.outbox.dead_letters import NotPossible
from models.partnerships.tickets import (
    END_PARTNERSHIP,
    count_left,
    end_tickets,
    find_ended_operator,
)
from models.platform.bounded_count import COUNT_MAX, BoundedCount
from models.platform.errors import InvalidError

_AGAIN_AFTER: Final = timedelta(seconds=1)  # another transaction has what is left
_PLACE: Final = "after"


def _prepare(connection: Connection, arguments: Arguments, now: datetime) -> Arguments:  # noqa: ARG001 - the signature of `JobKind.prepare`
    code = arguments.get("operator")
    if not isinstance(code, str):
        raise InvalidError("name the operator whose partnership has ended")
    ended = find_ended_operator(connection, code)
    if ended is None:
        raise unknown_operator(connection, code)
    if not ended.has_ended:
        raise NotPossible(
            f"the partnership with operator {code!r} goes on; end it first:"
            f" `slipway operators end {code}`"
        )
    return {"operator": code}


def _count(connection: Connection, arguments: Arguments) -> BoundedCount:
    operator = _operator(connection, arguments)
    return BoundedCount.of(count_left(connection, operator, limit=COUNT_MAX + 1))


def _step(connection: Connection, job: Job, now: datetime, limit: int) -> StepResult:
    after = 0 if job.position is None else int(job.position[_PLACE])
    operator = _operator(connection, job.arguments)
    ended = end_tickets(connection, operator, now=now, limit=limit, after=after)
    if ended.last is None:
        # What another transaction had is behind the place that was reached.
        return StepResult(finished=after == 0, position={_PLACE: 0})
    return StepResult(
        finished=False,
        done=ended.tickets,
        position={_PLACE: ended.last},
        wait=timedelta(0) if ended.tickets else _AGAIN_AFTER,
    )


def _operator(connection: Connection, arguments: Arguments) -> int:
    ended = find_ended_operator(connection, arguments["operator"])
    assert ended is not None, "operators are never removed"
    return ended.id


KIND: Final = JobKind(END_PARTNERSHIP, _count, _step, _prepare)
