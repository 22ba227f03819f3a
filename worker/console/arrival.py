"""The end of every way to sign in: a cookie with the session's token, and the page wanted first."""

from fastapi import Request
from fastapi.responses import Response

from models.users import NewSession
from worker.console.addresses import PublicAddress, own_path
from worker.console.console import console_of
from worker.console.people import SESSION_COOKIE
from worker.console.rendering import see_other


def arrive(request: Request, session: NewSession, wanted: str | None) -> Response:
    """Set the session's cookie and lead to *wanted*, if that is a path of ours.

    The cookie has no end of its own: the browser drops it when it closes, the row ends the session.
    """
    response = see_other(request, own_path(wanted))
    address = PublicAddress.of(console_of(request).settings, request)
    address.set_cookie(response, SESSION_COOKIE, session.token)
    return response


def remote_of(request: Request) -> str:
    """Return the client's address, as far as trusted proxies state it."""
    return request.client.host if request.client else ""


def client_of(request: Request) -> str:
    """Return what the browser calls itself, for the list of sessions."""
    return request.headers.get("user-agent", "")
