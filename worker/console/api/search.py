"""`/search`: what a text is the id of."""

from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse

from models.search.find import EVERY_KIND, search
from models.search.values import MatchKind, SearchResult
from worker.console.api.answers import Code, answer
from worker.console.api.authentication import TokenFirst, ViewerToken
from worker.console.api.openapi import reads
from worker.console.console import TheConsole

routes = APIRouter(tags=["search"], route_class=TokenFirst)


@routes.get("/search", response_model=SearchResult, responses=reads())
async def find(
    holder: ViewerToken,
    console: TheConsole,
    q: Annotated[str, Query(min_length=1, max_length=255, description="The id, as it is.")],
    operator: Code = None,
    kind: Annotated[list[MatchKind] | None, Query(max_length=len(EVERY_KIND))] = None,
    limit: Annotated[int, Query(ge=1, le=50, description="Matches of each kind.")] = 20,
) -> JSONResponse:
    """Find a ticket, code, player, event, stream entry, notice, key or transaction by its id."""
    result = await console.read(
        lambda connection: search(
            connection, q, operator=operator, kinds=kind or EVERY_KIND, limit=limit
        )
    )
    return answer(holder, result)
