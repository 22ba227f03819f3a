"""The list of partners: how each is doing now."""

from fastapi import APIRouter, Request
from fastapi.responses import Response

from models.monitoring.partners import PartnerStanding, list_partners, partners_pulse
from worker.console.console import TheConsole
from worker.console.cursors import read_cursor
from worker.console.live import live_response
from worker.console.people import TheNow, Viewer
from worker.console.rendering import render

routes = APIRouter()


@routes.get("/partners")
async def partners(
    request: Request,
    _user: Viewer,
    console: TheConsole,
    now: TheNow,
    state: PartnerStanding | None = None,
    after: str | None = None,
) -> Response:
    """List the partners."""
    place = read_cursor(after, str)
    page = await console.read(
        lambda connection: list_partners(connection, now=now, state=state, after=place)
    )
    return render(
        request,
        "partners.html",
        partners=page.partners,
        next_cursor=page.next,
        first=place is None,
        states=PartnerStanding,
        query={"state": state},
    )


@routes.get("/partner-list/live")  # not below /partners, where every name is a code
async def live(request: Request, user: Viewer) -> Response:
    """Say when the list has changed."""
    return live_response(request, user, partners_pulse)
