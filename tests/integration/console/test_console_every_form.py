"""What stands before every form and every page, generated over the routes: none is forgotten."""

import re
import threading

import pytest
from fastapi.routing import APIRoute
from sqlalchemy import Engine, text

from models.users import Role, passwords
from tests.support.console_app import ConsoleApp, Page
from worker.console import pages
from worker.console.cursors import write_cursor

ROUTES = [
    (method, route)
    for routes in pages.ROUTES
    for route in routes.routes
    if isinstance(route, APIRoute)
    for method in sorted(route.methods or ())
]
FORMS = sorted(route.path_format for method, route in ROUTES if method == "POST")
PAGES = sorted(
    route.path_format
    for method, route in ROUTES
    if method == "GET" and not route.path.endswith("/live")
)
OF_EVERYBODY = {"/theme"}  # changes a cookie and nothing else
NEEDED = re.compile(r"This needs the role (\w+);")
CHANGED = text("SELECT (SELECT count(*) FROM intervention), (SELECT count(*) FROM job)")


def concrete(path: str, name: str = "x") -> str:
    """Return an address of a route, of something that is not there."""
    numbers = {"number", "notice", "claim", "job_id"}
    return re.sub(r"{(\w+)}", lambda field: "1" if field[1] in numbers else name, path)


def changes(engine: Engine) -> tuple[int, ...]:
    with engine.connect() as connection:
        return tuple(connection.execute(CHANGED).one())


def test_pages_are_read_and_forms_are_sent():
    assert {method for method, _ in ROUTES} == {"GET", "POST"}
    assert len(FORMS) > 15


def test_no_form_is_accepted_without_its_sessions_token_or_from_another_site(console: ConsoleApp):
    client, other = console.operations, console.support.token()
    own, before = client.token(), changes(console.engine)
    for path in map(concrete, FORMS):
        for token in ("", "0" * 64, other):
            response = client.post(path, {"reason": "forged"}, token=token)
            assert response.status_code == 403, path
            assert "Form not accepted" in Page.of(response).text("h1")
        fields = {"csrf": own, "reason": "forged"}
        for origin in ("null", "https://evil.example", f"{console.url}.evil.example"):
            response = client.http.post(path, data=fields, headers={"Origin": origin})
            assert response.status_code == 403, f"{path} {origin}"
        as_json = client.http.post(path, json=fields)
        as_text = client.http.post(
            path, content=f"csrf={own}&reason=x", headers={"Content-Type": "text/plain"}
        )
        overridden = client.http.get(
            path, params=fields | {"_method": "POST"}, headers={"X-HTTP-Method-Override": "POST"}
        )
        assert (as_json.status_code, as_text.status_code) == (403, 415), path
        assert overridden.status_code in {200, 404, 405, 422}, path

    assert changes(console.engine) == before


def test_every_form_needs_a_session_and_more_than_the_role_of_a_viewer(console: ConsoleApp):
    for path in FORMS:
        address = concrete(path)
        nobody = console.stranger(follow_redirects=False).http.post(address, data={"csrf": "x"})
        assert nobody.status_code in {303, 401}, path
        if path not in OF_EVERYBODY:
            assert role_needed(console, "POST", address) is not Role.VIEWER, path


def test_a_page_that_a_role_may_not_see_says_which_role_may(console: ConsoleApp):
    closed = {path for path in PAGES if role_needed(console, "GET", concrete(path)) != Role.VIEWER}

    assert {path.split("/")[1] for path in closed} <= {
        "erasures",
        "events",
        "notices",
        "partners",
        "system",
    }


def role_needed(console: ConsoleApp, method: str, address: str) -> Role:
    """Return the lowest role that is let through; each lower one is told the same."""
    named: set[str] = set()
    for role in Role:
        client = console.as_role(role)
        response = client.get(address) if method == "GET" else client.post(address)
        needed = NEEDED.search(response.text)
        if response.status_code != 403 or needed is None:
            assert named <= {role}, address
            return role
        named.add(needed[1])
    raise AssertionError(f"nobody may {method} {address}")


@pytest.mark.parametrize("place", ["\0", ("\0", 1), ("2026-01-01T00:00:00Z", "\0")])
def test_a_forged_place_in_a_list_is_refused_on_every_page(console: ConsoleApp, place: object):
    cursor = write_cursor(place)
    for path in PAGES:
        response = console.operations.get(concrete(path), after=cursor, q="x")
        assert response.status_code < 500, path


def test_a_nul_in_any_field_of_the_same_name_is_refused(console: ConsoleApp):
    client = console.operations
    fields = {"csrf": client.token(), "reason": "r", "id": ["1\0", "2"]}
    for path in FORMS:
        response = client.http.post(concrete(path), data=fields)
        assert response.status_code == 422, path
        assert "NUL" in Page.of(response).words


def test_a_flood_of_sign_ins_leaves_the_threads_of_the_pages_alone(console: ConsoleApp):
    viewer, pages_threads = console.viewer, 8
    clients = [console.stranger() for _ in range(pages_threads + 1)]
    tries = [
        threading.Thread(target=client.sign_in, args=("wrong",), kwargs={"name": f"n{number}"})
        for number, client in enumerate(clients)
    ]
    hashing = passwords._HASHING  # noqa: SLF001 - stands for passwords that take long
    for _ in range(passwords.AT_ONCE):
        hashing.acquire()
    try:
        for each in tries:
            each.start()
        assert [viewer.get("/partners").status_code for _ in range(20)] == [200] * 20
    finally:
        for _ in range(passwords.AT_ONCE):
            hashing.release()
        for each in tries:
            each.join()
