"""Erasures of players: the list, the report of one, and the form that starts one (rule 25).

No list and no report names a player; only the form does, whose address a person wrote.
"""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import Response
from sqlalchemy import Connection

from models.erasure import (
    NOT_COVERED,
    ErasureReport,
    estimate_erasure,
    list_erasures,
    report_erasure,
)
from models.jobs import Job, find_job
from models.platform.errors import NotFoundError
from models.players import erase_player
from worker.console.addresses import path_of
from worker.console.console import TheConsole
from worker.console.cursors import NumberKey, read_cursor
from worker.console.forms import TheAct
from worker.console.live import live_response
from worker.console.people import Operations, TheNow
from worker.console.refusals import invalid
from worker.console.rendering import render, see_other

PAGE = 50
_ID_MAX = 2**63 - 1
ErasureId = Annotated[int, Path(ge=1, le=_ID_MAX)]

routes = APIRouter()


@routes.get("/erasures")
async def erasures(
    request: Request,
    _user: Operations,
    console: TheConsole,
    partner: Annotated[str, Query(max_length=300)] = "",
    after: str | None = None,
) -> Response:
    """List the erasures, the newest first."""
    key = read_cursor(after, NumberKey)
    before = None if key is None else key.number

    lines = await console.read(
        lambda connection: list_erasures(
            connection, operator=partner.strip() or None, before=before, limit=PAGE + 1
        )
    )
    more = len(lines) > PAGE
    return render(
        request,
        "erasures.html",
        lines=lines[:PAGE],
        query={"partner": partner},
        next_key=(lines[PAGE - 1].id,) if more else None,
        first=before is None,
    )


@routes.get("/erasures/live")
async def live_list(request: Request, user: Operations) -> Response:
    """Tell the list that an erasure has begun, moved or ended."""
    return live_response(request, user, lambda connection: list_erasures(connection, limit=PAGE))


@routes.get("/erasures/new")
async def new_erasure(
    request: Request,
    _user: Operations,
    console: TheConsole,
    partner: Annotated[str, Query(max_length=300)],
    player: Annotated[str, Query(max_length=300)],
) -> Response:
    """Count what the erasure would begin with, and ask for the confirmation."""
    partner, player = partner.strip(), player.strip()
    estimate = await console.read(lambda connection: estimate_erasure(connection, partner, player))
    return render(
        request,
        "erasure_new.html",
        partner=partner,
        player=player,
        estimate=estimate,
        not_covered=NOT_COVERED,
    )


@routes.post("/erasures")
async def start_erasure(
    request: Request, _user: Operations, act: TheAct, console: TheConsole, now: TheNow
) -> Response:
    """Start it, if the id was typed again as it is."""
    player = act.text("player")
    if act.text("typed") != player:
        raise invalid(
            "The player's id that you typed is not the one of the page. Nothing was erased: go back"
            " and type it again, with upper and lower case as it is."
        )
    report = await console.change(
        lambda connection: erase_player(
            connection,
            act.text("partner"),
            player,
            keys=console.settings.secret_key,
            person=act.person,
            now=now,
        )
    )
    erasure = report.erasure
    return see_other(
        request,
        path_of("erasures", erasure.id),
        message=f"Erasure {erasure.id} has begun; job {erasure.job} carries it on.",
    )


@routes.get("/erasures/{number}")
async def erasure(
    request: Request, _user: Operations, console: TheConsole, number: ErasureId
) -> Response:
    """Report how far an erasure is, and for what it waits."""

    def read(connection: Connection) -> tuple[ErasureReport, Job | None]:
        report = report_erasure(connection, number)
        return report, _job(connection, report.erasure.job)

    report, job = await console.read(read)
    return render(request, "erasure.html", report=report, job=job, not_covered=NOT_COVERED)


@routes.get("/erasures/{number}/live")
async def live(request: Request, user: Operations, number: ErasureId) -> Response:
    """Tell the report that the erasure has moved."""

    def pulse(connection: Connection) -> object:
        report = report_erasure(connection, number)
        job = _job(connection, report.erasure.job)
        return report, None if job is None else (job.state, job.message)

    return live_response(request, user, pulse)


def _job(connection: Connection, number: int | None) -> Job | None:
    """Return the job, unless retention has removed it."""
    try:
        return None if number is None else find_job(connection, number)
    except NotFoundError:
        return None
