"""Sets and removes what calls to a partner carry for the gateway in front of it.

What is typed is never shown again, not even in a form that was refused: it holds secrets.
"""

from datetime import datetime
from http import HTTPStatus
from typing import Final

import anyio
from fastapi import APIRouter, Request
from fastapi.responses import Response
from sqlalchemy import Connection

from models.access.facts import summarize_access
from models.access.values import NO_ACCESS, Access
from models.access.written import AccessUnreadable, read_written
from models.operators import OperatorInvalid
from models.operators.access import AccessStatus, access_status, set_access
from models.operators.listing import show_changeable
from models.platform.typed_times import parse_when
from worker.console.addresses import PathId, path_of
from worker.console.console import Console, TheConsole
from worker.console.forms import Act, TheAct
from worker.console.people import Operations, TheNow
from worker.console.refusals import invalid
from worker.console.rendering import render, see_other
from worker.doctor.terms import access_warnings

_RESOLVE_SECONDS: Final = 3.0  # for the addresses of the token endpoint's host
_DOCUMENT: Final = "document"
_SWITCH_AT: Final = "switch_at"

routes = APIRouter()


@routes.get("/partners/{code}/access")
async def access(
    request: Request, _user: Operations, console: TheConsole, now: TheNow, code: PathId
) -> Response:
    """Show the form."""
    status = await console.read(lambda connection: _changeable(connection, code, now))
    return _form(request, code, status)


@routes.post("/partners/{code}/access")
async def replace_access(
    request: Request, _user: Operations, act: TheAct, console: TheConsole, now: TheNow, code: PathId
) -> Response:
    """Replace the access by what was typed, at once or at a moment."""
    status = await console.read(lambda connection: _changeable(connection, code, now))
    problems: dict[str, str] = {}
    given, switch_at = NO_ACCESS, None
    try:
        given = await anyio.to_thread.run_sync(read_written, _typed(act))
    except AccessUnreadable as refusal:
        problems[_DOCUMENT] = "; ".join(refusal.problems)
    try:
        switch_at = _moment(act, now)
    except ValueError as refusal:
        problems[_SWITCH_AT] = str(refusal)
    if not problems and given == NO_ACCESS:
        problems[_DOCUMENT] = "it is empty; to remove the access, use the button on the page before"
    if not problems:
        try:
            changed = await _set(console, code, act, given, now=now, switch_at=switch_at)
        except OperatorInvalid as refusal:
            problems = _by_field(refusal)
        else:
            message = await _message(console, given, changed=changed, switch_at=switch_at)
            return see_other(request, _page(code), message=message)
    return _form(request, code, status, problems=problems, act=act)


@routes.post("/partners/{code}/remove-access")
async def remove_access(
    request: Request, _user: Operations, act: TheAct, console: TheConsole, now: TheNow, code: PathId
) -> Response:
    """Remove the access, and one that waits to replace it."""
    await _set(console, code, act, NO_ACCESS, now=now)
    message = f"Calls to {code} carry nothing for a gateway any more."
    return see_other(request, _page(code), message=message)


async def _set(
    console: Console,
    code: str,
    act: Act,
    given: Access,
    *,
    now: datetime,
    switch_at: datetime | None = None,
) -> bool:
    """Set the access, unless it is another one than the person saw. Raises PageRefused, too."""
    if act.expected is None:
        raise invalid("The form does not say which access it replaces. Nothing was done.")
    return await console.change(
        lambda connection: set_access(
            connection,
            code,
            given,
            now=now,
            vault=console.vault,
            person=act.person,
            switch_at=switch_at,
            seen=act.expected,
        )
    )


def _changeable(connection: Connection, code: str, now: datetime) -> AccessStatus:
    """Return the access's status. Raises OperatorNotFound, OperatorEnded."""
    show_changeable(connection, code)
    return access_status(connection, code, now=now)


def _typed(act: Act) -> str:
    """Return the document as it came: the space before its first line belongs to YAML."""
    content = act.form.get(_DOCUMENT, "")
    return content if isinstance(content, str) else ""


def _moment(act: Act, now: datetime) -> datetime | None:
    """Return when the new access replaces the present one. Raises ValueError, with a sentence."""
    text = act.text(_SWITCH_AT)
    if not text:
        return None
    try:
        return parse_when(text).time(now)
    except OverflowError:
        raise ValueError("this is too far away") from None


def _by_field(refusal: OperatorInvalid) -> dict[str, str]:
    """Return the mistakes by field of the form: all but that of the moment are the document's."""
    by_field: dict[str, str] = {}
    for problem in refusal.problems:
        name = _SWITCH_AT if problem.field == _SWITCH_AT else _DOCUMENT
        by_field[name] = "; ".join(filter(None, (by_field.get(name), problem.text)))
    return by_field


async def _message(
    console: Console, given: Access, *, changed: bool, switch_at: datetime | None
) -> str:
    """Say what is used from when on, and what of it is probably not meant."""
    if not changed:
        return "Nothing was changed: this access is set already."
    warnings: list[str] = []
    with anyio.move_on_after(_RESOLVE_SECONDS):  # a resolver may hang for half a minute
        warnings = await anyio.to_thread.run_sync(
            lambda: access_warnings(given, console.settings), abandon_on_cancel=True
        )
    used = "is used within a second: ping it" if switch_at is None else "waits for its moment"
    return ". ".join([f"The new access {used}", *(f"Note: {w}" for w in warnings)])


def _page(code: str) -> str:
    return path_of("partners", code) + "#access"


def _form(
    request: Request,
    code: str,
    status: AccessStatus,
    *,
    problems: dict[str, str] | None = None,
    act: Act | None = None,
) -> Response:
    """Render the form; what was typed into the document is not in it."""
    return render(
        request,
        "partner_access.html",
        status=HTTPStatus.OK if act is None else HTTPStatus.UNPROCESSABLE_ENTITY,
        code=code,
        access=status,
        summary=summarize_access(status.facts),
        switch_at="" if act is None else act.text(_SWITCH_AT),
        problems=problems or {},
        reason="" if act is None else act.person.why,
    )
