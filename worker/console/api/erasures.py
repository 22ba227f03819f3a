"""`/erasures`: blanking what identifies a player, for operations alone."""

from typing import Annotated

from fastapi import APIRouter
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field

from models.erasure import (
    Erasure,
    ErasureEstimate,
    ErasureReport,
    estimate_erasure,
    list_erasures,
    report_erasure,
)
from models.players import erase_player
from worker.console.api.acts import ActBody, OperationsAct
from worker.console.api.answers import ApiPage, Code, Limit, RowId, answer, answer_page
from worker.console.api.authentication import OperationsToken, TokenFirst
from worker.console.api.openapi import acts, reads
from worker.console.console import TheConsole

OperatorCode = Annotated[str, Field(min_length=1, max_length=64)]
PlayerId = Annotated[str, Field(min_length=1, max_length=255)]

routes = APIRouter(tags=["erasures"], route_class=TokenFirst)


class ErasureBody(ActBody):
    """Whom to erase."""

    operator: OperatorCode
    player_id: PlayerId


class PlayerOfOperator(BaseModel):
    """A player, by an operator's own id."""

    model_config = ConfigDict(extra="forbid")

    operator: OperatorCode
    player_id: PlayerId


@routes.get("/erasures", response_model=ApiPage[Erasure], responses=reads())
async def erasures(
    holder: OperationsToken, console: TheConsole, operator: Code = None, limit: Limit = 50
) -> JSONResponse:
    """List the newest erasures. There is one page."""
    lines = await console.read(
        lambda connection: list_erasures(connection, operator=operator, limit=limit)
    )
    return answer_page(holder, lines, None)


@routes.get("/erasures/{erasure}", response_model=ErasureReport, responses=reads())
async def erasure_report(
    holder: OperationsToken, console: TheConsole, erasure: RowId
) -> JSONResponse:
    """Show an erasure, what was blanked where, and the tickets that it waits for."""
    return answer(
        holder, await console.read(lambda connection: report_erasure(connection, erasure))
    )


@routes.post("/erasures/estimate", response_model=ErasureEstimate, responses=reads(400, 408, 415))
async def estimate(
    holder: OperationsToken, console: TheConsole, player: PlayerOfOperator
) -> JSONResponse:
    """Count what an erasure would begin with. Changes nothing; the id is not in the address."""
    counted = await console.read(
        lambda connection: estimate_erasure(connection, player.operator, player.player_id)
    )
    return answer(holder, counted)


@routes.post("/erasures", response_model=ErasureReport, responses=acts())
async def erase(act: OperationsAct, body: ErasureBody) -> Response:
    """Erase a player: a job blanks what identifies the player. It cannot be restored."""
    keys = act.console.settings.secret_key
    return await act.carry_out(
        body,
        lambda connection, person, now: erase_player(
            connection, body.operator, body.player_id, keys=keys, person=person, now=now
        ),
    )
