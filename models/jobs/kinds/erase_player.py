"""The job that erases a player (rule 25). Its arguments name an erasure, never the player.

It ends when the last of the player's tickets has ended and was blanked, which may be days later;
until then a batch without work looks once a minute whether one has.
"""

from datetime import datetime
from typing import Final

from sqlalchemy import Connection

from models.erasure import advance_erasure, count_tickets, find_erasure, report_erasure
from models.jobs.values import Arguments, Job, JobKind, StepResult
from models.platform.bounded_count import COUNT_MAX, BoundedCount
from models.platform.errors import InvalidError
from models.vocabulary import ErasurePhase

NAME: Final = "erase_player"


def _count(connection: Connection, arguments: Arguments) -> BoundedCount:
    """Count the tickets that name the player; what else does is only known afterwards."""
    erasure = arguments["erasure"]
    return BoundedCount.of(count_tickets(connection, erasure, limit=COUNT_MAX + 1))


def _prepare(connection: Connection, arguments: Arguments, now: datetime) -> Arguments:  # noqa: ARG001 - the signature of `JobKind.prepare`
    erasure = arguments.get("erasure")
    if not isinstance(erasure, int):
        raise InvalidError("the argument `erasure` is the number of an erasure")
    return {**arguments, "operator": find_erasure(connection, erasure).operator}


def _step(connection: Connection, job: Job, now: datetime, limit: int) -> StepResult:
    erasure = job.arguments["erasure"]
    before = find_erasure(connection, erasure).counts.get("tickets", 0)
    step = advance_erasure(connection, erasure, now=now, limit=limit)
    report = report_erasure(connection, erasure)
    return StepResult(
        finished=step.phase is ErasurePhase.DONE,
        done=report.erasure.counts.get("tickets", 0) - before,
        position={"phase": step.phase.value} if step.handled else None,
        message=_message(step.phase, len(report.waiting), more=report.more),
        wait=step.wait,
    )


def _message(phase: ErasurePhase, waiting: int, *, more: bool) -> str:
    match phase:
        case ErasurePhase.SEARCHING:
            return "searches the tables for what names the player"
        case ErasurePhase.WAITING if not waiting:
            return "waits for jobs to end that name the player"
        case ErasurePhase.WAITING:
            tickets = "1 ticket" if waiting == 1 and not more else f"{waiting}{'+' * more} tickets"
            return f"waits for {tickets} to end"
        case ErasurePhase.FINISHING:
            return "searches what was written since it began"
        case ErasurePhase.DONE:
            return "nothing names the player any more"


KIND: Final = JobKind(NAME, count=_count, step=_step, prepare=_prepare)
