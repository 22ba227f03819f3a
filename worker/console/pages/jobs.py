"""Jobs: what each does, who started it and why, how far it is; and how to stop one."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Annotated, Final, NamedTuple

from annotated_types import Ge, Le
from fastapi import APIRouter, Path, Request
from fastapi.responses import Response
from sqlalchemy import Connection

from models.jobs import (
    KINDS,
    Job,
    JobState,
    describe_job,
    find_job,
    items_of,
    list_jobs,
    rate_of,
    stop_job,
    time_left,
)
from models.jobs.kinds.dead_notices import RETRY_NOTICES, SKIP_NOTICES
from models.users import Role, SignedInUser
from worker.console.addresses import path_of
from worker.console.console import TheConsole
from worker.console.cursors import read_cursor, write_cursor
from worker.console.display.personal import MASK, sees_personal
from worker.console.filters import read_text, read_word
from worker.console.forms import TheAct
from worker.console.live import live_response
from worker.console.people import Support, TheNow, Viewer
from worker.console.refusals import PageRefused
from worker.console.rendering import render, see_other

PAGE: Final = 50
STALLED_AFTER: Final = timedelta(minutes=1)
_ID_MAX: Final = 2**63 - 1
_TONES: Final = {
    JobState.WAITING: "neutral",
    JobState.RUNNING: "info",
    JobState.STOPPED: "warning",
    JobState.DONE: "good",
    JobState.FAILED: "bad",
}
_ERASURE: Final = "erase_player"
_OF_DEAD_NOTICES: Final = (RETRY_NOTICES.name, SKIP_NOTICES.name)
_END_PARTNERSHIP: Final = "end_partnership"

JobId = Annotated[int, Path(ge=1, le=_ID_MAX)]

routes = APIRouter()


class JobCursor(NamedTuple):
    """Where a page of the list ends, as it comes back in an address."""

    id: Annotated[int, Ge(1), Le(_ID_MAX)]


@dataclass(frozen=True, slots=True)
class JobView:
    """A job as a page shows it to one user."""

    job: Job
    does: str
    items: str
    why: str
    message: str | None
    tone: str
    total: int | None  # None: more than were counted
    rate: float | None
    left: timedelta | None
    link: tuple[str, str] | None  # the words and the path of what it is about
    stalled: bool
    can_stop: bool

    @classmethod
    def of(cls, job: Job, user: SignedInUser, now: datetime) -> "JobView":
        """Describe *job*."""
        open_eyes = sees_personal(user.role)
        return cls(
            job,
            does=describe_job(job, with_texts=open_eyes),
            items=items_of(job),
            # A reason may name a player, and the message of a job that was stopped quotes one.
            why=job.why if open_eyes else MASK,
            message=job.message if open_eyes or job.state is not JobState.STOPPED else MASK,
            tone=_TONES[job.state],
            total=job.expected.number if job.expected.exact else None,
            rate=rate_of(job),
            left=time_left(job),
            link=_link(job),
            stalled=not job.has_ended and now - job.next_at > STALLED_AFTER,
            can_stop=not job.has_ended and may_stop(user, job),
        )


def may_stop(user: SignedInUser, job: Job) -> bool:
    """Return whether *user* may stop the job: operations any, support those of their own."""
    if user.role.allows(Role.OPERATIONS):
        return True
    return user.role.allows(Role.SUPPORT) and job.who == user.name


@routes.get("/jobs")
async def jobs(
    request: Request,
    user: Viewer,
    console: TheConsole,
    now: TheNow,
    state: str | None = None,
    kind: str | None = None,
    after: str | None = None,
) -> Response:
    """List jobs, newest first."""
    place = read_cursor(after, JobCursor)
    only = read_word("State", state, JobState)
    chosen = read_text("Kind", kind)
    listed = await console.read(
        lambda connection: list_jobs(
            connection,
            states=None if only is None else [only],
            kind=chosen,
            before=None if place is None else place.id,
            limit=PAGE + 1,
        )
    )
    shown = listed[:PAGE]
    return render(
        request,
        "jobs.html",
        views=[JobView.of(job, user, now) for job in shown],
        states=[each.value for each in JobState],
        kinds=[(name, name.replace("_", " ")) for name in KINDS],
        query={"state": state, "kind": kind},
        next_cursor=write_cursor(JobCursor(shown[-1].id)) if len(listed) > PAGE else None,
        first=place is None,
    )


@routes.get("/jobs/live")
async def jobs_live(request: Request, user: Viewer) -> Response:
    """Say when the newest jobs have changed."""
    return live_response(
        request, user, lambda connection: list(map(_pulse, list_jobs(connection, limit=PAGE)))
    )


@routes.get("/jobs/{job_id}")
async def job(
    request: Request, user: Viewer, console: TheConsole, now: TheNow, job_id: JobId
) -> Response:
    """Show one job: all of it."""
    shown = await console.read(lambda connection: find_job(connection, job_id))
    hidden = set() if sees_personal(user.role) else {"answer", "reason"}
    arguments = {name: given for name, given in shown.arguments.items() if name not in hidden}
    reasons = sorted(shown.reasons.items(), key=lambda counted: -counted[1])
    return render(
        request,
        "job.html",
        view=JobView.of(shown, user, now),
        job=shown,
        arguments=arguments,
        reasons=reasons if sees_personal(user.role) else [(MASK, n) for _, n in reasons],
        goes_on=shown.kind == _END_PARTNERSHIP,
    )


@routes.get("/jobs/{job_id}/live")
async def job_live(request: Request, user: Viewer, job_id: JobId) -> Response:
    """Say when the job has changed."""
    return live_response(request, user, lambda connection: _pulse(find_job(connection, job_id)))


@routes.post("/jobs/{job_id}/stop")
async def stop(
    request: Request, user: Support, act: TheAct, console: TheConsole, now: TheNow, job_id: JobId
) -> Response:
    """Stop a job between two batches."""

    def work(connection: Connection) -> Job:
        if not may_stop(user, find_job(connection, job_id)):
            raise PageRefused(
                HTTPStatus.FORBIDDEN,
                "Not allowed",
                "Support stops the jobs that they started; for any other, ask somebody of"
                " operations. Nothing was done.",
            )
        return stop_job(connection, job_id, person=act.person, now=now)

    stopped = await console.change(work)
    message = (
        f"Job {job_id} is stopped after {stopped.handled:,} of {stopped.expected}. What it has done"
        " stays done; nothing more is done."
    )
    return see_other(request, path_of("jobs", job_id), message=message)


def _pulse(job: Job) -> tuple[object, ...]:
    return job.id, job.state, job.done, job.refused, job.unchanged, job.message


def _link(job: Job) -> tuple[str, str] | None:
    operator, ticket_id = job.arguments.get("operator"), job.arguments.get("ticket_id")
    if job.kind == _ERASURE:
        return "All erasures", path_of("erasures")
    if job.kind in _OF_DEAD_NOTICES:
        return "What is dead now", path_of("notices", query={"partner": operator})
    if operator and ticket_id:
        return f"Ticket {ticket_id}", path_of("tickets", operator, ticket_id)
    if operator:
        return f"Partner {operator}", path_of("partners", operator)
    return None
