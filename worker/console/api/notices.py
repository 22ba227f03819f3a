"""`/notices`: what has to reach partners, each attempt, and what a person decides about one."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Path, Query
from fastapi.responses import JSONResponse, Response
from pydantic import AwareDatetime, Field
from sqlalchemy import Connection

from models.history.request import ShownAttempt, find_attempt
from models.jobs import Job
from models.jobs.send_again import send_again_or_wait
from models.operators.interventions import Person
from models.outbox.send_again import SentAgain
from models.platform.errors import NotFoundError
from models.triage import (
    Resolution,
    ResolvedNotice,
    Selection,
    resolve_dead,
)
from models.triage.notice_lists import ListedNotice, NoticeOutcome, list_notices
from models.triage.values import NoticePlace
from models.vocabulary import Action
from worker.console.api.acts import ActBody, KeyedAct, SupportAct
from worker.console.api.answers import (
    After,
    ApiPage,
    Code,
    CursorId,
    Id,
    Limit,
    RowId,
    Text,
    answer,
    answer_page,
)
from worker.console.api.authentication import TokenFirst, ViewerToken
from worker.console.api.openapi import acts, reads
from worker.console.api.times import GivenTime
from worker.console.console import TheConsole
from worker.console.cursors import read_cursor

_CLAIM_MAX: Final = 2**31 - 1

routes = APIRouter(tags=["notices"], route_class=TokenFirst)


class SkipAs(StrEnum):
    """What is true of a dead notice that is skipped."""

    DELIVERED = "delivered"
    NOT_DELIVERED = "not_delivered"
    REPEAT = "repeat"


_SKIPS: Final = {
    SkipAs.DELIVERED: Resolution.SKIP_DELIVERED,
    SkipAs.NOT_DELIVERED: Resolution.SKIP_NOT_DELIVERED,
    SkipAs.REPEAT: Resolution.SKIP_REPEAT,
}


class SkipBody(ActBody):
    """How a dead notice is skipped."""

    skip_as: SkipAs = Field(
        description="`delivered`: the partner has it, so a result's close delay starts."
        " `not_delivered`: the partner does not have it and never gets it. `repeat`: it is a"
        " repeat, whose original was delivered."
    )


@dataclass(frozen=True, slots=True)
class SendingAgain:
    """What sending again led to: notices that were added, or a job that waits to add them."""

    sent_again: SentAgain | None
    job: Job | None


class AttemptNotFound(NotFoundError):
    """There is no such attempt."""


def selection_of(
    operator: Code = None,
    ticket_id: Id = None,
    action: Action | None = None,
    reason: Text = None,
    since: GivenTime | None = None,
    until: GivenTime | None = None,
    http_status: Annotated[int | None, Query(ge=100, le=599)] = None,
    answer_text: Annotated[
        str | None,
        Query(alias="answer", min_length=1, max_length=255, description="Part of the answer."),
    ] = None,
) -> Selection:
    """Return what the query selects."""
    return Selection(
        operator=operator,
        ticket_id=ticket_id,
        action=None if action is None else action.value,
        reason=reason,
        since=since,
        until=until,
        http_status=http_status,
        answer=answer_text,
    )


@routes.get("/notices", response_model=ApiPage[ListedNotice], responses=reads())
async def notices(
    holder: ViewerToken,
    console: TheConsole,
    chosen: Annotated[Selection, Depends(selection_of)],
    outcome: NoticeOutcome = NoticeOutcome.DEAD,
    after: After = None,
    limit: Limit = 50,
) -> JSONResponse:
    """List notices by how they stand; those that wait begin with the next, others with the newest.

    `since` and `until` are times of what orders the list. However few match, a page examines a
    bounded number, so it may hold few lines, or none, and have a next one.
    """
    cursor = read_cursor(after, tuple[AwareDatetime, CursorId])
    place = None if cursor is None else NoticePlace(*cursor)
    page = await console.read(
        lambda connection: list_notices(connection, outcome, chosen, after=place, limit=limit)
    )
    return answer_page(holder, page.lines, page.next and tuple(page.next))


@routes.get("/notices/{notice}/attempts/{claim}", response_model=ShownAttempt, responses=reads())
async def attempt(
    holder: ViewerToken,
    console: TheConsole,
    notice: RowId,
    claim: Annotated[int, Path(ge=0, le=_CLAIM_MAX, description="0: the last attempt.")],
) -> JSONResponse:
    """Show an attempt: the request as it was sent, secrets masked, and the whole answer."""
    contact = console.settings.partner_contact
    shown = await console.read(
        lambda connection: find_attempt(connection, notice, claim or None, contact=contact)
    )
    if shown is None:
        raise AttemptNotFound(f"there is no such attempt of notice {notice}")
    return answer(holder, shown)


@routes.post("/notices/{notice}/retry", response_model=ResolvedNotice, responses=acts())
async def retry(act: SupportAct, body: ActBody, notice: RowId) -> Response:
    """Send a dead notice again now, with a new retry schedule."""
    return await _resolve(act, body, notice, Resolution.RETRY)


@routes.post("/notices/{notice}/skip", response_model=ResolvedNotice, responses=acts())
async def skip(act: SupportAct, body: SkipBody, notice: RowId) -> Response:
    """Give a dead notice up, so that what waits behind it goes on."""
    return await _resolve(act, body, notice, _SKIPS[body.skip_as])


async def _resolve(act: KeyedAct, body: ActBody, notice: int, resolution: Resolution) -> Response:
    return await act.carry_out(
        body,
        lambda connection, person, now: resolve_dead(
            connection, notice, resolution, now=now, person=person
        ),
    )


@routes.post("/notices/{notice}/send-again", response_model=SendingAgain, responses=acts())
async def send_again(act: SupportAct, body: ActBody, notice: RowId) -> Response:
    """Send a delivered notice and those after it once more: the same bytes, under the same keys.

    While a notice of its ticket is undelivered or dead, a job waits to do it.
    """

    def work(connection: Connection, person: Person, now: datetime) -> SendingAgain:
        done = send_again_or_wait(connection, notice, person=person, now=now)
        return SendingAgain(None, done) if isinstance(done, Job) else SendingAgain(done, None)

    return await act.carry_out(body, work)
