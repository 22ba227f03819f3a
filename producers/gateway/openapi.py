"""What OpenAPI documents besides the types: all responses of a route, and authentication."""

from collections.abc import Iterable
from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from models.outgoing.webhooks import webhooks
from producers.gateway.authentication import SIGNED_HEADERS
from producers.gateway.errors import Error, InvalidRequest

_RETRY_AFTER: Final = {
    "Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer"}}
}
_ERROR_RESPONSES: Final[dict[int, dict[str, Any]]] = {
    400: {"model": Error, "description": "Not possible; `code` says why."},
    401: {
        "model": Error,
        "description": "The key is missing, unknown or revoked.",
        "headers": {"WWW-Authenticate": {"schema": {"type": "string"}}},
    },
    403: {"model": Error, "description": "Access denied."},
    404: {"model": Error, "description": "Not found."},
    408: {"model": Error, "description": "The body did not arrive in time."},
    413: {"model": Error, "description": "The body is too large."},
    415: {
        "model": Error,
        "description": "The media type or encoding of the body is not supported.",
    },
    422: {"model": InvalidRequest, "description": "The request is invalid; `errors` says where."},
    429: {
        "model": Error,
        "description": "Too many concurrent requests of this caller.",
        "headers": _RETRY_AFTER,
    },
    500: {"model": Error, "description": "Internal error; see the log of the gateway."},
    503: {
        "model": Error,
        "description": "PostgreSQL or Redis is unavailable, or the server is busy. Retry later.",
        "headers": _RETRY_AFTER,
    },
}
_HEADER_DESCRIPTIONS: Final = {
    "timestamp": "Unix time in seconds; it may differ by at most 300 from the server's clock.",
    "operator-name": "The operator's code.",
    "signature": (
        "Lower-case hexadecimal HMAC-SHA256 with the operator's secret over the timestamp and the"
        " body as sent, or the body without spaces; without a body, over the timestamp alone."
    ),
}
_FRAMEWORK_SCHEMA: Final = "HTTPValidationError"
SIGNED: Final[dict[str, Any]] = {"security": [{name: [] for name in SIGNED_HEADERS}]}


def error_responses(*codes: int) -> dict[int | str, dict[str, Any]]:
    """Return the error responses of a route: *codes*, and those of every route."""
    return {code: _ERROR_RESPONSES[code] for code in sorted({*codes, 500, 503})}


def describe(app: FastAPI, schemes: Iterable[str] = SIGNED_HEADERS) -> None:
    """Make the OpenAPI of *app* include the headers that sign a request, and the webhooks."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            schema = get_openapi(
                title=app.title,
                version=app.version,
                description=app.description,
                routes=app.routes,
            )
            _remove_unused_schemas(schema)
            security_schemes = schema.setdefault("components", {}).setdefault("securitySchemes", {})
            for name in schemes:
                security_schemes[name] = {
                    "type": "apiKey",
                    "in": "header",
                    "name": name,
                    "description": _HEADER_DESCRIPTIONS[name],
                }
            schema["webhooks"] = webhooks()  # what partners receive, for readers of /docs
            app.openapi_schema = schema
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented way to extend it


def _remove_unused_schemas(schema: dict[str, Any]) -> None:
    """Remove the 422 that the framework declares for every route with an id in its path."""
    for path in schema["paths"].values():
        for operation in path.values():
            response = operation["responses"].get("422", {})
            if _FRAMEWORK_SCHEMA in str(response.get("content")):
                del operation["responses"]["422"]
    schemas = schema["components"]["schemas"]
    for name in (_FRAMEWORK_SCHEMA, "ValidationError"):
        schemas.pop(name, None)
