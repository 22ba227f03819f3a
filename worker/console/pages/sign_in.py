"""The sign-in page, and signing out. Not behind the sign-in."""

import hmac
import secrets
from http import HTTPStatus
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import Response
from sqlalchemy import Connection

from models.users import (
    LocalUserExists,
    NewSession,
    SignInRefused,
    UserDisabled,
    UserInvalid,
    UserUnknown,
    end_session,
    external_user,
    find_session,
    start_external_session,
)
from models.users.sign_in import sign_in
from worker.console.addresses import PublicAddress, own_path
from worker.console.arrival import arrive, client_of, remote_of
from worker.console.console import Console, TheConsole, console_of
from worker.console.forms import CSRF_FIELD, TheForm, check_origin, forged
from worker.console.people import SESSION_COOKIE
from worker.console.refusals import PageRefused
from worker.console.rendering import render, see_other
from worker.console.sign_in.proxy_header import ProxyUser, proxy_user

FORM_COOKIE: Final = "form"
_TOKEN_BYTES: Final = 32
_SIGN_IN_SECONDS: Final = 3600  # for which an open sign-in page works
_PASSWORD_MAX: Final = 1000

routes = APIRouter(dependencies=[Depends(check_origin)])


@routes.get("/sign-in")
async def sign_in_page(
    request: Request,
    console: TheConsole,
    to: Annotated[str, Query()] = "/",
    stay: Annotated[str | None, Query()] = None,
) -> Response:
    """Ask for name and password; whom a trusted proxy names is signed in at once.

    *stay*: the person has just signed out, and is not signed in again unasked.
    """
    known = proxy_user(request, console.settings)
    if known is None or stay is not None:
        return _page(request, console, to=to, proxy_name=None if known is None else known.name)
    try:
        session = await console.change(lambda connection: _begin(request, connection, known))
    except (LocalUserExists, UserDisabled, UserInvalid, UserUnknown) as error:
        raise PageRefused(
            HTTPStatus.FORBIDDEN, "Not signed in", f"The proxy says who you are, but: {error}."
        ) from None
    return arrive(request, session, to)


@routes.post("/sign-in")
async def sign_in_with_password(request: Request, console: TheConsole, form: TheForm) -> Response:
    """Start a session if the password is right; else say so, and ask again."""
    address = PublicAddress.of(console.settings, request)
    kept = request.cookies.get(address.cookie_name(FORM_COOKIE), "")
    given = str(form.get(CSRF_FIELD, ""))
    if not kept or not hmac.compare_digest(kept.encode(), given.encode(errors="replace")):
        raise forged("The sign-in form was open for too long, or your browser keeps no cookies.")
    name, password = str(form.get("name", "")), str(form.get("password", ""))
    to = str(form.get("to", "/"))

    def signing_in() -> NewSession | SignInRefused:
        with console.engine.connect() as connection:
            now = console.clock.now(connection)
        return sign_in(
            console.engine,
            name,
            password,
            limits=console.sessions,
            remote=remote_of(request),
            client=client_of(request),
            now=now,
        )

    outcome = await console.sign_ins.run(signing_in)
    if isinstance(outcome, SignInRefused):
        return _page(request, console, to=to, name=name, problem=outcome.message)
    return arrive(request, outcome, to)


@routes.post("/sign-out")
async def sign_out(request: Request, console: TheConsole, form: TheForm) -> Response:
    """End the session, here and in the database."""
    address = PublicAddress.of(console.settings, request)
    token = request.cookies.get(address.cookie_name(SESSION_COOKIE))

    def signing_out(connection: Connection) -> None:
        now = console.clock.now(connection)
        user = find_session(connection, token or "", limits=console.sessions, now=now)
        if user is None:
            return
        if not user.csrf_matches(str(form.get(CSRF_FIELD, ""))):
            raise forged("The form does not belong to your present session.")
        end_session(connection, user.session)

    await console.change(signing_out)
    response = see_other(request, "/sign-in?stay=1", message="You are signed out.", tone="neutral")
    address.delete_cookie(response, SESSION_COOKIE)
    return response


def _begin(request: Request, connection: Connection, known: ProxyUser) -> NewSession:
    """Start a session for the person whom the proxy names."""
    console = console_of(request)
    now = console.clock.now(connection)
    user = external_user(
        connection, source="proxy", subject=known.name, name=known.name, role=known.role, now=now
    )
    return start_external_session(
        connection,
        user,
        limits=console.sessions,
        remote=remote_of(request),
        client=client_of(request),
        now=now,
    )


def _page(
    request: Request,
    console: Console,
    *,
    to: str,
    name: str = "",
    problem: str | None = None,
    proxy_name: str | None = None,
) -> Response:
    """Render the page, with a token that its form brings back beside the cookie."""
    address = PublicAddress.of(console.settings, request)
    token = secrets.token_urlsafe(_TOKEN_BYTES)
    response = render(
        request,
        "sign_in.html",
        status=HTTPStatus.OK if problem is None else HTTPStatus.FORBIDDEN,
        to=own_path(to),
        name=name[:_PASSWORD_MAX],
        problem=problem,
        form_token=token,
        provider=request.app.state.provider is not None,
        proxy_name=proxy_name,
    )
    address.set_cookie(response, FORM_COOKIE, token, max_age=_SIGN_IN_SECONDS)
    return response
