"""Who is signed in, and what the person may do.

Every page is behind `signed_in`, whether or not it names a role: `app.build_app` sees to that.
"""

from collections.abc import Awaitable, Callable
from datetime import datetime
from http import HTTPStatus
from typing import Annotated

from fastapi import Depends, Request
from sqlalchemy import Connection

from models.users import Role, SignedInUser, find_session
from worker.console.addresses import PublicAddress
from worker.console.console import TheConsole
from worker.console.http.places import note_sender
from worker.console.refusals import PageRefused, SignInNeeded
from worker.console.sign_in.proxy_header import ProxyUser, proxy_user

SESSION_COOKIE = "session"


async def signed_in(request: Request, console: TheConsole) -> SignedInUser:
    """Return who sent the request. Raises SignInNeeded.

    Notes the database's time too, for all relative times of the page.
    """
    address = PublicAddress.of(console.settings, request)
    token = request.cookies.get(address.cookie_name(SESSION_COOKIE))
    if token is None:
        raise SignInNeeded
    known = proxy_user(request, console.settings)

    def find(connection: Connection) -> tuple[SignedInUser | None, datetime]:
        now = console.clock.now(connection)
        return find_session(connection, token, limits=console.sessions, now=now), now

    user, now = await console.change(find)
    if user is None or (known is not None and not _is(user, known)):
        raise SignInNeeded
    request.state.user, request.state.now = user, now
    note_sender(request.scope)
    return user


def _is(user: SignedInUser, known: ProxyUser) -> bool:
    """Return whether the session is that of the person whom the proxy names, with this role."""
    return user.name == known.name and known.role in {None, user.role}


SignedIn = Annotated[SignedInUser, Depends(signed_in)]


def require(role: Role) -> Callable[[SignedInUser], Awaitable[SignedInUser]]:
    """Build the dependency of a page or an act that needs *role*. It raises PageRefused (403)."""

    async def check(user: SignedIn) -> SignedInUser:
        if not user.role.allows(role):
            raise PageRefused(
                HTTPStatus.FORBIDDEN,
                "Not allowed",
                f"This needs the role {role}; you are signed in as {user.name} with the role"
                f" {user.role}. Nothing was done. Somebody of operations can change your role.",
            )
        return user

    return check


Viewer = Annotated[SignedInUser, Depends(require(Role.VIEWER))]
Support = Annotated[SignedInUser, Depends(require(Role.SUPPORT))]
Operations = Annotated[SignedInUser, Depends(require(Role.OPERATIONS))]


def now_of(request: Request, _user: SignedIn) -> datetime:
    """Return the database's time at the beginning of the request."""
    now = request.state.now
    assert isinstance(now, datetime), "set by `signed_in`"
    return now


TheNow = Annotated[datetime, Depends(now_of)]
