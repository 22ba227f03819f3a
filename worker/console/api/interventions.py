"""`/interventions`: what people and programs did, and why."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Depends
from fastapi.responses import JSONResponse

from models.audit import ActFilter, ActPlace, RecordedAct, list_acts
from worker.console.api.answers import After, ApiPage, Code, Id, Limit, Text, answer_page
from worker.console.api.authentication import TokenFirst, ViewerToken
from worker.console.api.openapi import reads
from worker.console.api.times import GivenTime
from worker.console.console import TheConsole
from worker.console.cursors import read_cursor

routes = APIRouter(tags=["interventions"], route_class=TokenFirst)


@dataclass(frozen=True, slots=True)
class ActInWords:
    """An act, and what was done in a sentence."""

    act: RecordedAct
    sentence: str


def filter_of(
    who: Text = None,
    did: Text = None,
    operator: Code = None,
    ticket_id: Id = None,
    since: GivenTime | None = None,
    until: GivenTime | None = None,
) -> ActFilter:
    """Return what the query selects."""
    return ActFilter(
        who=who, did=did, operator=operator, ticket_id=ticket_id, since=since, until=until
    )


@routes.get("/interventions", response_model=ApiPage[ActInWords], responses=reads())
async def interventions(
    holder: ViewerToken,
    console: TheConsole,
    chosen: Annotated[ActFilter, Depends(filter_of)],
    after: After = None,
    limit: Limit = 50,
) -> JSONResponse:
    """List what was done by hand, newest first: who, when, why, and to what.

    A program is `token NAME`. A page may hold few lines, or none, and have a next one.
    """
    place = read_cursor(after, ActPlace)
    page = await console.read(
        lambda connection: list_acts(connection, chosen, after=place, limit=limit)
    )
    return answer_page(holder, [ActInWords(act, act.sentence) for act in page.acts], page.next)
