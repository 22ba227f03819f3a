"""The header `traceparent`: each entry of the request has it, and no request is refused for one."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from models.tracing.export_settings import Sampling
from models.tracing.traceparent import read_traceparent
from models.tracing.tracer import Tracer
from producers.gateway.stream import GatewayStream
from tests.support.gateway_app import GatewayApp, event
from tests.support.lottery import sample

GIVEN = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
UNRECORDED = GIVEN[:-2] + "00"
OTHER = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
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


def test_the_response_names_it_and_an_event_s_own_comes_first(gateway_app, key, acme):
    events = [event(acme, "T1"), event(acme, "T2") | {"traceparent": OTHER}]

    answer = post(gateway_app, "/events", key, events, JSON, [GIVEN])

    assert [each["trace_id"] for each in answer.json()["events"]] == [GIVEN[3:35], OTHER[3:35]]


def test_what_became_of_an_event_and_of_its_ticket_names_it(gateway_app, key, acme):
    ticket, id_ = gateway_app.name("ticket"), gateway_app.name("event")
    entry = gateway_app.harness.event("ticket_win", ticket, operator=acme, event_id=id_)
    gateway_app.harness.publish(
        type(entry)(entry.id, {**entry.fields, b"traceparent": GIVEN.encode()})
    )
    by_id = gateway_app.ask(key, f"/events/{id_}").json()
    (shown,) = gateway_app.ask(key, f"/tickets/{ticket}").json()["tickets"]

    assert [each["trace_id"] for each in by_id["events"]] == [GIVEN[3:35]]
    assert [each["trace_id"] for each in shown["events"]] == [GIVEN[3:35]]
    assert [each["trace_id"] for each in shown["notices"]] == [GIVEN[3:35]]


@pytest.mark.parametrize(
    ("ratio", "given", "kept_flags"),
    [
        (1.0, None, "01"),
        (0.0, None, "00"),
        (0.0, GIVEN, "01"),
        (1.0, UNRECORDED, "00"),
    ],
    ids=["begun and recorded", "begun", "the caller's, recorded", "the caller's"],
)
def test_a_gateway_that_exports_begins_the_trace_of_what_has_none(
    gateway_app, ratio, given, kept_flags
):
    begun: list[str | None] = []

    class Begun:
        traceparent = OTHER

        def end(self, _attributes: object = None, *, error: str | None = None) -> None:
            """End it."""

    class Spans:
        def start(self, *_: object, parent: str | None, **__: object) -> Begun:
            begun.append(parent)
            return Begun()

    tracer = Tracer(Spans(), Sampling(ratio))
    stream = GatewayStream(gateway_app.redis, waitaof_ms=None, tracer=tracer)

    trace = stream.add([{b"event": b"{}"}], traceparent=given)

    assert trace is not None
    assert trace[-2:] == kept_flags
    assert begun == ([given] if kept_flags == "01" else [])
    assert kept(gateway_app)[-1] == trace.encode()
    assert read_traceparent(trace) == trace
    if not begun and given is not None:
        assert trace == given
