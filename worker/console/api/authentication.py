"""The API token of a request, and the role that a route needs.

Only `Authorization: Bearer` is read: a cookie opens nothing here, so no other site's page can make
a browser act, and a token opens no page.
"""

from collections.abc import Callable, Coroutine
from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Any, Final

from fastapi import Depends, Request, Response
from fastapi.routing import APIRoute
from sqlalchemy import Connection

from models.users import Role, TokenHolder, find_token
from worker.console.api.errors import ApiRefused
from worker.console.api.token_limits import TokenLimits
from worker.console.console import console_of
from worker.console.http.places import note_sender

_SCHEME: Final = "bearer"
_CHALLENGE: Final = 'Bearer realm="slipway"'


class TokenFirst(APIRoute):
    """A route that finds out whose token the request shows before it reads the body.

    FastAPI reads a body before it calls a dependency, so that a stranger's slow one would take its
    time. Raises ApiRefused (401, 429).
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the handler that asks for the token first, and counts the request."""
        handle = super().get_route_handler()

        async def handle_holder(request: Request) -> Response:
            holder, now = await _authenticate(request)
            limits: TokenLimits = request.app.state.token_limits
            with limits.one_request(holder.id):
                request.state.holder, request.state.now = holder, now
                note_sender(request.scope)
                return await handle(request)

        return handle_holder


def token_holder(request: Request) -> TokenHolder:
    """Return whose token the request shows."""
    holder = request.state.holder
    assert isinstance(holder, TokenHolder), "set by `TokenFirst`"
    return holder


async def _authenticate(request: Request) -> tuple[TokenHolder, datetime]:
    """Return whose token the request shows, and the database's time. Raises ApiRefused (401)."""
    console = console_of(request)
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    token = token.strip()
    if scheme.lower() != _SCHEME or not token:
        raise _unauthorized(
            "an API token is needed: Authorization: Bearer slipway_…; `slipway tokens add` makes"
            " one",
            _CHALLENGE,
        )

    def find(connection: Connection) -> tuple[TokenHolder | None, datetime]:
        now = console.clock.now(connection)
        return find_token(connection, token, now=now), now

    holder, now = await console.change(find)
    if holder is None:
        raise _unauthorized(
            "this API token is unknown, revoked or expired; `slipway tokens list` shows which",
            f'{_CHALLENGE}, error="invalid_token"',
        )
    return holder, now


Holder = Annotated[TokenHolder, Depends(token_holder)]


def _unauthorized(message: str, challenge: str) -> ApiRefused:
    return ApiRefused(HTTPStatus.UNAUTHORIZED, message, headers={"WWW-Authenticate": challenge})


def check_role(holder: TokenHolder, role: Role) -> None:
    """Raise ApiRefused (403) if the token does not allow *role*."""
    if not holder.role.allows(role):
        raise ApiRefused(
            HTTPStatus.FORBIDDEN,
            f"this needs the role {role}; the token {holder.name} has the role {holder.role}."
            " Nothing was done",
        )


class RoleNeeded:
    """The dependency of a route that reads: the token's role allows *role*."""

    def __init__(self, role: Role) -> None:
        """Need *role*."""
        self.role = role

    async def __call__(self, holder: Holder) -> TokenHolder:
        """Return the holder. Raises ApiRefused (403)."""
        check_role(holder, self.role)
        return holder


ViewerToken = Annotated[TokenHolder, Depends(RoleNeeded(Role.VIEWER))]
OperationsToken = Annotated[TokenHolder, Depends(RoleNeeded(Role.OPERATIONS))]


def now_of(request: Request, _holder: Holder) -> datetime:
    """Return the database's time at the beginning of the request."""
    now = request.state.now
    assert isinstance(now, datetime), "set by `TokenFirst`"
    return now


ApiNow = Annotated[datetime, Depends(now_of)]
