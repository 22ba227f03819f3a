"""Starts, stops, finds and lists jobs. Every act is recorded as an intervention."""

import json
from collections.abc import Collection
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, text

from models.jobs.registry import kind_named
from models.jobs.values import Arguments, Job, job_of
from models.operators.interventions import WHO_MAX, WHY_MAX, Change, Person, record_intervention
from models.outbox.dead_letters import NotPossible
from models.platform.bounded_count import BoundedCount
from models.platform.errors import InvalidError, NotFoundError
from models.platform.timestamps import format_timestamp
from models.vocabulary import JobState

LISTED_MAX: Final = 1000
KEY_MAX: Final = 255

_JOB: Final = """
    SELECT id, kind, arguments, state, who, why, key, pace, expected, expected_exact, done, refused,
           unchanged, reasons, position, message, created_at, next_at, started_at, progressed_at,
           ended_at
      FROM job"""
FIND: Final = text(f"{_JOB} WHERE id = :id")
OF_KEY: Final = text(f"{_JOB} WHERE who = :who AND key = :key")
LIST: Final = text(f"""{_JOB}
     WHERE (CAST(:states AS text[]) IS NULL OR state = ANY(:states))
       AND (CAST(:kind AS text) IS NULL OR kind = :kind)
       AND (CAST(:before AS bigint) IS NULL OR id < :before)
     ORDER BY id DESC LIMIT :limit""")
INSERT: Final = text("""
    INSERT INTO job (kind, arguments, who, why, key, pace, expected, expected_exact, created_at,
                     next_at)
    VALUES (:kind, CAST(:arguments AS jsonb), :who, :why, :key, :pace, :expected, :expected_exact,
            :now, :now)
        ON CONFLICT (who, key) WHERE key IS NOT NULL DO NOTHING
 RETURNING id""")
# Waits while a batch of the job is being worked on, and then sees what it changed.
STOP: Final = text("""
    UPDATE job SET state = 'stopped', ended_at = :now, message = :message
     WHERE id = :id AND ended_at IS NULL""")
REMOVE_ENDED: Final = text("""
    WITH old AS MATERIALIZED (
        SELECT id FROM job WHERE ended_at < :before
         ORDER BY ended_at LIMIT :limit FOR UPDATE SKIP LOCKED),
    removed AS (DELETE FROM job j USING old WHERE j.id = old.id RETURNING j.id)
    SELECT count(*) FROM removed""")


class JobNotFound(NotFoundError):
    """There is no such job (any more)."""


def count_job(
    connection: Connection, kind: str, arguments: Arguments, *, now: datetime
) -> BoundedCount:
    """Return how many items a job with these arguments would handle.

    Raises what `start_job` raises.
    """
    chosen = kind_named(kind)
    return chosen.count(connection, chosen.prepare(connection, arguments, now))


def start_job(
    connection: Connection,
    kind: str,
    arguments: Arguments,
    *,
    person: Person,
    now: datetime,
    pace: float | None = None,
    key: str | None = None,
) -> Job:
    """Start a job inside the caller's transaction; the sweep carries it on once that commits.

    *pace*: at most as many items per second. *key*: started again by the same person under the
    same key, this returns the first job. Raises InvalidError for invalid arguments, and
    NotPossible if the kind refuses, or the key belongs to another act.
    """
    chosen = kind_named(kind)
    if pace is not None and not 0 < pace < float("inf"):
        raise InvalidError("the pace is a number of items per second, above 0")
    if key is not None and not 1 <= len(key) <= KEY_MAX:
        raise InvalidError(f"the key has 1 to {KEY_MAX} characters")
    if key is not None and (first := _of_key(connection, person, key)) is not None:
        return _same_act(first, kind, arguments)
    prepared = chosen.prepare(connection, arguments, now)
    expected = chosen.count(connection, prepared)
    job_id = connection.execute(
        INSERT,
        {
            "kind": kind,
            "arguments": json.dumps(dict(prepared)),
            "who": person.who[:WHO_MAX],
            "why": person.why[:WHY_MAX],
            "key": key,
            "pace": pace,
            "expected": expected.number,
            "expected_exact": expected.exact,
            "now": now,
        },
    ).scalar_one_or_none()
    if job_id is None:  # started under this key in the meantime
        assert key is not None, "only a key is in conflict"
        first = _of_key(connection, person, key)
        assert first is not None, "the insert waited for its commit"
        return _same_act(first, kind, arguments)
    job = find_job(connection, job_id)
    _record_start(connection, job, chosen.facts(prepared), person=person)
    return job


def stop_job(connection: Connection, job_id: int, *, person: Person, now: datetime) -> Job:
    """Stop a job between two batches: what is done stays done, nothing more is.

    Runs inside the caller's transaction. Raises JobNotFound, and NotPossible if it has ended.
    """
    message = f"stopped by {person.who[:WHO_MAX]}: {person.why[:WHY_MAX]}"
    parameters = {"id": job_id, "now": now, "message": message}
    stopped = connection.execute(STOP, parameters).rowcount
    job = find_job(connection, job_id)
    if not stopped:
        assert job.ended_at is not None, "else it would have been stopped"
        raise NotPossible(
            f"job {job_id} has ended already: {job.state} since {format_timestamp(job.ended_at)}"
        )
    change = Change(
        "job_stopped",
        operator=job.arguments.get("operator"),
        facts={"job": job_id, "kind": job.kind, "done": job.done, "refused": job.refused},
    )
    record_intervention(connection, change, person=person, at=now)
    return job


def find_job(connection: Connection, job_id: int) -> Job:
    """Return the job. Raises JobNotFound."""
    row = connection.execute(FIND, {"id": job_id}).one_or_none()
    if row is None:
        raise JobNotFound(f"there is no job {job_id}")
    return job_of(row)


def list_jobs(
    connection: Connection,
    *,
    states: Collection[JobState] | None = None,
    kind: str | None = None,
    before: int | None = None,
    limit: int = 100,
) -> list[Job]:
    """List jobs, newest first; *before* is the id at which the previous page ended."""
    parameters = {
        "states": None if states is None else [state.value for state in states],
        "kind": kind,
        "before": before,
        "limit": min(limit, LISTED_MAX),
    }
    return [job_of(row) for row in connection.execute(LIST, parameters)]


def remove_ended_jobs(connection: Connection, *, before: datetime, limit: int) -> int:
    """Remove jobs that ended before *before*, oldest first; return how many."""
    removed: int = connection.execute(REMOVE_ENDED, {"before": before, "limit": limit}).scalar_one()
    return removed


def _of_key(connection: Connection, person: Person, key: str) -> Job | None:
    parameters = {"who": person.who[:WHO_MAX], "key": key}
    row = connection.execute(OF_KEY, parameters).one_or_none()
    return None if row is None else job_of(row)


def _record_start(connection: Connection, job: Job, facts: Arguments, *, person: Person) -> None:
    more = {"job": job.id, "kind": job.kind, "expected": str(job.expected), "pace": job.pace}
    change = Change("job_started", operator=job.arguments.get("operator"), facts={**facts, **more})
    record_intervention(connection, change, person=person, at=job.created_at)


def _same_act(first: Job, kind: str, arguments: Arguments) -> Job:
    """Return *first*. Raises NotPossible if the same key now stands for something else."""
    given = json.loads(json.dumps(dict(arguments)))
    if first.kind != kind or any(first.arguments.get(name) != given[name] for name in given):
        raise NotPossible(
            f"this key was used for job {first.id}, {first.kind} with other arguments;"
            " use another key"
        )
    return first
