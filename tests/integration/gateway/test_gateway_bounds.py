"""Everything has a limit, and a client that meets one gets an error in the common shape."""

import json
import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from datetime import timedelta
from select import select
from threading import Event
from typing import Any

import httpx
import pytest

from producers.gateway.limits import Limits
from tests.support import slow_requests
from tests.support.concurrent_connections import beside, waiting_sessions
from tests.support.gateway_app import GatewayApp, event, gateway_app_on
from tests.support.plain_settings import plain_settings
from tests.support.slow_requests import answered, send_rest, status_of
from tests.support.wait import eventually, pause

SOON = timedelta(seconds=0.05)
Opened = Callable[..., GatewayApp]


@pytest.fixture
def opened(redis_url, database, engine) -> Iterator[Opened]:
    """A gateway with limits of the test's own."""
    with ExitStack() as closing:

        def build(**limits: object) -> GatewayApp:
            settings = plain_settings(database_url=database, redis_url=redis_url)
            bounds = Limits(flush=SOON, **limits)  # type: ignore[arg-type]  # each test's own
            return closing.enter_context(gateway_app_on(settings, engine, limits=bounds))

        yield build


@contextmanager
def held_upload(gateway_app: GatewayApp, key: str, operator: str) -> Iterator[None]:
    """An upload that is under way, and ends well when the block does."""
    go = Event()

    def lines() -> Iterator[bytes]:
        yield json.dumps(event(operator, "T")).encode() + b"\n"
        assert go.wait(60)

    before = len(gateway_app.on_stream())
    with beside(lambda: gateway_app.publish_lines(key, lines())) as upload:
        try:
            eventually(lambda: len(gateway_app.on_stream()) > before)
            yield
        finally:
            go.set()
        assert upload.result().status_code == 202


def turned_away(answer: httpx.Response, status: int) -> str:
    """Return the message for a client that should retry in a second."""
    assert (answer.status_code, answer.json()["code"]) == (status, status)
    assert answer.headers["Retry-After"] == "1"
    message: str = answer.json()["message"]
    return message


def test_one_caller_cannot_take_all_places(opened):
    gateway_app = opened(requests_of_caller=1)
    acme, beta = gateway_app.operator(), gateway_app.operator()
    key, of_any, of_beta = gateway_app.key(acme), gateway_app.key(), gateway_app.key(beta)
    ticket = gateway_app.reserved(acme)

    with held_upload(gateway_app, key, acme):
        for of_acme in (key, gateway_app.key(acme), gateway_app.key(beta, acme)):
            answer = gateway_app.publish(of_acme, event(acme, "T"))
            message = "you have 1 in progress, with all keys of an operator"
            assert message in turned_away(answer, 429)
        assert gateway_app.publish(of_any, event(acme, "T")).status_code == 202
        assert gateway_app.publish(of_beta, event(beta, "T")).status_code == 202
        assert gateway_app.paid(acme, ticket).status_code == 200  # its partner has its own places

    assert gateway_app.publish(key, event(acme, "T")).status_code == 202


def test_a_full_gateway_refuses_everyone_but_the_probes(opened):
    gateway_app = opened(requests=1)
    acme = gateway_app.operator()
    key = gateway_app.key(acme)

    with held_upload(gateway_app, key, acme):
        answer = gateway_app.publish(key, event(acme, "T"))
        assert "too many concurrent requests" in turned_away(answer, 503)
        assert gateway_app.client.get("/healthz").status_code == 200
        assert gateway_app.client.get("/readyz").status_code == 200


def test_uploads_of_many_events_have_places_of_their_own(opened):
    gateway_app = opened(uploads=1)
    acme = gateway_app.operator()
    key = gateway_app.key(acme)
    large = [event(acme, "T", note="x" * 100_000) for _ in range(3)]

    with held_upload(gateway_app, key, acme):
        turned_away(gateway_app.publish_lines(key, b"{}"), 503)
        turned_away(gateway_app.publish(key, large), 503)
        assert gateway_app.publish(key, event(acme, "T")).status_code == 202

    assert gateway_app.publish(key, large).status_code == 202


