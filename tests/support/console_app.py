"""The console on a port of its own, with a signed-in client for each role.

def test_…(console):                      # the fixture of tests/integration/console/conftest.py
page = console.viewer.page("/notices")    # fails unless it is a page with status 200
page.text("h1")                            # "Notices"
console.support.act("/tickets/1/hold", reason="asked by the partner")   # follows redirects
"""

import re
import secrets
import ssl
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, Self

import httpx
import uvicorn
from fastapi import APIRouter
from selectolax.lexbor import LexborHTMLParser, LexborNode
from sqlalchemy import Engine

from models.operators.interventions import Person
from models.platform.clock import DatabaseClock
from models.settings.settings import Settings
from models.users import Role, add_user
from tests.support.plain_http import ANSWER_SECONDS_MAX, NO_AUTHORITIES
from tests.support.web_servers import web_server
from worker.console.app import add_pages, build_app
from worker.console.limits import ConsoleLimits
from worker.console.people import SESSION_COOKIE

PLAIN_PAGE = "/history"  # for every role, and of one query; the overview asks some twenty
PERSON = Person("test", "needed")


@dataclass(frozen=True)
class Page:
    """A page as a person reads it."""

    response: httpx.Response
    tree: LexborHTMLParser = field(repr=False)

    @classmethod
    def of(cls, response: httpx.Response) -> Self:
        """Parse a response."""
        assert response.headers["content-type"].startswith("text/html"), response.text[:500]
        return cls(response, LexborHTMLParser(response.text))

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self.response.status_code

    @property
    def words(self) -> str:
        """All text of the page's content, with single spaces."""
        return self.text("main")

    def text(self, selector: str) -> str:
        """Return the text of the first element, with single spaces."""
        return clean(self.one(selector))

    def texts(self, selector: str) -> list[str]:
        """Return the texts of all elements."""
        return [clean(node) for node in self.tree.css(selector)]

    def one(self, selector: str) -> LexborNode:
        """Return the first element; it must be there."""
        node = self.tree.css_first(selector)
        assert node is not None, f"no {selector} in {self.response.text[:3000]}"
        return node

    def rows(self, selector: str = "table") -> list[list[str]]:
        """Return the cells of a table's body."""
        rows = self.one(selector).css("tbody tr")
        return [[clean(cell) for cell in row.css("td, th")] for row in rows]

    def links(self) -> dict[str, str]:
        """Return the links of the content by their text."""
        return {
            clean(node): node.attributes["href"] or "" for node in self.tree.css("main a[href]")
        }

    def hidden(self, name: str) -> str:
        """Return the value of the first field of this name."""
        return self.one(f"input[name={name}]").attributes["value"] or ""


def clean(node: LexborNode) -> str:
    """Return an element's text with single spaces."""
    return re.sub(r"\s+", " ", node.text()).strip()


@dataclass
class ConsoleClient:
    """A browser without JavaScript: keeps cookies, follows redirects."""

    http: httpx.Client
    name: str
    _tokens: dict[str, str] = field(default_factory=dict, repr=False)

    def get(self, path: str, **query: Any) -> httpx.Response:  # noqa: ANN401 - query values
        """Get something, whatever the status."""
        return self.http.get(path, params={name: str(item) for name, item in query.items()} or None)

    def page(self, path: str, *, status: int = 200, **query: Any) -> Page:  # noqa: ANN401 - as above
        """Get a page, which must have *status*."""
        page = Page.of(self.get(path, **query))
        assert page.status == status, f"{page.status}: {page.words}"
        return page

    def post(
        self,
        path: str,
        fields: Mapping[str, Any] | None = None,
        *,
        token: str | None = None,
        page: str = "/",
    ) -> httpx.Response:
        """Send a form as our *page* does, with the session's token unless another is given."""
        given = self.token() if token is None else token
        base = self.http.base_url
        origin = f"{base.scheme}://{base.netloc.decode()}"
        return self.http.post(
            path,
            data={"csrf": given, **(fields or {})},
            headers={"Origin": origin, "Referer": f"{origin}{page}"},
        )

    def act(
        self, path: str, fields: Mapping[str, Any] | None = None, *, reason: str = "a test"
    ) -> Page:
        """Send the form of an act; the page that follows, whatever its status."""
        return Page.of(self.post(path, {"reason": reason, **(fields or {})}))

    def token(self) -> str:
        """The CSRF token, as every page holds it; it stays the same for as long as the session."""
        cookies = self.http.cookies.items()
        session = next((value for name, value in cookies if name.endswith(SESSION_COOKIE)), None)
        if session is None:
            return self.page(PLAIN_PAGE).hidden("csrf")
        if session not in self._tokens:
            self._tokens[session] = self.page(PLAIN_PAGE).hidden("csrf")
        return self._tokens[session]

    def sign_in(self, password: str, *, to: str = "/", name: str | None = None) -> Page:
        """Sign in with the form."""
        form = self.page("/sign-in", to=to)
        fields = {
            "csrf": form.hidden("csrf"),
            "to": form.hidden("to"),
            "name": name or self.name,
            "password": password,
        }
        return Page.of(self.http.post("/sign-in", data=fields))


