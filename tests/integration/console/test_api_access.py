"""Who may use the operations API: tokens alone, each with its role, and within its limits."""

import re

import httpx
import pytest
from fastapi.routing import APIRoute
from sqlalchemy import text

from models.platform.clock import DatabaseClock
from models.users import Role, revoke_token
from tests.support.api_client import PERSON, OperationsApi, operations_api_on
from tests.support.console_app import ConsoleApp, serving_console
from tests.support.plain_http import NO_AUTHORITIES
from tests.support.plain_settings import plain_settings
from worker.console.api.application import PATH, ROUTES
from worker.console.api.openapi import api_routes, methods_of, role_of
from worker.console.limits import ConsoleLimits

EXPIRE = text("UPDATE api_token SET expires_at = now() - interval '1 second' WHERE name = :name")
ROLES = {
    (method, route.path): role_of(route.dependant)
    for route in api_routes(ROUTES)
    for method in methods_of(route)
}
# Reads alone may be open to every viewer; what changes something needs more.
VIEWERS = {method for (method, _), role in ROLES.items() if role is Role.VIEWER}


def address(route: APIRoute) -> str:
    """Return a path of the route, for things that do not exist."""
    numbers = {"notice", "claim", "job", "erasure"}
    names = re.findall(r"{(\w+)}", route.path_format)
    return route.path_format.format(**{name: 1 if name in numbers else name for name in names})


def test_every_route_names_its_role_and_no_act_is_open_to_a_viewer():
    assert [key for key, role in ROLES.items() if role is None] == []
    assert {"GET"} == VIEWERS


def test_the_roles_are_those_that_were_agreed():
    support = {path for (_, path), role in ROLES.items() if role is Role.SUPPORT}
    operations = {path for (_, path), role in ROLES.items() if role is Role.OPERATIONS}

    assert {path.split("/")[1] for path in support} == {"tickets", "notices", "rejected-input"}
    assert {path.split("/")[1] for path in operations} == {"partners", "jobs", "erasures"}


def test_a_role_is_needed_on_every_route_and_named(api: OperationsApi):
    """Sent without a body, so what is let through is refused for that, and nothing is done."""
    for route in api_routes(ROUTES):
        needed = role_of(route.dependant)
        assert needed is not None
        (method,) = methods_of(route)
        for role in Role:
            response = api.as_role(role).http.request(
                method, PATH + address(route), headers=api.as_role(role).headers()
            )
            refused = not role.allows(needed)
            assert (response.status_code == 403) is refused, f"{method} {route.path} {role}"
            if refused:
                assert f"needs the role {needed}" in response.json()["message"]


def test_without_a_token_nothing_is_returned_on_any_route(api: OperationsApi):
    for route in api_routes(ROUTES):
        (method,) = methods_of(route)
        response = httpx.request(method, api.url + PATH + address(route), verify=NO_AUTHORITIES)
        assert response.status_code == 401, f"{method} {route.path}"
        assert response.headers["www-authenticate"].startswith("Bearer")
        assert response.json()["code"] == 401


@pytest.mark.parametrize(
    "header",
    ["", "Bearer", "Basic slipway_a", "slipway_a", "Bearer slipway_" + "a" * 4000],
)
def test_what_is_no_token_is_refused(api: OperationsApi, header: str):
    response = httpx.get(
        f"{api.url}{PATH}/partners",
        headers={"Authorization": header},
        timeout=30,
        verify=NO_AUTHORITIES,
    )

    assert response.status_code == 401


def test_a_forged_token_is_refused(api: OperationsApi):
    token = api.added("program", Role.VIEWER).token
    changed = token[:-1] + ("a" if token[-1] != "a" else "b")

    assert api.client(token).get("/partners").status_code == 200
    response = api.client(changed).get("/partners")

    assert response.status_code == 401
    assert 'error="invalid_token"' in response.headers["www-authenticate"]


def test_a_revoked_token_is_refused_at_once(api: OperationsApi):
    client = api.client(api.added("program", Role.VIEWER).token)
    assert client.get("/partners").status_code == 200
    with api.engine.begin() as connection:
        now = DatabaseClock().now(connection)
        revoke_token(connection, "program", person=PERSON, now=now)

    assert client.get("/partners").status_code == 401


def test_an_expired_token_is_refused(api: OperationsApi):
    client = api.client(api.added("program", Role.VIEWER).token)
    with api.engine.begin() as connection:
        connection.execute(EXPIRE, {"name": "program"})

    assert client.get("/partners").status_code == 401


def test_a_session_opens_no_api_and_a_token_opens_no_page(console: ConsoleApp, database: str):
    signed_in = console.operations.http
    assert signed_in.get("/").status_code == 200

    assert signed_in.get(f"{PATH}/partners").status_code == 401

    api = OperationsApi(console.url, console.engine, plain_settings(), console._closing)  # noqa: SLF001 - the same server, another way in
    token = api.operations.token
    page = console.stranger().http.get("/", headers={"Authorization": f"Bearer {token}"})
    assert page.url.path == "/sign-in"


def test_a_token_has_a_rate_of_its_own(database, engine):
    limits = ConsoleLimits(token_rate=0.001, token_burst=2)
    with operations_api_on(plain_settings(database_url=database), engine, limits=limits) as api:
        statuses = [api.viewer.get("/partners").status_code for _ in range(3)]
        refused = api.viewer.get("/partners")

        assert statuses == [200, 200, 429]
        assert refused.headers["retry-after"] == "1"
        assert refused.json()["code"] == 429
        assert api.support.get("/partners").status_code == 200, "another token has its own"


def test_too_long_a_query_and_too_large_a_body_are_refused_in_json(api: OperationsApi):
    long = api.viewer.get("/search", q="x" * 60_000)
    large = api.support.post("/notices/1/retry", {"why": "x" * 1_000_000}, key="k")

    assert (long.status_code, long.json()["code"]) == (413, 413)
    assert (large.status_code, large.json()["code"]) == (413, 413)


def test_an_address_that_is_none_says_so_in_json(api: OperationsApi):
    response = api.viewer.get("/nothing")

    assert (response.status_code, response.json()["code"]) == (404, 404)


def test_while_the_database_is_away_the_response_says_to_retry():
    with serving_console(plain_settings()) as url:
        response = httpx.get(
            f"{url}{PATH}/partners", headers={"Authorization": "Bearer slipway_a"}, timeout=30
        )

    assert response.status_code == 503
    assert response.headers["retry-after"] == "5"
    assert "nothing was done" in response.json()["message"]
