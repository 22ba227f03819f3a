"""Advances jobs: one batch of one job in the caller's transaction, whichever has its turn.

What a batch did and how far the job is are committed together, so a death between two steps loses
nothing and does nothing twice. Any number of processes may advance jobs: each locks the row of its
job and skips the others' rows.
"""

import json
import logging
import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection, text

from models.database.errors import UNEXPLAINED, Blame, blame, error_name
from models.jobs.registry import KINDS
from models.jobs.store import find_job
from models.jobs.values import REASONS_MAX, Job, JobKind, StepResult
from models.platform.errors import SlipwayError
from models.vocabulary import JobState

log = logging.getLogger(__name__)

# A batch of a paced job holds the items of one second.
PACED_SPAN: Final = timedelta(seconds=1)
# A round of the sweep that comes late is made up for, a longer pause is not: no burst follows it.
LATENESS_MAX: Final = PACED_SPAN / 2
# After an error that the content is not to blame for: a lock that was not available, say.
PAUSE: Final = timedelta(seconds=5)
OTHER_REASONS: Final = "other reasons"
REASON_CHARACTERS_MAX: Final = 500

# In turn: the one that has waited longest. Its time is when its last batch began, or when its pace
# allows the next.
NEXT: Final = text("""
    SELECT id FROM job
     WHERE ended_at IS NULL AND next_at <= :now AND kind = ANY(:kinds)
     ORDER BY next_at, id LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED""")
STORE: Final = text("""
    UPDATE job
       SET state = :state, done = :done, refused = :refused, unchanged = :unchanged,
           reasons = CAST(:reasons AS jsonb), position = CAST(:position AS jsonb),
           message = :message, next_at = :next_at, started_at = coalesce(started_at, :now),
           progressed_at = CASE WHEN :progressed THEN :now ELSE progressed_at END,
           ended_at = CASE WHEN :ended THEN CAST(:now AS timestamptz) END, failing_since = NULL
     WHERE id = :id""")
POSTPONE: Final = text("""
    UPDATE job
       SET next_at = :next_at, message = :message, failing_since = coalesce(failing_since, :now)
     WHERE id = :id""")


@dataclass(frozen=True, slots=True)
class AdvancedJob:
    """The job that was advanced, as it stands now. *handled*: items in this batch."""

    job: Job
    handled: int = 0
    due: bool = False  # a notice is due now


def advance_jobs(connection: Connection, *, now: datetime, limit: int) -> AdvancedJob | None:
    """Advance the job whose turn it is by one batch of at most *limit* items.

    Returns None if no job can be advanced now. Raises what the database raises when it is
    unavailable; the job is then continued where it was.
    """
    parameters = {"now": now, "kinds": list(KINDS)}
    job_id = connection.execute(NEXT, parameters).scalar_one_or_none()
    if job_id is None:
        return None
    job = find_job(connection, job_id)
    kind = KINDS[job.kind]
    limit = _limit(job, min(limit, kind.batch_max))
    try:
        with connection.begin_nested():
            result = kind.step(connection, job, now, limit)
    except Exception as error:
        if connection.invalidated:
            raise
        if blame(error) is not Blame.CONTENT:
            return _postpone(connection, job, error, now=now)
        return _isolate(connection, kind, job, limit, now=now)
    job = _apply(job, result, now=now)
    _store(connection, job, now=now, progressed=_is_progress(result))
    return AdvancedJob(job, result.handled, result.due)


def _limit(job: Job, limit: int) -> int:
    if job.pace is None:
        return limit
    return max(1, min(limit, math.ceil(job.pace * PACED_SPAN.total_seconds())))


def _isolate(
    connection: Connection, kind: JobKind, job: Job, limit: int, *, now: datetime
) -> AdvancedJob:
    """Handle the items of a failed batch one by one; the job fails at the one that is to blame."""
    handled, due, progressed = 0, False, False
    while not job.has_ended and handled < limit:
        try:
            with connection.begin_nested():
                result = kind.step(connection, job, now, 1)
        except Exception as error:
            if connection.invalidated:
                raise
            if blame(error) is not Blame.CONTENT:
                if progressed:
                    _store(connection, job, now=now, progressed=True)
                return replace(_postpone(connection, job, error, now=now), handled=handled, due=due)
            job = _failed(job, error, now=now)
            break
        job = _apply(job, result, now=now)
        progressed = progressed or _is_progress(result)
        handled, due = handled + result.handled, due or result.due
        if not _is_progress(result):
            break
    _store(connection, job, now=now, progressed=progressed)
    return AdvancedJob(job, handled, due)


def _apply(job: Job, result: StepResult, *, now: datetime) -> Job:
    """Return the job after a batch."""
    return replace(
        job,
        state=JobState.DONE if result.finished else JobState.RUNNING,
        done=job.done + result.done,
        refused=job.refused + result.refused,
        unchanged=job.unchanged + result.unchanged,
        reasons=_with_reasons(job.reasons, result.reasons),
        position=job.position if result.position is None else result.position,
        message=result.message,
        next_at=_next_at(job, result, now=now),
        ended_at=now if result.finished else None,
    )


def _next_at(job: Job, result: StepResult, *, now: datetime) -> datetime:
    at = now + result.wait
    if job.pace is None:
        return at
    due = max(job.next_at, now - LATENESS_MAX) + timedelta(seconds=result.handled / job.pace)
    return max(at, due)


def _with_reasons(known: Mapping[str, int], more: Mapping[str, int]) -> Mapping[str, int]:
    """Add the counts; reasons beyond `REASONS_MAX` are counted together."""
    counts = Counter(known)
    for reason, count in more.items():
        short = reason[:REASON_CHARACTERS_MAX]
        is_kept = short in counts or len(counts.keys() - {OTHER_REASONS}) < REASONS_MAX
        counts[short if is_kept else OTHER_REASONS] += count
    return counts


def _failed(job: Job, error: Exception, *, now: datetime) -> Job:
    log.error("job_failed", exc_info=error, extra={"job": job.id, "kind": job.kind})
    reason = str(error) if isinstance(error, SlipwayError) else error_name(error)
    message = f"failed after {job.handled:,} items: {reason}"[:REASON_CHARACTERS_MAX]
    return replace(job, state=JobState.FAILED, message=message, ended_at=now)


def _postpone(connection: Connection, job: Job, error: Exception, *, now: datetime) -> AdvancedJob:
    """Leave the job where it was for a while, so that the others have their turn."""
    event = UNEXPLAINED if blame(error) is Blame.UNCLEAR else "job_postponed"
    log.warning(event, extra={"job": job.id, "kind": job.kind, "error": error_name(error)})
    message = f"waits after an error of the database: {error_name(error)}"
    parameters = {"id": job.id, "next_at": now + PAUSE, "message": message, "now": now}
    connection.execute(POSTPONE, parameters)
    return AdvancedJob(replace(job, next_at=now + PAUSE, message=message))


def _is_progress(result: StepResult) -> bool:
    return bool(result.handled or result.finished or result.position is not None)


def _store(connection: Connection, job: Job, *, now: datetime, progressed: bool) -> None:
    parameters = {
        "id": job.id,
        "state": job.state.value,
        "done": job.done,
        "refused": job.refused,
        "unchanged": job.unchanged,
        "reasons": json.dumps(dict(job.reasons)),
        "position": None if job.position is None else json.dumps(dict(job.position)),
        "message": job.message,
        "next_at": job.next_at,
        "now": now,
        "progressed": progressed,
        "ended": job.has_ended,
    }
    connection.execute(STORE, parameters)
