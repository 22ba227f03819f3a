"""Error responses of the operations API: `{"code": int, "message": string}`, as the gateway's.

`code` is the HTTP status. A 422 may also have `errors`, with one entry for each error.
"""

import logging
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from sqlalchemy.exc import SQLAlchemyError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from models.database.errors import is_transient
from models.idempotency import IdempotencyKeyReused, RequestInProgress
from models.platform.blocking_threads import NoThreadFree
from models.platform.encryption import DecryptionFailed
from models.platform.errors import InvalidError, NotFoundError, SlipwayError
from models.triage import InvalidPlace
from worker.console.refusals import PageRefused

log = logging.getLogger(__name__)

UNAVAILABLE_SECONDS: Final = 5  # until an unavailable server may be back
BUSY_SECONDS: Final = 1  # until other requests are done
_FLAWS_MAX: Final = 20
_INTERNAL: Final = "internal error; see the log of the console"
_UNAVAILABLE: Final = "the database does not respond in time; nothing was done, retry later"


class ApiError(BaseModel):
    """An error; `code` is the HTTP status."""

    code: int
    message: str


class ApiFlaw(BaseModel):
    """One error. `at` is its location: `query`, `path`, `header` or `body`, then the field."""

    at: list[str | int]
    message: str


class InvalidApiRequest(ApiError):
    """An invalid request, perhaps with its errors one by one."""

    errors: list[ApiFlaw] = Field(default_factory=list)


class ApiRefused(Exception):
    """Ends a request with an error response."""

    def __init__(
        self,
        status: HTTPStatus,
        message: str,
        *,
        headers: Mapping[str, str] | None = None,
        flaws: Sequence[ApiFlaw] | None = None,
    ) -> None:
        """Respond with *status*; *flaws* are listed one by one."""
        super().__init__(message)
        self.status = status
        self.message = message
        self.headers = headers
        self.flaws = flaws

    def response(self) -> JSONResponse:
        """Build the response."""
        body: dict[str, object] = {"code": self.status, "message": self.message}
        if self.flaws is not None:
            body["errors"] = [flaw.model_dump() for flaw in self.flaws]
        return JSONResponse(body, self.status, self.headers)


def invalid_request(message: str, flaws: Sequence[ApiFlaw] | None = None) -> ApiRefused:
    """Build a 422; *message* says that nothing was done where something was asked for."""
    return ApiRefused(HTTPStatus.UNPROCESSABLE_ENTITY, message, flaws=flaws)


def retry_later(
    message: str,
    *,
    seconds: int = UNAVAILABLE_SECONDS,
    status: HTTPStatus = HTTPStatus.SERVICE_UNAVAILABLE,
) -> ApiRefused:
    """Build the response to a request that may succeed later as it is."""
    return ApiRefused(status, message, headers={"Retry-After": str(seconds)})


def register_error_handlers(app: FastAPI) -> None:
    """Make *app* respond to errors in this form."""
    app.add_exception_handler(ApiRefused, _refused)
    app.add_exception_handler(PageRefused, _page_refused)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(RequestValidationError, _validation_failed)
    app.add_exception_handler(SlipwayError, _not_possible)
    app.add_exception_handler(SQLAlchemyError, _database_failed)
    app.add_exception_handler(ClientDisconnect, _client_disconnected)
    app.add_exception_handler(Exception, _failed)


def _refused(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, ApiRefused), "registered for this class alone"
    return error.response()


def _page_refused(_request: Request, error: Exception) -> JSONResponse:
    """Convert what is shared with the pages: limits of a request, cursors."""
    assert isinstance(error, PageRefused), "registered for this class alone"
    return ApiRefused(error.status, error.message, headers=error.headers).response()


def _http_error(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException), "registered for this class alone"
    status = HTTPStatus(error.status_code)
    return ApiRefused(status, str(error.detail), headers=error.headers).response()


def _validation_failed(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError), "registered for this class alone"
    flaws = [
        ApiFlaw(at=[str(error_["loc"][0]), *error_["loc"][1:3]], message=error_["msg"])
        for error_ in error.errors()[:_FLAWS_MAX]
    ]
    return invalid_request("the request is invalid; nothing was done", flaws).response()


def _not_possible(_request: Request, error: Exception) -> JSONResponse:
    """Say why `models` refused an act: its messages are sentences for people."""
    assert isinstance(error, SlipwayError), "registered for this class alone"
    return refusal_of(error).response()


def refusal_of(error: SlipwayError) -> ApiRefused:
    """Return the response to an error of `models`."""
    match error:
        case NoThreadFree():
            return retry_later("busy; nothing was done, retry later", seconds=BUSY_SECONDS)
        case DecryptionFailed():
            log.error("secret_undecryptable", extra={"error": str(error)})
            return ApiRefused(HTTPStatus.INTERNAL_SERVER_ERROR, f"{error}; nothing was done")
        case RequestInProgress():
            return retry_later(str(error), seconds=BUSY_SECONDS, status=HTTPStatus.CONFLICT)
        case NotFoundError():
            return ApiRefused(HTTPStatus.NOT_FOUND, str(error))
        case InvalidError() | IdempotencyKeyReused() | InvalidPlace():
            return invalid_request(str(error))
        case _:
            return ApiRefused(HTTPStatus.CONFLICT, str(error))


def _database_failed(request: Request, error: Exception) -> JSONResponse:
    if is_transient(error):
        log.warning("database_unavailable", extra={"error": str(error)})
        return retry_later(_UNAVAILABLE).response()
    return _failed(request, error)


def _client_disconnected(_request: Request, _error: Exception) -> JSONResponse:
    message = "the connection ended within the body"  # not read by anyone
    return ApiRefused(HTTPStatus.BAD_REQUEST, message).response()


def _failed(_request: Request, error: Exception) -> JSONResponse:
    log.error("request_failed", extra={"error": type(error).__name__}, exc_info=error)
    return ApiRefused(HTTPStatus.INTERNAL_SERVER_ERROR, _INTERNAL).response()
