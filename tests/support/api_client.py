"""Programs that use the operations API, each with a token of its own.

def test_…(api):                                  # the fixture of tests/integration/console
api.viewer.get("/tickets/acme/T").json()
api.support.act("/tickets/acme/T/hold")       # with a reason, and a new key
"""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import httpx
from sqlalchemy import Engine, text

from models.operators.interventions import Person
from models.platform.clock import DatabaseClock
from models.settings.settings import Settings
from models.users import NewToken, Role, add_token
from tests.support.console_app import serving_console
from tests.support.plain_http import ANSWER_SECONDS_MAX, NO_AUTHORITIES
from worker.console.api.application import PATH
from worker.console.limits import ConsoleLimits

PERSON = Person("test", "needed")
ACTS = text("SELECT who, why, did, operator, ticket, facts FROM intervention ORDER BY id")


@dataclass(frozen=True)
class ApiClient:
    """One program. Paths are those below `/api/v1`."""

    http: httpx.Client
    token: str = field(repr=False)

    def get(self, path: str, **query: Any) -> httpx.Response:  # noqa: ANN401 - query values
        """Read something, whatever the status."""
        return self.http.get(PATH + path, params=query, headers=self.headers())

    def read(self, path: str, **query: Any) -> Any:  # noqa: ANN401 - query values, and JSON
        """Read something; the status must be 200."""
        response = self.get(path, **query)
        assert response.status_code == 200, response.text
        return response.json()

    def post(
        self, path: str, body: Mapping[str, Any] | None = None, *, key: str | None = None
    ) -> httpx.Response:
        """Post as it is, whatever the status; *key* is the Idempotency-Key."""
        headers = self.headers() | ({} if key is None else {"Idempotency-Key": key})
        return self.http.post(PATH + path, json=body, headers=headers)

    def act(self, path: str, *, key: str | None = None, **body: Any) -> httpx.Response:  # noqa: ANN401 - the body's fields
        """Do something with a reason, and with a new key unless one is given."""
        return self.post(path, {"why": "a test", **body}, key=key or uuid4().hex)

    def headers(self) -> dict[str, str]:
        """Return the header with the token."""
        return {"Authorization": f"Bearer {self.token}"}


@dataclass
class OperationsApi:
    """The API of a running console, and a client for each role."""

    url: str
    engine: Engine
    settings: Settings
    _closing: ExitStack = field(repr=False)
    _clients: dict[Role, ApiClient] = field(default_factory=dict)

    def client(self, token: str) -> ApiClient:
        """Return a client with *token*, whatever it is."""
        http = self._closing.enter_context(
            httpx.Client(base_url=self.url, timeout=ANSWER_SECONDS_MAX, verify=NO_AUTHORITIES)
        )
        return ApiClient(http, token)

    def added(self, name: str, role: Role) -> NewToken:
        """Add a token."""
        with self.engine.begin() as connection:
            now = DatabaseClock().now(connection)
            return add_token(connection, name, role=role, person=PERSON, now=now)

    def as_role(self, role: Role) -> ApiClient:
        """Return the client of a role; its token has the role's name."""
        if role not in self._clients:
            self._clients[role] = self.client(self.added(role.value, role).token)
        return self._clients[role]

    @property
    def viewer(self) -> ApiClient:
        """A program that reads."""
        return self.as_role(Role.VIEWER)

    @property
    def support(self) -> ApiClient:
        """A program that works off tickets and notices."""
        return self.as_role(Role.SUPPORT)

    @property
    def operations(self) -> ApiClient:
        """A program that may do everything."""
        return self.as_role(Role.OPERATIONS)

    def acts(self, did: str) -> list[Mapping[str, Any]]:
        """Return the interventions with this word, oldest first."""
        with self.engine.connect() as connection:
            rows = connection.execute(ACTS).mappings()
            return [dict(row) for row in rows if row["did"] == did]


@contextmanager
def operations_api_on(
    settings: Settings, engine: Engine, *, limits: ConsoleLimits | None = None
) -> Iterator[OperationsApi]:
    """Run a console for its API."""
    with ExitStack() as closing:
        url = closing.enter_context(serving_console(settings, limits))
        yield OperationsApi(url, engine, settings, closing)