def test_an_operator_cannot_hold_all_uploads_however_many_keys_it_has(opened):
    gateway_app = opened(uploads=3, uploads_of_caller=2)
    acme, beta = gateway_app.operator(), gateway_app.operator()
    keys = [gateway_app.key(acme), gateway_app.key(beta, acme), gateway_app.key(acme)]
    of_beta = gateway_app.key(beta)
    large = [event(acme, "T", note="x" * 100_000) for _ in range(3)]

    with held_upload(gateway_app, keys[0], acme), held_upload(gateway_app, keys[1], acme):
        for key in keys:
            refused = [gateway_app.publish_lines(key, b"{}"), gateway_app.publish(key, large)]
            assert all("you have 2 in progress" in turned_away(each, 429) for each in refused)
        assert gateway_app.publish_lines(of_beta, json.dumps(event(beta, "T"))).status_code == 202

    assert gateway_app.publish(keys[2], large).status_code == 202


def test_a_key_that_is_bound_to_no_operator_cannot_hold_all_uploads(opened):
    gateway_app = opened(uploads=2, uploads_of_caller=1)
    acme = gateway_app.operator()
    of_any, key = gateway_app.key(), gateway_app.key(acme)

    with held_upload(gateway_app, of_any, acme):
        turned_away(gateway_app.publish_lines(of_any, b"{}"), 429)
        assert gateway_app.publish_lines(key, json.dumps(event(acme, "T"))).status_code == 202


def slow_body(
    gateway_app: GatewayApp, *, path: str = "/be/tickets/1/paid", **headers: str
) -> AbstractContextManager[socket.socket]:
    """A request of a stranger, whose body begins and does not go on."""
    return slow_requests.slow_body(str(gateway_app.client.base_url), path, **headers)


SIGNED_BY_NOBODY = {"operator-name": "nobody", "timestamp": "1", "signature": "none"}


def test_unauthenticated_slow_bodies_take_places_from_each_other_alone(opened):
    gateway_app = opened(slow_bodies=1, prompt=SOON)
    acme = gateway_app.operator()
    ticket = gateway_app.reserved(acme)

    with ExitStack() as lines:  # all stay open, so that one of them has the place

        def refused() -> bytes | None:
            line = lines.enter_context(slow_body(gateway_app, **SIGNED_BY_NOBODY))
            line.settimeout(0.5)
            try:
                return line.recv(4096)
            except TimeoutError:  # it has the place itself
                return None

        answer = eventually(refused)
        assert answer is not None
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b"retry-after: 1\r\n" in answer
        assert gateway_app.paid(acme, ticket).status_code == 200


@pytest.mark.parametrize(
    "limits",
    [{"slow_bodies": 3, "slow_bodies_of_operator": 2}, {"bodies_of_operator": 2}],
    ids=["slow", "any"],
)
def test_slow_bodies_that_name_one_operator_take_no_place_from_another(opened, limits):
    gateway_app = opened(prompt=SOON, **limits)
    acme, beta = gateway_app.operator(), gateway_app.operator()
    ticket = gateway_app.reserved(beta)

    with ExitStack() as lines:

        def named(operator: str) -> socket.socket:
            headers = SIGNED_BY_NOBODY | {"operator-name": operator}
            return lines.enter_context(slow_body(gateway_app, **headers))

        of_acme = [named(acme) for _ in range(5)]
        refused = answered(of_acme, 3)
        of_beta = named(beta)

        assert gateway_app.paid(beta, ticket).status_code == 200
        assert {status_of(line) for line in refused} == {b"429"}
        pause(2 * SOON.total_seconds())  # now this body is slow too
        assert send_rest(of_beta) == b"403", "it was read to its end"


