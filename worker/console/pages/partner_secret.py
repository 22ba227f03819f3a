"""Rotates a partner's secret. A secret that was made here is shown once, on this answer alone.

The answer to the form is the page itself: a redirect would have to keep the secret somewhere. Sent
again, by a reload, the form is refused, because the secret is not the one any more that it names.
"""

from collections.abc import Mapping
from datetime import datetime
from http import HTTPStatus

from fastapi import APIRouter, Request
from fastapi.responses import Response
from sqlalchemy import Connection

from models.operators import (
    InterruptedRotation,
    OperatorInvalid,
    check_secret,
    rotate_secret,
    secret_warnings,
)
from models.operators.listing import show_changeable
from models.operators.rotation import FORGET_AFTER, INTERRUPTED, require_secret
from models.operators.secret_status import SecretStatus, secret_status
from models.platform.encryption import new_secret
from models.platform.typed_times import parse_when
from worker.console.addresses import PathId
from worker.console.console import TheConsole
from worker.console.forms import Act, TheAct
from worker.console.people import Operations, TheNow
from worker.console.refusals import invalid
from worker.console.rendering import render

_AT_ONCE = "+0s"
_TIMES = ("switch_at", "forget_at")

routes = APIRouter()


@routes.get("/partners/{code}/secret")
async def secret(
    request: Request, _user: Operations, console: TheConsole, now: TheNow, code: PathId
) -> Response:
    """Show the form."""
    status = await console.read(lambda connection: _rotatable(connection, code, now))
    return _form(request, code, status, {"switch_at": _AT_ONCE, "forget_at": ""})


@routes.post("/partners/{code}/secret")
async def rotate(
    request: Request, _user: Operations, act: TheAct, console: TheConsole, now: TheNow, code: PathId
) -> Response:
    """Rotate the secret, and show the new one if it was made here."""
    status = await console.read(lambda connection: _rotatable(connection, code, now))
    texts = {name: act.text(name) for name in _TIMES}
    given = act.text("secret")
    made = "" if given else new_secret()
    seen = act.expected
    if seen is None:
        raise invalid("The form does not say which secret it replaces. Nothing was done.")
    try:
        switch_at, forget_at = _moments(texts, now)
        check_secret(given or made)

        def change(connection: Connection) -> InterruptedRotation | None:
            require_secret(connection, code, seen)
            return rotate_secret(
                connection,
                code,
                given or made,
                switch_at=switch_at,
                forget_at=forget_at,
                now=now,
                vault=console.vault,
                person=act.person,
            )

        interrupted = await console.change(change)
    except OperatorInvalid as refusal:
        wrong = {problem.field or "secret": problem.text for problem in refusal.problems}
        return _form(request, code, status, texts, problems=wrong, act=act)
    except _TimeUnreadable as refusal:
        return _form(request, code, status, texts, problems={refusal.field: str(refusal)}, act=act)
    warnings = secret_warnings(given or made)
    if interrupted is not None:
        warnings.append(INTERRUPTED[interrupted])
    return render(
        request,
        "partner_secret_rotated.html",
        code=code,
        made=made,
        switch_at=switch_at,
        forget_at=forget_at,
        warnings=warnings,
    )


class _TimeUnreadable(ValueError):
    """A time of the form cannot be read."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(problem)
        self.field = field


def _rotatable(connection: Connection, code: str, now: datetime) -> SecretStatus:
    """Return the secret's status. Raises OperatorNotFound, OperatorEnded."""
    show_changeable(connection, code)
    return secret_status(connection, code, now=now)


def _moments(texts: Mapping[str, str], now: datetime) -> tuple[datetime, datetime]:
    """Return when the new secret signs, and when the old one is forgotten.

    Raises _TimeUnreadable.
    """
    switch_at = _time("switch_at", texts["switch_at"] or _AT_ONCE, now)
    if not texts["forget_at"]:
        return switch_at, switch_at + FORGET_AFTER
    return switch_at, _time("forget_at", texts["forget_at"], now)


def _time(name: str, text: str, now: datetime) -> datetime:
    try:
        return parse_when(text).time(now)
    except (ValueError, OverflowError) as refusal:
        problem = "this is too far away" if isinstance(refusal, OverflowError) else str(refusal)
        raise _TimeUnreadable(name, problem) from None


def _form(
    request: Request,
    code: str,
    status: SecretStatus,
    texts: Mapping[str, str],
    *,
    problems: Mapping[str, str] | None = None,
    act: Act | None = None,
) -> Response:
    """Render the form; a secret that was typed is not in it."""
    return render(
        request,
        "partner_secret.html",
        status=HTTPStatus.OK if act is None else HTTPStatus.UNPROCESSABLE_ENTITY,
        code=code,
        secret=status,
        texts=texts,
        problems=problems or {},
        reason="" if act is None else act.person.why,
    )
