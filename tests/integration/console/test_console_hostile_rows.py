"""Every page and every resource over rows that are hostile, and that name a player everywhere."""

import html
import re
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import ExitStack
from urllib.parse import unquote, urlsplit

import httpx
import pytest
from fastapi.routing import APIRoute
from selectolax.lexbor import LexborHTMLParser
from sqlalchemy import text
from starlette.routing import Match

from models.outbox.attempts import ATTEMPTS
from models.users import Role
from tests.support.api_client import OperationsApi
from tests.support.console_app import ConsoleApp
from tests.support.hostile_rows import HIDDEN, PERSONAL, write_hostile_rows
from tests.support.plain_settings import plain_settings
from tests.support.populated_console import populated_console
from tests.support.server_folders import passable_folder
from worker.console import pages
from worker.console.addresses import path_of
from worker.console.api.application import PATH

OF_A_SHAPE = 3  # pages of one route with the same fields in the query
LINKS = ("href", "src", "action", "formaction", "hx-get", "data-live-path")
FORBIDDEN = {"img", "iframe", "object", "embed", "base", "style"}
TICKETS = text(f"""
    SELECT DISTINCT ON (n.ended, d.verdict, t.status) o.code, t.ticket_id, n.id, d.claim
      FROM ticket t JOIN operator o ON o.id = t.operator LEFT JOIN notice n ON n.ticket = t.id
      LEFT JOIN {ATTEMPTS} d ON d.notice = n.id""")  # noqa: S608 - a constant
EVENTS = text("""
    SELECT DISTINCT ON (e.outcome) o.code, t.ticket_id, e.event_id FROM ticket_event e
      JOIN ticket t ON t.id = e.ticket JOIN operator o ON o.id = t.operator""")
ENTRIES = text("SELECT entry_id FROM rejected_input ORDER BY id LIMIT 2")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def hostile(servers) -> Iterator[ConsoleApp]:
    with passable_folder() as folder, populated_console(servers, folder) as running:
        write_hostile_rows(running.database.engine)
        yield running.console


@pytest.mark.parametrize("role", Role)
def test_no_page_obeys_what_is_stored_and_a_viewer_reads_nothing_personal(
    hostile: ConsoleApp, role: Role
):
    faults: list[str] = []
    read = Counter[tuple[str | None, tuple[str, ...]]]()
    todo = deque(["/", "/history.csv", "/jobs", "/partners", "/events", *addresses(hostile)])
    seen: set[str] = set()
    while todo:
        path = todo.popleft()
        shape = (route_of(path), tuple(re.findall(r"(\w+)=", urlsplit(path).query)))
        if path in seen or read[shape] >= OF_A_SHAPE or urlsplit(path).path.endswith("/live"):
            continue
        seen.add(path)
        read[shape] += 1
        response = hostile.as_role(role).http.get(path)
        assert response.status_code < 500, path
        if role is Role.VIEWER:
            faults += [f"{path}: {what}" for what in personal_in(response)]
        if response.headers["content-type"].startswith("text/html"):
            tree = LexborHTMLParser(response.text)
            faults += [f"{path}: {what}" for what in obeyed(tree, response.text)]
            todo.extend(links_of(tree))

    assert faults == []
    assert len(seen) > 50


def test_no_resource_of_the_api_tells_a_viewer_anything_personal(hostile: ConsoleApp):
    with ExitStack() as closing:
        api = OperationsApi(hostile.url, hostile.engine, plain_settings(), closing)
        viewer = api.viewer
        with hostile.engine.connect() as connection:
            tickets = connection.execute(TICKETS).all()
            events = connection.execute(EVENTS).all()
            entries = connection.execute(ENTRIES).scalars().all()
        paths = [path_of("tickets", code, ticket) for code, ticket, _, _ in tickets]
        paths += [
            path_of("notices", notice, "attempts", claim)
            for _, _, notice, claim in tickets
            if claim is not None
        ]
        paths += [path_of("tickets", *event[:2], "events", event[2]) for event in events]
        paths += [path_of("rejected-input", entry) for entry in entries]
        paths += [path_of("events", query={"outcome": "rejected"}), "/tickets?operator=acme"]
        paths += ["/jobs", "/jobs/3", "/partners/acme", "/partners/acme-1", "/interventions"]
        faults = []
        for path in paths:
            response = viewer.http.get(PATH + path, headers=viewer.headers())
            assert response.status_code == 200, f"{path}: {response.text}"
            faults += [f"{path}: {what}" for what in personal_in(response)]

    assert faults == []


def addresses(console: ConsoleApp) -> list[str]:
    """Return pages to which no short way leads."""
    with console.engine.connect() as connection:
        tickets = connection.execute(TICKETS).all()
    paths = ["/partners/acme", "/partners/acme-1", "/jobs/1", "/jobs/3"]
    for code, ticket, notice, claim in tickets:
        paths.append(path_of("tickets", code, ticket))
        if claim is not None:
            paths.append(path_of("tickets", code, ticket, "attempts", notice, claim))
    return paths


def route_of(path: str) -> str | None:
    """Return the route that serves a path."""
    scope = {"type": "http", "path": urlsplit(path).path, "method": "GET", "root_path": ""}
    for routes in pages.ROUTES:
        for route in routes.routes:
            if isinstance(route, APIRoute) and route.matches(scope)[0] is Match.FULL:
                return route.path
    return None


def personal_in(response: httpx.Response) -> list[str]:
    """Return what a response has that a viewer must not see, with what stands before it."""
    body = re.sub(r"<[^>]+>", "", html.unescape(response.text)) + html.unescape(response.text)
    whole = body + unquote(str(response.url))
    places = [(mark, whole.find(mark)) for mark in PERSONAL]
    return [f"{mark}: {whole[max(0, at - 200) : at]}" for mark, at in places if at >= 0]


def obeyed(tree: LexborHTMLParser, body: str) -> list[str]:
    """Return what stored text has made of a page."""
    # A form has to send a value back as it is; nothing shows it.
    shown = re.sub(r"<input[^>]*>", "", body)
    faults = [f"U+{ord(hidden):04X}" for hidden in HIDDEN if hidden in shown]
    for node in tree.css("*"):
        source = node.attributes.get("src") or ""
        if node.tag in FORBIDDEN or (node.tag == "script" and not source.startswith("/static/")):
            faults.append(f"element {node.tag}")
        for name, content in node.attributes.items():
            if name == "style" or name.startswith("on"):
                faults.append(f"attribute {name}")
            if name in LINKS and not (content or "").startswith(("/", "#")):
                faults.append(f"{name}={content}")
    return faults


def links_of(tree: LexborHTMLParser) -> list[str]:
    """Return the pages of ours to which a page leads."""
    links = [node.attributes.get("href") or "" for node in tree.css("a[href]")]
    paths = [address.partition("#")[0] for address in links if address.startswith("/")]
    return [path for path in paths if not path.startswith(("/static/", "/api/"))]
