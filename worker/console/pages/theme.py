"""The choice between light and dark, kept in a cookie."""

from typing import Final

from fastapi import APIRouter, Request
from fastapi.responses import Response

from worker.console.addresses import PublicAddress, own_path
from worker.console.console import TheConsole
from worker.console.forms import TheForm
from worker.console.rendering import THEME_COOKIE, THEMES, see_other

_YEAR: Final = 365 * 24 * 3600

routes = APIRouter()


@routes.post("/theme")
async def choose_theme(request: Request, form: TheForm, console: TheConsole) -> Response:
    """Keep the theme, or forget it, and show the page again."""
    response = see_other(request, own_path(str(form.get("to", ""))))
    address = PublicAddress.of(console.settings, request)
    theme = form.get("theme")
    if theme in THEMES:
        address.set_cookie(response, THEME_COOKIE, str(theme), max_age=_YEAR)
    else:
        address.delete_cookie(response, THEME_COOKIE)
    return response
