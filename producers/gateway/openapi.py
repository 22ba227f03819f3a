"""What OpenAPI says beside the types: every answer a route may give, and who is let in."""

from collections.abc import Iterable
from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from producers.gateway.authentication import SIGNED_HEADERS
from producers.gateway.errors import Error, Invalid

_RETRY_AFTER: Final = {
    "Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer"}}
}
_SAID: Final[dict[int, dict[str, Any]]] = {
    400: {"model": Error, "description": "Not possible; `code` says why (contracts: 1.9)."},
    401: {
        "model": Error,
        "description": "No key, an unknown one, or a revoked one.",
        "headers": {"WWW-Authenticate": {"schema": {"type": "string"}}},
    },
    403: {"model": Error, "description": "Access is refused."},
    404: {"model": Error, "description": "Nothing of this name is known."},
    408: {"model": Error, "description": "The body did not arrive in time."},
    413: {"model": Error, "description": "The body is too large."},
    415: {"model": Error, "description": "The body is of a kind that is not taken."},
    422: {"model": Invalid, "description": "The request is wrong; `errors` says where."},
    429: {
        "model": Error,
        "description": "Too many requests of this caller are under way.",
        "headers": _RETRY_AFTER,
    },
    500: {"model": Error, "description": "A mistake of ours; it is in the log."},
    503: {
        "model": Error,
        "description": "PostgreSQL or Redis is away, or there is too much to do. Come again.",
        "headers": _RETRY_AFTER,
    },
}
_HEADERS_SAID: Final = {
    "timestamp": "Unix time in seconds, at most 300 away from ours.",
    "operator-name": "The operator's code.",
    "signature": (
        "Lower-case hexadecimal HMAC-SHA256 with the operator's secret over the timestamp and the"
        " body as sent, or the body without spaces; no body: the timestamp alone."
    ),
}
_FRAMEWORK_FORM: Final = "HTTPValidationError"
SIGNED: Final[dict[str, Any]] = {"security": [{name: [] for name in SIGNED_HEADERS}]}


def answers(*codes: int) -> dict[int | str, dict[str, Any]]:
    """Declare the errors of a route: *codes*, and those that every route may answer."""
    return {code: _SAID[code] for code in sorted({*codes, 500, 503})}


def described(app: FastAPI, schemes: Iterable[str] = SIGNED_HEADERS) -> None:
    """Have *app* describe itself with the headers that sign a request."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            schema = get_openapi(
                title=app.title,
                version=app.version,
                description=app.description,
                routes=app.routes,
            )
            _without_unused_forms(schema)
            known = schema.setdefault("components", {}).setdefault("securitySchemes", {})
            for name in schemes:
                said = _HEADERS_SAID[name]
                known[name] = {"type": "apiKey", "in": "header", "name": name, "description": said}
            app.openapi_schema = schema
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented way to extend it


def _without_unused_forms(schema: dict[str, Any]) -> None:
    """Take out the 422 that the framework declares for every route with an id in its path."""
    for path in schema["paths"].values():
        for operation in path.values():
            answer = operation["responses"].get("422", {})
            if _FRAMEWORK_FORM in str(answer.get("content")):
                del operation["responses"]["422"]
    forms = schema["components"]["schemas"]
    for name in (_FRAMEWORK_FORM, "ValidationError"):
        forms.pop(name, None)
