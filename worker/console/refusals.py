"""Why a request got no page: what the person reads instead."""

from collections.abc import Mapping
from http import HTTPStatus


class PageRefused(Exception):
    """Ends a request with an error page: what happened, and what the person can do."""

    def __init__(
        self,
        status: HTTPStatus,
        title: str,
        message: str,
        *,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """*title* is the page's heading, *message* one or more sentences."""
        super().__init__(message)
        self.status = status
        self.title = title
        self.message = message
        self.headers = dict(headers or {})


class SignInNeeded(Exception):
    """Nobody is signed in: the sign-in page comes first, then the page that was wanted."""


def not_found(what: str) -> PageRefused:
    """Build the 404 of a page: *what* is a sentence (`There is no ticket T-1.`)."""
    return PageRefused(HTTPStatus.NOT_FOUND, "Not found", what)


def invalid(message: str) -> PageRefused:
    """Build the 422 of a page whose filter, form or cursor cannot be read."""
    return PageRefused(HTTPStatus.UNPROCESSABLE_ENTITY, "This cannot be read", message)


def too_large(message: str) -> PageRefused:
    """Build the 413 of a request that is too large."""
    return PageRefused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "Too large", message)


def conflict(message: str) -> PageRefused:
    """Build the 409 of an act on something that has changed meanwhile; nothing was done."""
    return PageRefused(HTTPStatus.CONFLICT, "It has changed meanwhile", message)
