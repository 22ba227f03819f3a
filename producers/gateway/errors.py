"""Every error the gateway answers has one shape: `{"code": int, "message": string}`.

`code` is the HTTP status, except where the Bet Engine API names its own (contracts 1.9).
On 422 there is `errors` besides, one for each thing that is wrong.
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
from models.platform.encryption import DecryptionFailed

log = logging.getLogger(__name__)

AWAY_SECONDS: Final = 5  # until a server that is away may be back
BUSY_SECONDS: Final = 1  # until others are done
UNPROCESSABLE: Final = 422
_FAILED: Final = 500
_FAILED_MESSAGE: Final = "something went wrong here; it is in the log"


class Error(BaseModel):
    """What was wrong; `code` is the HTTP status where the contract names none."""

    code: int
    message: str


class Fault(BaseModel):
    """One thing that is wrong. `at` leads to it: `query`, `path` or `body`, then the place."""

    at: list[str | int]
    message: str


class Invalid(Error):
    """What was wrong, one by one."""

    errors: list[Fault] = Field(default_factory=list)


class Refused(Exception):
    """Ends a request with an error of the one shape."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: int | None = None,
        headers: Mapping[str, str] | None = None,
        faults: Sequence[Fault] | None = None,
    ) -> None:
        """Answer with HTTP *status*; *code* where it is another number."""
        super().__init__(message)
        self.status = status
        self.code = status if code is None else code
        self.message = message
        self.headers = headers
        self.faults = faults

    def response(self) -> JSONResponse:
        """Write the answer."""
        body: dict[str, object] = {"code": self.code, "message": self.message}
        if self.faults is not None:
            body["errors"] = [fault.model_dump() for fault in self.faults]
        return JSONResponse(body, self.status, self.headers)


def invalid(message: str, faults: Sequence[Fault]) -> Refused:
    """Make a 422 with what is wrong, one by one."""
    return Refused(UNPROCESSABLE, message, faults=faults)


def later(message: str, *, seconds: int = AWAY_SECONDS, status: int = 503) -> Refused:
    """Make a 503 (or 429): nothing is wrong with the request, the same may do in a while."""
    return Refused(status, message, headers={"Retry-After": str(seconds)})


def answer_errors(app: FastAPI) -> None:
    """Have *app* answer its errors in that shape."""
    app.add_exception_handler(Refused, _refused)
    app.add_exception_handler(HTTPException, _not_routed)
    app.add_exception_handler(RequestValidationError, _not_valid)
    app.add_exception_handler(SQLAlchemyError, _database_failed)
    app.add_exception_handler(RedisError, _redis_failed)
    app.add_exception_handler(DecryptionFailed, _sealed)
    app.add_exception_handler(ClientDisconnect, _left)
    app.add_exception_handler(Exception, _failed)


def _refused(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, Refused), "registered for this class alone"
    return error.response()


def _not_routed(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException), "registered for this class alone"
    headers = dict(error.headers or {})
    if "Allow" in headers:
        headers["Allow"] = ", ".join(sorted(_methods(request)))
    return Refused(error.status_code, str(error.detail), headers=headers).response()


def _methods(request: Request) -> set[str]:
    """All that the path offers; the framework names those of one route only."""
    return {
        method
        for route in request.app.state.routes
        if route.matches(request.scope)[0] is not Match.NONE
        for method in route.methods
    }


def _not_valid(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError), "registered for this class alone"
    faults = [Fault(at=_place(one["loc"]), message=one["msg"]) for one in error.errors()]
    return invalid("the request does not have the right form", faults).response()


def _place(loc: Sequence[str | int]) -> list[str | int]:
    """Where it is and its name; behind these only places in a list say anything to the caller."""
    return [*loc[:2], *(part for part in loc[2:] if isinstance(part, int))]


def database_refusal(error: Exception) -> Refused:
    """Make a 503 of what is nobody's fault, and a 500 of the rest; both are logged here."""
    if is_transient(error):
        log.warning("database_away", extra={"error": str(error)})
        return later("the database does not answer in time")
    log.error("request_failed", exc_info=error)
    return Refused(_FAILED, _FAILED_MESSAGE)


def _database_failed(_request: Request, error: Exception) -> JSONResponse:
    return database_refusal(error).response()


def _redis_failed(_request: Request, error: Exception) -> JSONResponse:
    log.warning("redis_away", extra={"error": str(error)})
    return later("Redis does not answer in time").response()


def _sealed(_request: Request, error: Exception) -> JSONResponse:
    log.error("secret_cannot_be_opened", extra={"error": str(error)})
    return later("signatures of this operator cannot be checked at the moment").response()


def _left(_request: Request, _error: Exception) -> JSONResponse:
    log.info("caller_left")
    return Refused(400, "the connection ended within the body").response()  # nobody reads it


def _failed(_request: Request, error: Exception) -> JSONResponse:
    # The server writes the traceback itself; this line is the one that is counted.
    log.error("request_failed", extra={"error": type(error).__name__})
    return Refused(_FAILED, _FAILED_MESSAGE).response()
