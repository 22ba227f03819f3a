"""The header `traceparent`: each entry of the request has it, and no request is refused for one."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from tests.support.gateway_app import GatewayApp, event
from tests.support.lottery import sample

GIVEN = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
JSON = "application/json"
NDJSON = "application/x-ndjson"
YESTERDAY = datetime.now(UTC) - timedelta(days=1)  # noqa: TID251 - the gateway's clock is the real one


@pytest.fixture(scope="module")
def acme(built: GatewayApp) -> str:
    return built.operator()


@pytest.fixture(scope="module")
def key(built: GatewayApp, acme: str) -> str:
    return built.key(acme)


def post(
    gateway_app: GatewayApp,
    path: str,
    key: str,
    body: object,
    kind: str,
    traceparents: Sequence[str],
) -> httpx.Response:
    """Post *body* with a header for each of *traceparents*."""
    traces = [("traceparent", trace) for trace in traceparents]
    headers = httpx.Headers([("X-Api-Key", key), ("Content-Type", kind), *traces])
    if isinstance(body, bytes):
        return gateway_app.client.post(path, content=body, headers=headers)
    return gateway_app.client.post(path, json=body, headers=headers)


def kept(gateway_app: GatewayApp) -> list[bytes | None]:
    """Return the field of each entry on the stream."""
    entries: Any = gateway_app.redis.xrange("ticket-events")
    return [fields.get(b"traceparent") for _, fields in entries]


@pytest.mark.parametrize("kind", [JSON, NDJSON])
def test_each_event_of_the_body_has_it(gateway_app, key, acme, kind):
    events = [event(acme, "T1"), event(acme, "T2")]
    lines = "\n".join(
        httpx.Request("POST", "http://x", json=each).content.decode() for each in events
    )
    body = events if kind == JSON else lines.encode()

    answer = post(gateway_app, "/events", key, body, kind, [GIVEN])

    assert answer.status_code == 202
    assert kept(gateway_app) == [GIVEN.encode()] * 2


def test_a_lottery_message_has_it(gateway_app, key, acme):
    message = sample(YESTERDAY.date())

    answer = post(gateway_app, "/v2/integration/lottery", key, message, JSON, [GIVEN])

    assert answer.status_code == 200
    assert kept(gateway_app) == [GIVEN.encode()]


@pytest.mark.parametrize("given", [["00-1"], [GIVEN, GIVEN], []], ids=["malformed", "two", "none"])
def test_without_one_valid_header_the_event_is_published_all_the_same(
    gateway_app, key, acme, given
):
    answer = post(gateway_app, "/events", key, event(acme, "T1"), JSON, given)

    assert answer.status_code == 202
    assert kept(gateway_app) == [None]


def test_a_payment_is_part_of_it(gateway_app, acme, built):
    ticket = gateway_app.reserved(acme)
    gateway_app.client.headers["traceparent"] = GIVEN
    try:
        gateway_app.paid(acme, ticket)
    finally:
        del gateway_app.client.headers["traceparent"]

    with gateway_app.engine.connect() as connection:
        (trace,) = connection.exec_driver_sql(
            "SELECT e.traceparent FROM ticket_event e JOIN ticket t ON t.id = e.ticket"
            " WHERE t.ticket_id = %(ticket)s AND e.action = 'ticket_paid'",
            {"ticket": ticket},
        ).scalars()
    assert trace == GIVEN
