"""What a job is, and what a kind of job does. Values only; times are aware and in UTC."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection, Row

from models.platform.bounded_count import BoundedCount
from models.vocabulary import JobState

REASONS_MAX: Final = 20  # different reasons of refusals that a job keeps

Arguments = Mapping[str, Any]  # a JSON object


@dataclass(frozen=True, slots=True)
class Job:
    """A job as it stands."""

    id: int
    kind: str
    arguments: Arguments
    state: JobState
    who: str
    why: str
    key: str | None
    pace: float | None
    expected: BoundedCount
    done: int
    refused: int
    unchanged: int
    reasons: Mapping[str, int]  # of refusals, with their counts
    position: Mapping[str, Any] | None
    message: str | None
    created_at: datetime
    next_at: datetime
    started_at: datetime | None
    progressed_at: datetime | None
    ended_at: datetime | None

    @property
    def has_ended(self) -> bool:
        """Whether nothing of it is done any more."""
        return self.ended_at is not None

    @property
    def handled(self) -> int:
        """How many items had their turn."""
        return self.done + self.refused + self.unchanged


@dataclass(frozen=True, slots=True, kw_only=True)
class StepResult:
    """What one batch did, which is committed together with it.

    *position* is where the next batch continues, in the kind's own words. *due*: a notice is due
    now. *unchanged*: items that no longer matched at their turn. *reasons*: of refusals, counted.
    *wait*: nothing can be done before that time has passed.
    """

    finished: bool
    done: int = 0
    refused: int = 0
    unchanged: int = 0
    reasons: Mapping[str, int] = field(default_factory=dict)
    position: Mapping[str, Any] | None = None
    due: bool = False
    message: str | None = None
    wait: timedelta = timedelta(0)

    @property
    def handled(self) -> int:
        """How many items had their turn."""
        return self.done + self.refused + self.unchanged


def _as_given(connection: Connection, arguments: Arguments, now: datetime) -> Arguments:  # noqa: ARG001 - the signature of `JobKind.prepare`
    return arguments


def _itself(arguments: Arguments) -> Arguments:
    return arguments


@dataclass(frozen=True, slots=True)
class JobKind:
    """A kind of job. All its functions run inside the caller's transaction.

    *count* counts the items (bounded), and never by reading a whole table. *step* handles at most
    *limit* items from `job.position` on, and never more than *batch_max*; it must take well under a
    second. It may be
    called again with the same position, if what it did was rolled back. An error that the content
    of an item causes is repeated with a limit of 1 until that item stands alone; then the job
    fails. To go on instead, a step catches what it expects (in a savepoint) and counts it as
    refused. *prepare* checks the arguments, and adds where the matching items end (it changes none
    that was given); it raises `InvalidError` or `NotPossible`. *facts* is what of the arguments
    the record of interventions may keep: no personal data.
    """

    name: str
    count: Callable[[Connection, Arguments], BoundedCount]
    step: Callable[[Connection, Job, datetime, int], StepResult]
    prepare: Callable[[Connection, Arguments, datetime], Arguments] = _as_given
    facts: Callable[[Arguments], Arguments] = _itself
    batch_max: int = 100


def job_of(row: Row[Any]) -> Job:
    """Return the job that *row* stores."""
    return Job(
        id=row.id,
        kind=row.kind,
        arguments=row.arguments,
        state=JobState(row.state),
        who=row.who,
        why=row.why,
        key=row.key,
        pace=row.pace,
        expected=BoundedCount(row.expected, row.expected_exact),
        done=row.done,
        refused=row.refused,
        unchanged=row.unchanged,
        reasons=row.reasons,
        position=row.position,
        message=row.message,
        created_at=row.created_at,
        next_at=row.next_at,
        started_at=row.started_at,
        progressed_at=row.progressed_at,
        ended_at=row.ended_at,
    )
