"""A partner behind a gateway that wants tokens, and the endpoint that issues them: raw sockets."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from threading import Event
from typing import Any, cast

from models.access.values import Access, ClientCredentials
from models.operators.access import set_access
from models.operators.interventions import Person
from models.platform.clock import DatabaseClock
from tests.support.delivery_setup import DeliverySetup
from tests.support.raw_server import SECONDS_MAX, Conversation, Line, raw_server

CLIENT_SECRET = "canary-client-secret-7Hq"
_PERSON = Person("test", "needed")
_BEARER = b"authorization: bearer "


def response(status: int, body: object = "", *headers: str) -> bytes:
    """An HTTP response; a *body* that is no text is sent as JSON."""
    content = (body if isinstance(body, str) else json.dumps(body)).encode()
    lines = [f"HTTP/1.1 {status} Odd", f"Content-Length: {len(content)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + content


@dataclass(slots=True)
class TokenServer:
    """Issues `canary-token-1`, `canary-token-2` and so on; the gateway takes those in `valid`."""

    token_url: str = ""
    url: str = ""  # of the partner, behind the gateway
    expires_in: object = 3600
    odd: Conversation | None = None  # how the endpoint behaves instead
    echo: bool = False  # the gateway shows what it refuses
    requests: list[bytes] = field(default_factory=list)  # to the endpoint
    valid: set[str] = field(default_factory=set)
    notices: list[tuple[str, int]] = field(default_factory=list)  # token and status
    gate: Event | None = None  # the endpoint answers when it is set

    @property
    def credentials(self) -> ClientCredentials:
        """What the partner gave us."""
        return ClientCredentials(self.token_url, "us", CLIENT_SECRET)

    def revoke(self) -> None:
        """Take none of the tokens that were issued."""
        self.valid.clear()

    def statuses(self) -> list[int]:
        """What the gateway answered, in order."""
        return [status for _, status in self.notices]

    def issue(self, line: Line) -> None:
        """Answer a call of the endpoint."""
        request = line.request()
        if request is None:
            return
        self.requests.append(request)
        token = f"canary-token-{len(self.requests)}"
        if self.gate is not None:
            self.gate.wait(SECONDS_MAX)
        if self.odd is not None:
            self.odd(line)
            return
        self.valid.add(token)
        document: dict[str, Any] = {"access_token": token, "token_type": "Bearer"}
        line.send(response(200, document | {"expires_in": self.expires_in}))

    def check(self, line: Line) -> None:
        """Answer calls to the partner: 200 to a valid token, else 401."""
        while (request := line.request()) is not None:
            head = request.partition(b"\r\n\r\n")[0].split(b"\r\n")
            shown = [field[len(_BEARER) :] for field in head if field.lower().startswith(_BEARER)]
            token = b"".join(shown).decode()
            status = 200 if token in self.valid else 401
            self.notices.append((token, status))
            body = f"no: {token} {CLIENT_SECRET}" if self.echo else ""
            line.send(response(status, body))


@contextmanager
def token_server() -> Iterator[TokenServer]:
    """Run both."""
    server = TokenServer()
    with raw_server(server.issue) as endpoint, raw_server(server.check) as gateway:
        server.token_url = f"{endpoint.url}token"
        server.url = gateway.url
        yield server
        if server.gate is not None:
            server.gate.set()


def give_access(delivery: DeliverySetup, code: str, credentials: ClientCredentials) -> None:
    """Give the operator credentials."""
    give(delivery, code, Access(oauth=credentials))


def give(delivery: DeliverySetup, code: str, access: Access) -> None:
    """Give the operator an access."""
    with delivery.engine.begin() as connection:
        now = DatabaseClock().now(connection)
        set_access(connection, code, access, now=now, vault=delivery.vault, person=_PERSON)


def add_partner(
    delivery: DeliverySetup, server: TokenServer, *, code: str = "acme", **more: str | bool
) -> str:
    """Add an operator behind the gateway; *more* changes its credentials."""
    delivery.operator(code, server.url)
    give_access(delivery, code, replace(server.credentials, **cast("dict[str, Any]", more)))
    return code


def sending(*parts: bytes) -> Callable[[Line], None]:
    """Send these bytes."""

    def send(line: Line) -> None:
        for part in parts:
            line.send(part)

    return send
