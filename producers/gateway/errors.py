"""Every error the gateway answers has one shape: `{"code": int, "message": string}`."""

from collections.abc import Mapping
from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.encoders import jsonable_encoder
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException


def refusal(code: int, message: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """Answer with HTTP status *code* and what was wrong."""
    return JSONResponse({"code": code, "message": message}, code, headers)


def answer_errors(app: FastAPI) -> None:
    """Have *app* answer its errors in that shape; 422 also lists `errors`, one per field."""
    app.add_exception_handler(HTTPException, _refused)
    app.add_exception_handler(RequestValidationError, _not_valid)
    app.add_exception_handler(Exception, _failed)


def _refused(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException), "registered for this class alone"
    return refusal(error.status_code, str(error.detail), error.headers)


def _not_valid(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError), "registered for this class alone"
    code = HTTPStatus.UNPROCESSABLE_ENTITY
    errors = jsonable_encoder(
        [{"at": fault["loc"], "message": fault["msg"]} for fault in error.errors()]
    )
    return JSONResponse(
        {"code": code, "message": "the request does not have the right form", "errors": errors},
        code,
    )


def _failed(_request: Request, _error: Exception) -> JSONResponse:
    return refusal(500, "something went wrong here; it is in the log")