def test_unauthenticated_slow_bodies_take_no_place_from_a_publisher(opened):
    gateway_app = opened(requests=3)  # none of the bodies counts as slow until a second has passed
    acme = gateway_app.operator()
    key = gateway_app.key(acme)

    with ExitStack() as lines:
        headers = SIGNED_BY_NOBODY | {"X-Api-Key": "guessed"}
        unknown = [lines.enter_context(slow_body(gateway_app, **headers)) for _ in range(4)]
        answered, _, _ = select(unknown, [], [], 10)  # the one that found all places taken
        assert [line.recv(4096)[:13] for line in answered] == [b"HTTP/1.1 503 "]

        assert gateway_app.publish(key, event(acme, "T")).status_code == 202


def test_a_slow_body_with_a_wrong_key_is_refused_before_it_is_read(opened):
    gateway_app = opened()

    with slow_body(gateway_app, path="/events", **{"X-Api-Key": "guessed"}) as line:
        assert line.recv(4096).startswith(b"HTTP/1.1 401 ")


def test_all_signed_routes_are_counted_apart(opened):
    paths = opened().client.get("/openapi.json").json()["paths"]
    signed = {
        path
        for path, operations in paths.items()
        if any(
            "signature" in way for call in operations.values() for way in call.get("security", [])
        )
    }

    assert signed == {path for path in paths if path.startswith("/be/")} != set()


def test_without_a_signature_no_body_is_waited_for(opened):
    gateway_app = opened()

    with slow_body(gateway_app, timestamp="1") as line:
        assert b" 403 " in line.recv(4096)


def test_a_call_that_waits_too_long_for_a_thread_is_refused_before_anything_is_done(opened):
    gateway_app = opened(threads=1, thread_wait=SOON)
    acme = gateway_app.operator()
    ticket = gateway_app.reserved(acme)

    with gateway_app.engine.connect() as obstacle:
        obstacle.exec_driver_sql("SELECT 1 FROM ticket FOR UPDATE")
        with beside(lambda: gateway_app.paid(acme, ticket)) as payment:
            waiting_sessions(gateway_app.engine)
            assert "server busy, retry later" in turned_away(gateway_app.paid(acme, ticket), 503)
            obstacle.rollback()
            assert payment.result().status_code == 200


def test_a_lock_that_nobody_lets_go_is_503_and_nothing_was_done(opened):
    gateway_app = opened(lock_wait=SOON)
    acme = gateway_app.operator()
    ticket = gateway_app.reserved(acme)

    with gateway_app.engine.connect() as obstacle:
        obstacle.exec_driver_sql("SELECT 1 FROM ticket FOR UPDATE")
        answer = gateway_app.paid(acme, ticket)

    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    assert gateway_app.paid(acme, ticket).status_code == 200


def test_a_body_that_does_not_come_is_408(opened):
    gateway_app = opened(body_time=SOON * 20, body_silence=SOON * 20)
    acme = gateway_app.operator()
    key = gateway_app.key(acme)
    line = json.dumps(event(acme, "T")).encode()

    def answer_to(part: bytes, kind: str) -> tuple[bytes, dict[str, Any]]:
        headers = {"X-Api-Key": key, "Content-Type": kind, "Content-Length": "1000"}
        headers["Connection"] = "close"  # else the server keeps it for a next request
        url = str(gateway_app.client.base_url)
        with slow_requests.slow_headers(url, "/events", **headers) as connection:
            connection.sendall(b"\r\n" + part)
            answer = b"".join(iter(lambda: connection.recv(4096), b""))
        head, _, body = answer.partition(b"\r\n\r\n")
        return head[slow_requests.STATUS], json.loads(body)

    whole = answer_to(line[:9], "application/json")
    lines = answer_to(line + b"\n" + line[:9], "application/x-ndjson")

    assert (whole[0], whole[1]["code"]) == (b"408", 408)
    assert lines[0] == b"408"
    assert "lines 1 to 1 are processed: 1 accepted" in lines[1]["message"]
    assert len(gateway_app.on_stream()) == 1
