"""A gateway on a port of its own, with operators that sign and publishers that hold keys."""

import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from typing import Any

import httpx
import redis as redis_client
import uvicorn
from sqlalchemy import Engine, text

from models.events.stream_contract import STREAM
from models.operators.interventions import Person
from models.platform.clock import DatabaseClock
from models.platform.encryption import Vault
from models.platform.signing import sign
from models.publishers.keys import add_publisher
from models.settings.settings import Settings
from producers.gateway.app import build_app
from producers.gateway.limits import Limits
from tests.support.harness import SLIP, Harness
from tests.support.manual_clock import ManualClock
from tests.support.plain_http import NO_AUTHORITIES
from tests.support.web_servers import web_server

SECRET = "12345ABCDE-not-the-sample-s"
SEAL = text("UPDATE operator SET secret = :sealed, timezone = :zone WHERE code = :code")


@contextmanager
def serving(settings: Settings, limits: Limits | None = None) -> Iterator[str]:
    """Run the gateway in a thread; its address."""
    config = uvicorn.Config(
        build_app(settings, limits), port=0, ws="none", log_config=None, server_header=False
    )
    with web_server(config) as address:
        yield address


@dataclass
class GatewayApp:
    """What a test of the gateway acts on."""

    client: httpx.Client
    engine: Engine
    redis: "redis_client.Redis"
    harness: Harness
    vault: Vault
    _names: Iterator[int] = field(default_factory=lambda: count(1))

    def name(self, kind: str) -> str:
        """Make up an id that no other test of the module has."""
        return f"{kind}-{next(self._names)}"

    # --- operators ---

    def operator(self, *, protocol: str = "pam", zone: str = "UTC") -> str:
        """Make an operator that signs with SECRET; its code."""
        code = self.name("operator")
        self.harness.add_operator(code, protocol=protocol)
        row = {"sealed": self.vault.encrypt(SECRET), "zone": zone, "code": code}
        with self.engine.begin() as connection:
            connection.execute(SEAL, row)
        return code

    def reserved(self, operator: str, *, ticket_id: str | None = None, **facts: object) -> str:
        """Make a reserved ticket; its id."""
        ticket = ticket_id or self.name("ticket")
        slip = {**SLIP, "ticket_code": f"CODE-{ticket}"[:64], **facts}
        self.harness.say("ticket_reserve", ticket, operator=operator, **slip)
        self.harness.deliver()
        return ticket

    def signed(
        self,
        method: str,
        path: str,
        *,
        operator: str,
        body: bytes = b"",
        at: int | None = None,
        secret: str = SECRET,
        over: bytes | None = None,
        leave_out: Sequence[str] = (),
    ) -> httpx.Response:
        """Send a signed request. *over*: sign these bytes instead of the body's."""
        timestamp = int(datetime.now(UTC).timestamp()) if at is None else at  # noqa: TID251 - as a caller does
        signature = sign(body if over is None else over, timestamp=timestamp, secret=secret)
        headers = {
            "timestamp": str(timestamp),
            "operator-name": operator,
            "signature": signature,
        }
        for name in leave_out:
            del headers[name]
        return self.client.request(method, path, content=body, headers=headers)

    def paid(self, operator: str, identifier: str, **more: Any) -> httpx.Response:  # noqa: ANN401 - handed on to `signed`
        """Report that a ticket has been paid."""
        return self.signed("POST", f"/be/tickets/{identifier}/paid", operator=operator, **more)

    # --- publishers ---

    def key(self, *operators: str, read_only: bool = False) -> str:
        """Make a publisher; its key."""
        person = Person("test", "needed")
        with self.engine.begin() as connection:
            return add_publisher(
                connection,
                self.name("publisher"),
                operators=operators,
                read_only=read_only,
                person=person,
            )

    def publish(self, key: str, body: object, **query: str) -> httpx.Response:
        """Post JSON to /events."""
        return self.client.post(
            "/events",
            content=json.dumps(body),
            params=query,
            headers={"X-Api-Key": key, "Content-Type": "application/json"},
        )

    def publish_lines(self, key: str, content: Any, **query: str) -> httpx.Response:  # noqa: ANN401 - whatever the client streams
        """Post NDJSON to /events."""
        return self.client.post(
            "/events",
            content=content,
            params=query,
            headers={"X-Api-Key": key, "Content-Type": "application/x-ndjson"},
        )

    def ask(self, key: str, path: str, **query: object) -> httpx.Response:
        """Get something with a key."""
        params = {name: str(value) for name, value in query.items()}
        return self.client.get(path, params=params, headers={"X-Api-Key": key})

    def on_stream(self) -> list[dict[str, Any]]:
        """Read the events on the stream, oldest first."""
        entries: Any = self.redis.xrange(STREAM)
        return [json.loads(fields[b"event"]) for _, fields in entries]


def harness_of_today(engine: Engine) -> Harness:
    """Make a harness whose time starts now: a gateway checks ages by the database's clock."""
    with engine.connect() as connection:
        now = DatabaseClock().now(connection)
    return Harness(engine, ManualClock(now.replace(microsecond=0)))


@contextmanager
def gateway_app_on(
    settings: Settings, engine: Engine, *, limits: Limits | None = None
) -> Iterator[GatewayApp]:
    """A gateway with what belongs to it."""
    harness = harness_of_today(engine)
    with ExitStack() as closing:
        url = closing.enter_context(serving(settings, limits))
        client = closing.enter_context(
            httpx.Client(base_url=url, timeout=20, verify=NO_AUTHORITIES)
        )
        redis = closing.enter_context(redis_client.Redis.from_url(settings.redis_url))
        yield GatewayApp(client, engine, redis, harness, Vault.with_keys(settings.secret_key))


def event(
    operator: str, ticket_id: str, action: str = "ticket_win", **more: object
) -> dict[str, Any]:
    """Format an event; *more* are fields beside `data`."""
    return {**more, "action": action, "data": {"operator": operator, "ticket_id": ticket_id}}
