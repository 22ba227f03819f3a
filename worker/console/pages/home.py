"""The overview: one field that finds everything, and what needs a person now."""

from fastapi import APIRouter, Request
from fastapi.responses import Response

from worker.console.people import Viewer
from worker.console.rendering import render

routes = APIRouter()


@routes.get("/")
async def home(request: Request, _user: Viewer) -> Response:
    """Show the search field."""
    return render(request, "home.html")
