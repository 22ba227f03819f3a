"""`/jobs`: long acts, counted before they start, followed and stopped."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field

from models.jobs import Job, JobState, count_job, find_job, list_jobs, start_job, stop_job
from models.platform.bounded_count import BoundedCount
from models.platform.errors import InvalidError
from models.settings.settings import Settings
from worker.console.api.acts import ActBody, OperationsAct
from worker.console.api.answers import ID_MAX, After, ApiPage, Limit, RowId, answer, answer_page
from worker.console.api.authentication import ApiNow, OperationsToken, TokenFirst, ViewerToken
from worker.console.api.openapi import acts, reads
from worker.console.console import TheConsole
from worker.console.cursors import read_cursor

JobPlace = Annotated[int, Field(ge=1, le=ID_MAX)]

routes = APIRouter(tags=["jobs"], route_class=TokenFirst)


class BulkKind(StrEnum):
    """What can be done in bulk; sending a partner again and erasing have their own routes."""

    RETRY_NOTICES = "retry_notices"
    SKIP_NOTICES = "skip_notices"
    RETRY_EVENTS = "retry_events"
    DROP_EVENTS = "drop_events"
    END_PARTNERSHIP = "end_partnership"


_OF_EVENTS: Final = frozenset({BulkKind.RETRY_EVENTS, BulkKind.DROP_EVENTS})

_ARGUMENTS: Final = (
    "Which items, all of: `operator`, `ticket_id`, `action`, `reason`, `since`, `until`. Of notices"
    " also `http_status` and `answer` of the last attempt, or `ids` alone; `skip_notices` needs"
    " `delivered` (true or false). Of events: `outcome` (`parked`, `rejected` or `superseded`),"
    " or with it `entries`, the ids of rejected input; `retry_events` may have `as_now`."
    " `end_partnership` goes on with one whose job was stopped: `operator`."
)
Selecting = Annotated[dict[str, Any], Field(max_length=20, description=_ARGUMENTS)]


class CountBody(BaseModel):
    """What a job would do."""

    model_config = ConfigDict(extra="forbid")

    kind: BulkKind
    arguments: Selecting


class JobBody(ActBody):
    """What a job does, and how fast."""

    kind: BulkKind
    arguments: Selecting
    pace: Annotated[float, Field(gt=0, le=10_000, description="Items a second at most.")] | None = (
        None
    )


@routes.get("/jobs", response_model=ApiPage[Job], responses=reads())
async def jobs(
    holder: ViewerToken,
    console: TheConsole,
    state: Annotated[list[JobState] | None, Query(max_length=len(JobState))] = None,
    kind: Annotated[str | None, Query(min_length=1, max_length=50)] = None,
    after: After = None,
    limit: Limit = 50,
) -> JSONResponse:
    """List jobs, newest first: what each does, who started it, how far it is."""
    before = read_cursor(after, JobPlace)
    lines = await console.read(
        lambda connection: list_jobs(
            connection, states=state, kind=kind, before=before, limit=limit + 1
        )
    )
    place = lines[limit - 1].id if len(lines) > limit else None
    return answer_page(holder, lines[:limit], place)


@routes.get("/jobs/{job}", response_model=Job, responses=reads())
async def one_job(holder: ViewerToken, console: TheConsole, job: RowId) -> JSONResponse:
    """Show a job: what was asked for, its progress, what was refused and why."""
    return answer(holder, await console.read(lambda connection: find_job(connection, job)))


@routes.post("/jobs/count", response_model=BoundedCount, responses=reads(400, 408, 409, 415))
async def count(
    holder: OperationsToken, console: TheConsole, now: ApiNow, job: CountBody
) -> JSONResponse:
    """Count the items of a job, up to 10,000. Starts nothing."""
    arguments = _complete(job.kind, job.arguments, console.settings)
    counted = await console.read(
        lambda connection: count_job(connection, job.kind.value, arguments, now=now)
    )
    return answer(holder, counted)


@routes.post("/jobs", response_model=Job, responses=acts())
async def start(act: OperationsAct, body: JobBody) -> Response:
    """Start a job. It handles what matches now; what begins to match later is left alone."""
    arguments = _complete(body.kind, body.arguments, act.console.settings)
    return await act.carry_out(
        body,
        lambda connection, person, now: start_job(
            connection, body.kind.value, arguments, person=person, now=now, pace=body.pace
        ),
    )


@routes.post("/jobs/{job}/stop", response_model=Job, responses=acts())
async def stop(act: OperationsAct, body: ActBody, job: RowId) -> Response:
    """Stop a job between two batches: what is done stays done, nothing more is."""
    return await act.carry_out(
        body,
        lambda connection, person, now: stop_job(connection, job, person=person, now=now),
    )


def _complete(kind: BulkKind, given: Mapping[str, Any], settings: Settings) -> dict[str, Any]:
    """Return the arguments with what the settings decide. Raises InvalidError."""
    if kind not in _OF_EVENTS:
        return dict(given)
    decided = {
        "window": settings.parking_window.total_seconds(),
        "age_max": settings.event_age_max.total_seconds(),
    }
    if own := sorted(decided.keys() & given.keys()):
        raise InvalidError(f"{', '.join(own)}: the settings decide that")
    return {**given, **decided}