@dataclass
class ConsoleApp:
    """What a test of the console acts on."""

    url: str
    engine: Engine
    passwords: Mapping[Role, str] = field(repr=False)
    _closing: ExitStack = field(repr=False)
    _clients: dict[Role, ConsoleClient] = field(default_factory=dict)

    def stranger(
        self, *, follow_redirects: bool = True, trust: ssl.SSLContext = NO_AUTHORITIES
    ) -> ConsoleClient:
        """Return a client that nobody has signed in with."""
        http = self._closing.enter_context(
            httpx.Client(
                base_url=self.url,
                timeout=ANSWER_SECONDS_MAX,
                follow_redirects=follow_redirects,
                verify=trust,
            )
        )
        http.headers["Accept"] = "text/html"
        return ConsoleClient(http, "nobody")

    def as_role(self, role: Role) -> ConsoleClient:
        """Return the signed-in client of a role; its user has the role's name."""
        if role not in self._clients:
            client = self.stranger()
            client.name = role.value
            assert client.sign_in(self.passwords[role], to=PLAIN_PAGE).status == 200
            self._clients[role] = client
        return self._clients[role]

    @property
    def viewer(self) -> ConsoleClient:
        """A client signed in as `viewer`."""
        return self.as_role(Role.VIEWER)

    @property
    def support(self) -> ConsoleClient:
        """A client signed in as `support`."""
        return self.as_role(Role.SUPPORT)

    @property
    def operations(self) -> ConsoleClient:
        """A client signed in as `operations`."""
        return self.as_role(Role.OPERATIONS)


@contextmanager
def serving_console(
    settings: Settings,
    limits: ConsoleLimits | None = None,
    *,
    pages: APIRouter | None = None,
    port: int = 0,
) -> Iterator[str]:
    """Run the console in a thread, with *pages* beside its own; its address."""
    app = build_app(settings, limits)
    if pages is not None:
        add_pages(app, pages)
    config = uvicorn.Config(
        app,
        port=port,
        ws="none",
        log_config=None,
        server_header=False,
        proxy_headers=False,  # as in the Procfile, as is the next one
        h11_max_incomplete_event_size=262144,
    )
    with web_server(config) as address:
        yield address


def add_console_users(engine: Engine) -> dict[Role, str]:
    """Add one user per role, named after it; their passwords."""
    passwords = {role: secrets.token_urlsafe(16) for role in Role}
    for role, password in passwords.items():
        with engine.begin() as connection:
            now = DatabaseClock().now(connection)
            add_user(connection, role.value, role=role, password=password, person=PERSON, now=now)
    return passwords


@contextmanager
def console_app_on(
    settings: Settings,
    engine: Engine,
    *,
    limits: ConsoleLimits | None = None,
    pages: APIRouter | None = None,
    port: int = 0,
) -> Iterator[ConsoleApp]:
    """A console with a user for each role, and with *pages* beside its own."""
    passwords = add_console_users(engine)
    with ExitStack() as closing:
        url = closing.enter_context(serving_console(settings, limits, pages=pages, port=port))
        yield ConsoleApp(url, engine, passwords, closing)
