"""Pages that only tests add to the console: each does one thing that real pages do."""

from http import HTTPStatus

from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import HTMLResponse, JSONResponse, Response
from sqlalchemy import text

from models.platform.errors import ConflictError
from worker.console.addresses import PathId
from worker.console.app import add_pages, build_app
from worker.console.console import TheConsole
from worker.console.forms import TheAct
from worker.console.live import live_response
from worker.console.people import Operations, Support, TheNow, Viewer
from worker.console.refusals import PageRefused
from worker.console.rendering import environment, see_other

NEWEST = text("SELECT count(*) FROM intervention")
MARK = text("INSERT INTO intervention (who, why, did, facts) VALUES (:who, :why, 'probe', '{}')")
SLOW = text("SELECT pg_sleep(30)")
WRITE = text("DELETE FROM intervention")

routes = APIRouter()


@routes.get("/probe/open")
async def unmarked() -> HTMLResponse:
    """A page that names no role."""
    return HTMLResponse("<main>secret</main>")


@routes.get("/probe/support")
async def for_support(user: Support) -> JSONResponse:
    """A page for support."""
    return JSONResponse({"name": user.name})


@routes.get("/probe/fails")
async def fails(_user: Viewer) -> Response:
    """A page that fails."""
    raise RuntimeError("a secret of the program")


@routes.get("/probe/slow")
async def slow(_user: Viewer, console: TheConsole) -> Response:
    """A page whose query takes too long."""
    await console.read(lambda connection: connection.execute(SLOW))
    return Response()


@routes.get("/probe/writes")
async def writes(_user: Viewer, console: TheConsole) -> Response:
    """A page that writes while it reads."""
    await console.read(lambda connection: connection.execute(WRITE))
    return Response()


@routes.get("/probe/busy")
async def busy(_user: Viewer) -> Response:
    """A page that refuses."""
    raise PageRefused(HTTPStatus.TOO_MANY_REQUESTS, "Too many", "Wait a moment.")


@routes.get("/probe/id/{number}")
async def by_id(_user: Viewer, number: PathId) -> JSONResponse:
    """A page with an id in its path."""
    return JSONResponse({"id": number})


@routes.post("/probe/act")
async def act(request: Request, _user: Support, act: TheAct, console: TheConsole) -> Response:
    """An act."""
    row = {"who": act.person.who, "why": act.person.why}
    await console.change(lambda connection: connection.execute(MARK, row))
    return see_other(request, "/", message=f"Marked: {act.text('note')}")


@routes.post("/probe/state")
async def state(_user: Operations, act: TheAct) -> Response:
    """An act on a state."""
    act.require_state("closed")
    return Response("done")


@routes.post("/probe/conflict")
async def conflicting(_user: Support, act: TheAct, console: TheConsole) -> Response:
    """An act that fails after it has written."""

    def mark_and_fail(connection: object) -> None:
        connection.execute(MARK, {"who": act.person.who, "why": "undone"})  # type: ignore[attr-defined]  # a Connection
        raise ConflictError("the ticket is closed.")

    await console.change(mark_and_fail)
    return Response()


@routes.get("/probe/live")
async def live(request: Request, user: Viewer) -> Response:
    """A live page."""
    return live_response(request, user, lambda connection: connection.execute(NEWEST).scalar())


@routes.get("/probe/shown")
async def shown(request: Request, user: Viewer, now: TheNow, foreign: str = "") -> Response:
    """A page that shows foreign text."""
    template = environment().from_string(
        '{% import "macros.html" as ui with context %}<main>'
        "<p id=text>{{ foreign | shown }}</p><p id=personal>{{ foreign | personal }}</p>"
        "<p id=json>{{ {'player_id': foreign, 'n': {'stake': 5}}"
        " | mask_personal | tojson }}</p>"
        "{{ ui.id(foreign) }}{{ ui.badge(foreign) }}{{ ui.code(foreign, 'Answer') }}"
        "<p id=at>{{ now | time }}</p><p id=exact>{{ now | exact_time }}</p></main>"
    )
    context = {"foreign": foreign * 20, "user": user, "now": now, "shown_characters": 2000}
    return HTMLResponse(template.render(context))


def build_probed_app() -> FastAPI:
    """Build the console with these pages, as a process does."""
    app = build_app()
    add_pages(app, routes)
    return app
