"""Renders templates: what every page has, and the filters that templates use."""

from collections.abc import Mapping
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any, Final

from fastapi import Request
from fastapi.responses import HTMLResponse, RedirectResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined, pass_context
from jinja2.runtime import Context
from markupsafe import Markup

from models.platform.version import version
from models.users import SignedInUser
from worker.console.addresses import PublicAddress, path_of, with_query
from worker.console.console import console_of
from worker.console.cursors import write_cursor
from worker.console.display import values
from worker.console.display.foreign_text import shown, visible, visible_plain
from worker.console.display.personal import mask_personal, personal
from worker.console.flash import Flash, Tone, drop_flash, keep_flash, read_flash
from worker.console.forms import CSRF_FIELD, CSRF_HEADER
from worker.console.http.security_headers import REQUEST_ID
from worker.console.navigation import MENU
from worker.console.static_files import static_path

TEMPLATES: Final = Path(__file__).parent / "templates"
THEME_COOKIE: Final = "theme"
THEMES: Final = ("light", "dark")
SEE_OTHER: Final = 303


def render(
    request: Request,
    template: str,
    *,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    **context: Any,  # noqa: ANN401 - whatever the template shows
) -> HTMLResponse:
    """Render a page or a part of one. The template also gets what `_shared` returns."""
    flash = read_flash(request)
    text = environment().get_template(template).render(_shared(request, flash) | context)
    response = HTMLResponse(text, status, dict(headers or {}))
    if flash is not None:
        drop_flash(request, response)
    return response


def see_other(
    request: Request, path: str, *, message: str | None = None, tone: Tone = "good"
) -> RedirectResponse:
    """Answer a form: the browser gets the page at *path*, which shows *message* once.

    *path* is within the console, without the prefix (`path_of`).
    """
    response = RedirectResponse(request.scope["root_path"] + path, SEE_OTHER)
    if message is not None:
        keep_flash(request, response, Flash(tone, message))
    return response


def theme_of(request: Request) -> str | None:
    """Return the theme that the person chose, or None: as the browser prefers."""
    address = PublicAddress.of(console_of(request).settings, request)
    theme = request.cookies.get(address.cookie_name(THEME_COOKIE))
    return theme if theme in THEMES else None


def here(request: Request) -> str:
    """Return the path and query of the request, without the prefix: the state of the page."""
    path = request.scope["path"].removeprefix(request.scope["root_path"]) or "/"
    query = request.url.query
    return f"{path}?{query}" if query else path


@cache
def environment() -> Environment:
    """Return Jinja's environment: everything is escaped, and an unknown name is an error."""
    made = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.filters.update(
        ago=_ago,
        bounded=values.bounded,
        cursor=write_cursor,
        exact_time=_exact_time,
        json_text=values.json_text,
        mask_personal=_mask_personal,
        number=values.number,
        personal=_personal,
        roughly=values.roughly,
        shown=_shown,
        time=_time,
        visible=visible,
        visible_plain=visible_plain,
        with_times=values.with_times,
    )
    made.globals.update(path_of=path_of, with_query=with_query, version=version())
    return made


def _shared(request: Request, flash: Flash | None) -> dict[str, Any]:
    root: str = request.scope["root_path"]
    user: SignedInUser | None = getattr(request.state, "user", None)
    return {
        "csrf_field": CSRF_FIELD,
        "csrf_header": CSRF_HEADER,
        "csrf_token": None if user is None else user.csrf,
        "flash": flash,
        "here": here(request),
        "menu": _menu(request, user),
        "now": getattr(request.state, "now", None),
        "request_id": request.scope[REQUEST_ID],
        "shown_characters": console_of(request).limits.shown_characters,
        "static": lambda name: root + static_path(name),
        "theme": theme_of(request),
        "url": lambda path, **query: root + with_query(path, query),
        "user": user,
    }


def _menu(request: Request, user: SignedInUser | None) -> list[dict[str, object]]:
    if user is None:
        return []
    path = here(request).partition("?")[0]
    return [
        {
            "path": entry.path,
            "label": entry.label,
            "current": path == entry.path or path.startswith(f"{entry.path}/"),
        }
        for entry in MENU
        if entry.path in request.app.state.paths and user.role.allows(entry.role)
    ]


@pass_context
def _time(context: Context, at: datetime | None) -> Markup:
    return values.time_element(at, context["now"])


@pass_context
def _exact_time(context: Context, at: datetime | None) -> Markup:
    return values.time_element(at, context["now"], exact=True)


@pass_context
def _ago(context: Context, at: datetime) -> str:
    return values.ago(at, context["now"])


@pass_context
def _shown(
    context: Context, text: object, most: int | None = None, *, lines: bool = False
) -> Markup:
    return shown(text, most or context["shown_characters"], lines=lines)


@pass_context
def _personal(context: Context, content: object) -> Markup:
    return personal(context["user"].role, content)


@pass_context
def _mask_personal(context: Context, content: Any) -> Any:  # noqa: ANN401 - JSON
    return mask_personal(context["user"].role, content)
