"""Unauthenticated slow bodies take nothing from the people and programs that work."""

import re
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta

import pytest
from fastapi.routing import APIRoute

from tests.support.api_client import operations_api_on
from tests.support.console_app import console_app_on
from tests.support.plain_settings import plain_settings
from tests.support.slow_requests import answered, send_rest, slow_body, slow_headers, status_of
from worker.console import pages
from worker.console.api.application import PATH, ROUTES
from worker.console.api.openapi import api_routes, methods_of
from worker.console.app import build_app
from worker.console.http.request_limits import FORMS_OF_ANYBODY
from worker.console.limits import ConsoleLimits

FORM = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "text/html"}
JSON = {"Content-Type": "application/json"}
GUESSED = {"Authorization": "Bearer slipway_guessed"}
CALLERS = 200
FEW = ConsoleLimits(requests=3, slow_bodies=2, prompt=timedelta(seconds=0.05))


@pytest.fixture
def lines() -> Iterator[ExitStack]:
    """Connections that stay open until the test ends; a server would wait for their bodies."""
    with ExitStack() as opened:
        yield opened


def filled(path: str) -> str:
    """Return a path with something for each of its names."""
    return re.sub(r"{[^}]*}", "1", path)


def test_a_user_signs_in_and_works_beside_200_unauthenticated_slow_bodies(console, lines):
    for _ in range(CALLERS):
        lines.enter_context(slow_body(console.url, "/sign-in", **FORM))
        lines.enter_context(slow_headers(console.url, "/sign-in", **FORM))

    page = console.viewer.page("/notices")  # signs in first

    assert page.status == 200
    assert console.support.post("/sign-out").status_code == 200


def test_of_unauthenticated_slow_bodies_only_some_are_waited_for(database, engine, lines):
    settings = plain_settings(database_url=database)
    with console_app_on(settings, engine, limits=FEW) as console:
        slow = [lines.enter_context(slow_body(console.url, "/sign-in", **FORM)) for _ in range(6)]

        refused = answered(slow, 6 - FEW.slow_bodies)
        page = console.viewer.page("/")

        assert {status_of(line) for line in refused} == {b"503"}
        assert page.status == 200
        waited_for = [line for line in slow if line not in refused]
        assert {send_rest(line) for line in waited_for} == {b"403"}, "a form without its cookie"


def test_a_program_with_a_token_may_be_slow_beside_unauthenticated_callers(database, engine, lines):
    settings = plain_settings(database_url=database)
    api = lines.enter_context(operations_api_on(settings, engine, limits=FEW))  # ends after them
    slow = [lines.enter_context(slow_body(api.url, "/sign-in", **FORM)) for _ in range(6)]
    answered(slow, 6 - FEW.slow_bodies)

    act = f"{PATH}/notices/1/retry"
    headers = api.operations.headers() | JSON | {"Idempotency-Key": "a"}
    line = lines.enter_context(slow_body(api.url, act, **headers))

    assert api.viewer.get("/partners").status_code == 200
    assert send_rest(line) == b"422", "it was read to its end, and is no JSON"


def posted(routes: list[APIRoute]) -> list[str]:
    return [filled(route.path) for route in routes if "POST" in methods_of(route)]


def test_an_unauthenticated_caller_is_refused_before_any_other_body_is_read(console, lines):
    """Every act of the pages, and every one of the API."""
    acts = posted(
        [route for routes in pages.ROUTES for route in routes.routes if isinstance(route, APIRoute)]
    )
    calls = [PATH + path for path in posted(list(api_routes(ROUTES)))]

    def status(path: str, **headers: str) -> tuple[str, bytes]:
        line: socket.socket = lines.enter_context(slow_body(console.url, path, **headers))
        return path, status_of(line)

    assert len(acts) > 10
    assert len(calls) > 10
    assert [status(path, **FORM) for path in acts] == [(path, b"303") for path in acts]
    assert [status(path, **JSON, **GUESSED) for path in calls] == [(path, b"401") for path in calls]


def test_no_other_form_is_read_before_it_is_known_who_sends_it(database):
    paths = build_app(plain_settings(database_url=database)).openapi()["paths"]
    acts = set(posted(api_routes(pages.ROUTES)))

    forms = {filled(path) for path, operations in paths.items() if "post" in operations}

    assert forms - acts == set(FORMS_OF_ANYBODY)
