"""Jobs that retry or skip dead notices (rule 18), by a selection or by their ids."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Annotated, Any, Final

from pydantic import Field, PositiveInt
from sqlalchemy import Connection

from models.jobs.kinds.arguments import IDS_MAX, SelectedItems, Text, read, with_end, with_missing
from models.jobs.values import Arguments, Job, JobKind, StepResult
from models.operators.interventions import Person
from models.outbox.dead_letters import Resolution
from models.platform.bounded_count import BoundedCount
from models.platform.timestamps import format_timestamp
from models.triage.matching_notices import DeadPlace, count_dead, next_dead
from models.triage.together import resolve_together
from models.triage.values import Selection

Resolve = Callable[["DeadNoticeArguments"], Resolution]


class DeadNoticeArguments(SelectedItems):
    """Which dead notices; *reason* and *answer* are parts of texts."""

    http_status: Annotated[int, Field(ge=100, le=599)] | None = None
    answer: Text | None = None
    ids: Annotated[list[PositiveInt], Field(min_length=1, max_length=IDS_MAX)] | None = None

    @property
    def names_items(self) -> bool:
        """Whether the notices are named by their ids."""
        return self.ids is not None

    @property
    def selection(self) -> Selection:
        """What matches, up to `ends_at`."""
        return super().selection.of_attempt(http_status=self.http_status, answer=self.answer)

    @property
    def distinct(self) -> list[int]:
        """The ids, each once."""
        return list(dict.fromkeys(self.ids or []))


class SkipArguments(DeadNoticeArguments):
    """Which dead notices to skip, and whether the partner has them (rule 18)."""

    delivered: bool


def _count(connection: Connection, arguments: DeadNoticeArguments) -> BoundedCount:
    if arguments.ids is not None:
        return BoundedCount(len(arguments.distinct))
    return count_dead(connection, arguments.selection)


def _step(
    connection: Connection,
    job: Job,
    now: datetime,
    limit: int,
    *,
    arguments: DeadNoticeArguments,
    resolution: Resolution,
) -> StepResult:
    notices, position, finished = _next(connection, arguments, job, limit)
    assert arguments.matched_until is not None, "set at the start"
    together = resolve_together(
        connection,
        notices,
        resolution,
        now=now,
        person=Person(job.who, job.why),
        dead_until=arguments.matched_until,
        job=job.id,
    )
    refused = sum(together.refused.values())
    result = StepResult(
        finished=finished,
        done=together.resolved,
        refused=refused,
        unchanged=together.unchanged,
        reasons=together.refused,
        position=position,
        due=together.due,
    )
    return result if arguments.names_items else with_missing(job, result)


def _next(
    connection: Connection, arguments: DeadNoticeArguments, job: Job, limit: int
) -> tuple[Sequence[int], dict[str, Any] | None, bool]:
    """Return the next notices, the place behind them, and whether they are the last."""
    if arguments.ids is not None:
        ids = arguments.distinct
        start = 0 if job.position is None else job.position["next"]
        end = start + limit
        return ids[start:end], {"next": end}, end >= len(ids)
    after = None
    if job.position is not None:
        at = datetime.fromisoformat(job.position["at"])
        after = DeadPlace(job.position["operator"], at, job.position["number"])
    stretch = next_dead(connection, arguments.selection, after=after, limit=limit)
    place = stretch.place and {**stretch.place._asdict(), "at": format_timestamp(stretch.place.at)}
    return stretch.notices, place, stretch.last


def _facts(arguments: Arguments) -> Arguments:
    """Return what the intervention keeps: not the ids, and no text that may name a player."""
    facts = {name: value for name, value in arguments.items() if name not in {"ids", "answer"}}
    if "ids" in arguments:
        facts["ids"] = len(arguments["ids"])
    if "answer" in arguments:
        facts["by_answer"] = True
    return facts


def _kind(name: str, model: type[DeadNoticeArguments], resolution_of: Resolve) -> JobKind:
    def step(connection: Connection, job: Job, now: datetime, limit: int) -> StepResult:
        arguments = read(model, job.arguments)
        resolution = resolution_of(arguments)
        return _step(connection, job, now, limit, arguments=arguments, resolution=resolution)

    return JobKind(
        name,
        count=lambda connection, arguments: _count(connection, read(model, arguments)),
        step=step,
        prepare=lambda _, arguments, now: with_end(model, arguments, now),
        facts=_facts,
    )


def _skip(arguments: DeadNoticeArguments) -> Resolution:
    assert isinstance(arguments, SkipArguments), "read as such"
    return Resolution.SKIP_DELIVERED if arguments.delivered else Resolution.SKIP_NOT_DELIVERED


RETRY_NOTICES: Final = _kind("retry_notices", DeadNoticeArguments, lambda _: Resolution.RETRY)
SKIP_NOTICES: Final = _kind("skip_notices", SkipArguments, _skip)
