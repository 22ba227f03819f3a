"""What OpenAPI says besides the types: error responses, the token, the role and the headers."""

import re
from collections.abc import Sequence
from typing import Any, Final

from fastapi import APIRouter, FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute

from models.users import Role
from worker.console.api.acts import KEY, KEY_HEADER, REPLAYED_HEADER, ActNeeded
from worker.console.api.authentication import RoleNeeded
from worker.console.api.errors import ApiError, InvalidApiRequest

Responses = dict[int | str, dict[str, Any]]

SCHEME: Final = "token"
_RETRY_AFTER: Final = {
    "Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer"}}
}
_REPLAYED: Final = {
    REPLAYED_HEADER: {
        "description": "`true`: the act was done before, under the same key; this is its response.",
        "schema": {"type": "string", "enum": ["true"]},
    }
}
_KEY: Final[dict[str, Any]] = {
    "name": KEY_HEADER,
    "in": "header",
    "required": True,
    "schema": {"type": "string", "pattern": KEY.pattern},
    "description": (
        "A new one for each act, such as a UUID. A request that is sent again with its key is not"
        " done again: it gets the first response. A key is known for 24 hours."
    ),
}
_ERRORS: Final[dict[int, dict[str, Any]]] = {
    400: {"model": ApiError, "description": "The request cannot be read."},
    401: {
        "model": ApiError,
        "description": "The token is missing, unknown, revoked or expired.",
        "headers": {"WWW-Authenticate": {"schema": {"type": "string"}}},
    },
    403: {"model": ApiError, "description": "It needs another role; the message says which."},
    404: {"model": ApiError, "description": "Not found."},
    408: {"model": ApiError, "description": "The body did not arrive in time."},
    409: {
        "model": ApiError,
        "description": "Not possible, or no longer; or the request with this key is in progress."
        " Nothing was done.",
    },
    413: {"model": ApiError, "description": "The query or the body is too large."},
    415: {"model": ApiError, "description": "The body is not JSON."},
    422: {
        "model": InvalidApiRequest,
        "description": "The request is invalid, or its Idempotency-Key was used for another one.",
    },
    429: {
        "model": ApiError,
        "description": "Too many requests with this token.",
        "headers": _RETRY_AFTER,
    },
    500: {"model": ApiError, "description": "Internal error; see the log of the console."},
    503: {
        "model": ApiError,
        "description": "PostgreSQL does not respond, or the console is busy. Retry later.",
        "headers": _RETRY_AFTER,
    },
}
_EVERYWHERE: Final = (401, 403, 404, 413, 422, 429, 500, 503)
_CITATION: Final = re.compile(r" \((?:rules?|contracts|decisions?|H)[ 0-9][^)]*\)")
_FRAMEWORK_SCHEMAS: Final = ("HTTPValidationError", "ValidationError")


def reads(*codes: int) -> Responses:
    """Return the error responses of a route that reads: *codes*, and those of every route."""
    return {code: _ERRORS[code] for code in sorted({*codes, *_EVERYWHERE})}


def acts(*codes: int) -> Responses:
    """Return the responses of a route that acts."""
    return {200: {"headers": _REPLAYED}, **reads(400, 408, 409, 415, *codes)}


def role_of(dependant: Dependant) -> Role | None:
    """Return the role that a route needs; None if it says nothing."""
    for needed in dependant.dependencies:
        if isinstance(needed.call, RoleNeeded | ActNeeded):
            return needed.call.role
        if (role := role_of(needed)) is not None:
            return role
    return None


def is_act(dependant: Dependant) -> bool:
    """Return whether a route changes something, and so needs a key of the client's."""
    return any(isinstance(needed.call, ActNeeded) for needed in dependant.dependencies)


def api_routes(routers: Sequence[APIRouter]) -> list[APIRoute]:
    """Return all routes of *routers*."""
    routes = [route for router in routers for route in router.routes]
    assert all(isinstance(route, APIRoute) for route in routes), "each is an operation"
    return [route for route in routes if isinstance(route, APIRoute)]


def methods_of(route: APIRoute) -> set[str]:
    """Return the methods of a route, as OpenAPI writes them: `GET`, `POST`."""
    return set(route.methods or ())


def describe(app: FastAPI, routers: Sequence[APIRouter]) -> None:
    """Make the OpenAPI of *app* say which token and role each operation of *routers* needs."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            schema = get_openapi(
                title=app.title,
                version=app.version,
                description=app.description,
                routes=app.routes,
            )
            components = schema.setdefault("components", {})
            for name in _FRAMEWORK_SCHEMAS:
                components["schemas"].pop(name, None)
            components["securitySchemes"] = {
                SCHEME: {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "An API token: `slipway tokens add NAME --role ROLE`.",
                }
            }
            _name_roles(routers, schema)
            _share_errors(schema)
            _write_for_programs(schema)
            _name_members(components["schemas"])
            app.openapi_schema = schema
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented way to extend it


def _name_roles(routers: Sequence[APIRouter], schema: dict[str, Any]) -> None:
    for route in api_routes(routers):
        for method in methods_of(route):
            operation = schema["paths"][route.path_format][method.lower()]
            role = role_of(route.dependant)
            operation["security"] = [{SCHEME: []}]
            if is_act(route.dependant):
                operation.setdefault("parameters", []).append(_KEY)
            if role is not None:
                operation["x-role"] = role.value
                needs = f"Needs the role `{role}`."
                operation["description"] = f"{operation.get('description', '')}\n\n{needs}"


def _name_members(schemas: dict[str, Any]) -> None:
    """Describe named tuples as they are written: as objects."""
    for name, schema in schemas.items():
        if members := schema.get("prefixItems"):
            properties = {member["title"].lower(): member for member in members}
            schemas[name] = {
                "type": "object",
                "title": name,
                "properties": properties,
                "required": list(properties),
            }


def _share_errors(schema: dict[str, Any]) -> None:
    """Describe each error response once: most operations have the same."""
    shared = schema["components"].setdefault("responses", {})
    for path in schema["paths"].values():
        for operation in path.values():
            for status, response in operation["responses"].items():
                if int(status) in _ERRORS:
                    shared[status] = response
                    operation["responses"][status] = {"$ref": f"#/components/responses/{status}"}


def _write_for_programs(schema: Any) -> None:  # noqa: ANN401 - JSON
    """Describe durations as they are written (`24h`), and cite no page that readers do not have."""
    match schema:
        case dict():
            if schema.get("format") == "duration":
                del schema["format"]
                schema["pattern"] = "^([0-9]+(d|h|ms|m|s))+$"
            if isinstance(text := schema.get("description"), str):
                schema["description"] = _CITATION.sub("", text)
            for inner in schema.values():
                _write_for_programs(inner)
        case list():
            for inner in schema:
                _write_for_programs(inner)
        case _:
            pass
