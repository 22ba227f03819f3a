"""All error responses have one form: `{"code": int, "message": string}`.

`code` is the HTTP status, except where the Bet Engine API defines its own (contracts 1.9). A 422
also has `errors`, with one entry for each error.
"""

import logging
from collections.abc import Mapping, Sequence
from typing import Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.routing import Match

from models.database.errors import is_transient
from models.platform.blocking_threads import NoThreadFree
from models.platform.encryption import DecryptionFailed

log = logging.getLogger(__name__)

UNAVAILABLE_SECONDS: Final = 5  # until an unavailable server may be back
BUSY_SECONDS: Final = 1  # until other requests are done
UNPROCESSABLE: Final = 422
_INTERNAL_ERROR: Final = 500
_INTERNAL_ERROR_MESSAGE: Final = "internal error; see the log of the gateway"


class Error(BaseModel):
    """An error; `code` is the HTTP status unless the contract defines another."""

    code: int
    message: str


class ErrorDetail(BaseModel):
    """One error. `at` is its location: `query`, `path` or `body`, then the place in it."""

    at: list[str | int]
    message: str


class InvalidRequest(Error):
    """An invalid request, with all its errors."""

    errors: list[ErrorDetail] = Field(default_factory=list)


class RequestRefused(Exception):
    """Ends a request with an error response."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: int | None = None,
        headers: Mapping[str, str] | None = None,
        errors: Sequence[ErrorDetail] | None = None,
    ) -> None:
        """Respond with HTTP *status*; *code* is the one in the body if it differs."""
        super().__init__(message)
        self.status = status
        self.code = status if code is None else code
        self.message = message
        self.headers = headers
        self.errors = errors

    def response(self) -> JSONResponse:
        """Build the response."""
        body: dict[str, object] = {"code": self.code, "message": self.message}
        if self.errors is not None:
            body["errors"] = [error.model_dump() for error in self.errors]
        return JSONResponse(body, self.status, self.headers)


def invalid_request(message: str, errors: Sequence[ErrorDetail]) -> RequestRefused:
    """Build a 422 that lists *errors*."""
    return RequestRefused(UNPROCESSABLE, message, errors=errors)


def retry_later(
    message: str, *, seconds: int = UNAVAILABLE_SECONDS, status: int = 503
) -> RequestRefused:
    """Build a 503 (or 429): the same request may succeed later."""
    return RequestRefused(status, message, headers={"Retry-After": str(seconds)})


def busy() -> RequestRefused:
    """Build the 503 of a request for which no thread became free (`NoThreadFree`)."""
    return retry_later("server busy, retry later; nothing was done", seconds=BUSY_SECONDS)


def register_error_handlers(app: FastAPI) -> None:
    """Make *app* respond to errors in this form."""
    app.add_exception_handler(RequestRefused, _refused)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(RequestValidationError, _validation_failed)
    app.add_exception_handler(SQLAlchemyError, _database_failed)
    app.add_exception_handler(RedisError, _redis_failed)
    app.add_exception_handler(DecryptionFailed, _undecryptable)
    app.add_exception_handler(NoThreadFree, _no_thread)
    app.add_exception_handler(ClientDisconnect, _client_disconnected)
    app.add_exception_handler(Exception, _failed)


def _refused(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestRefused), "registered for this class alone"
    return error.response()


def _http_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException), "registered for this class alone"
    headers = dict(error.headers or {})
    if "Allow" in headers:
        headers["Allow"] = ", ".join(sorted(_methods(request)))
    return RequestRefused(error.status_code, str(error.detail), headers=headers).response()


def _methods(request: Request) -> set[str]:
    """Return all methods of the path; the framework names those of one route only."""
    return {
        method
        for route in request.app.state.routes
        if route.matches(request.scope)[0] is not Match.NONE
        for method in route.methods
    }


def _validation_failed(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError), "registered for this class alone"
    errors = [
        ErrorDetail(at=_location(flaw["loc"]), message=flaw["msg"]) for flaw in error.errors()
    ]
    return invalid_request("the request is invalid", errors).response()


def _location(loc: Sequence[str | int]) -> list[str | int]:
    """Return the part of *loc* that means something to callers: where, name, places in lists."""
    return [*loc[:2], *(part for part in loc[2:] if isinstance(part, int))]


def database_refusal(error: Exception) -> RequestRefused:
    """Build a 503 for a transient error, a 500 for any other, and log it."""
    if is_transient(error):
        log.warning("database_unavailable", extra={"error": str(error)})
        return retry_later("the database does not respond in time; retry later")
    log.error("request_failed", exc_info=error)
    return RequestRefused(_INTERNAL_ERROR, _INTERNAL_ERROR_MESSAGE)


def _database_failed(_request: Request, error: Exception) -> JSONResponse:
    return database_refusal(error).response()


def _redis_failed(_request: Request, error: Exception) -> JSONResponse:
    log.warning("redis_unavailable", extra={"error": str(error)})
    return retry_later("Redis does not respond in time; retry later").response()


def _undecryptable(_request: Request, error: Exception) -> JSONResponse:
    log.error("secret_undecryptable", extra={"error": str(error)})
    return retry_later("signatures of this operator cannot be checked now; retry later").response()


def _no_thread(_request: Request, _error: Exception) -> JSONResponse:
    return busy().response()


def _client_disconnected(_request: Request, _error: Exception) -> JSONResponse:
    log.info("client_disconnected")
    return RequestRefused(
        400, "the connection ended within the body"
    ).response()  # not read by anyone


def _failed(_request: Request, error: Exception) -> JSONResponse:
    # The server logs the traceback itself; this line is the one that metrics count.
    log.error("request_failed", extra={"error": type(error).__name__})
    return RequestRefused(_INTERNAL_ERROR, _INTERNAL_ERROR_MESSAGE).response()
