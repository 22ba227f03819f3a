"""Partners whose gateway wants a token (OAuth 2 client credentials), and bad token endpoints."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from models.access.values import Access
from models.outbox.causes import Cause, cause_of
from tests.support.certificates import identity
from tests.support.closed_port import closed_port
from tests.support.delivery_setup import RUN_MAX, SECRET, DeliverySetup, delivery_settings
from tests.support.harness import SLIP
from tests.support.http_clients import LONG, SHORT
from tests.support.raw_server import Conversation, Line, raw_server
from tests.support.sample_notice import PARTNER
from tests.support.token_server import (
    CLIENT_SECRET,
    TokenServer,
    add_partner,
    give_access,
    response,
    sending,
    token_server,
)
from worker.delivery.http.limits import TransferLimits
from worker.delivery.ping import PingResult, SignatureCheck, ping, ping_signed
from worker.delivery.token_endpoint import NOTHING_SENT

TRIES = "SELECT tries, ended, first_tried_at FROM notice ORDER BY id"
PROBE = timedelta(seconds=15)
MINUTE = timedelta(minutes=1)
TOKEN = {"access_token": "canary-token-odd", "token_type": "Bearer"}


@pytest.fixture
def server() -> Iterator[TokenServer]:
    with token_server() as made:
        yield made


def circuit_of(delivery: DeliverySetup, code: str = "acme") -> str | None:
    """Why its circuit is open; None if it is closed."""
    (row,) = delivery.rows(
        "SELECT c.reason, c.opened_at IS NOT NULL AND c.closed_at IS NULL AS is_open"
        " FROM circuit c JOIN operator o ON o.id = c.operator WHERE o.code = :code",
        code=code,
    )
    reason: str = row.reason
    return reason if row.is_open else None


def test_a_token_is_fetched_once_and_carried_by_every_notice(delivery, server):
    acme = add_partner(delivery, server)
    delivery.publish(acme, *(("ticket_win", f"t{number}") for number in range(40)))

    run = delivery.deliver()

    assert run.counts == {"claimed": 40, "delivered": 40}
    assert server.notices == [("canary-token-1", 200)] * 40
    (request,) = server.requests
    assert request.startswith(b"POST /token HTTP/1.1\r\n")
    assert request.endswith(b"\r\n\r\ngrant_type=client_credentials")
    assert b"idempotency-key" not in request.lower(), "nothing of the notice goes there"


def test_id_and_secret_in_the_body_with_scope_and_audience(delivery, server):
    acme = add_partner(
        delivery, server, in_body=True, client_id="us:2", scope="a b", audience="urn:x"
    )
    delivery.publish(acme, ("ticket_win", "t"))

    delivery.deliver()

    (request,) = server.requests
    assert b"authorization:" not in request.lower()
    assert request.endswith(
        b"\r\n\r\ngrant_type=client_credentials&scope=a+b&audience=urn%3Ax&client_id=us%3A2"
        b"&client_secret=canary-client-secret-7Hq"
    )
    assert server.statuses() == [200]


def test_a_token_is_renewed_early_while_the_old_one_is_used(delivery, server):
    seconds = [1000.0]
    loop = delivery.delivery_loop(monotonic=lambda: seconds[0])
    acme = add_partner(delivery, server)
    sent = []
    for passed in (0, 2600, 200, 10):
        seconds[0] += passed
        delivery.publish(acme, ("ticket_win", f"t{passed}"))
        loop.run(lasting=RUN_MAX)
        sent.append(server.notices[-1][0])

    assert sent[:3] == ["canary-token-1", "canary-token-1", "canary-token-1"]
    assert len(server.requests) == 2
    assert set(server.statuses()) == {200}


def test_an_expired_token_is_replaced_before_anything_is_sent(delivery, server):
    seconds = [1000.0]
    loop = delivery.delivery_loop(monotonic=lambda: seconds[0])
    acme = add_partner(delivery, server)
    for _ in range(2):
        delivery.publish(acme, ("ticket_win", f"t{seconds[0]}"))
        loop.run(lasting=RUN_MAX)
        seconds[0] += 3600.0
        server.revoke()

    assert server.notices == [("canary-token-1", 200), ("canary-token-2", 200)]


def test_a_revoked_token_is_renewed_once_and_costs_no_attempt(delivery, server, clock):
    """The 401 is an attempt of its own: each claim sends once, as its lease assumes."""
    loop = delivery.delivery_loop()
    acme = add_partner(delivery, server)
    delivery.publish(acme, ("ticket_win", "before"))
    loop.run(lasting=RUN_MAX)
    server.revoke()
    delivery.publish(acme, *(("ticket_win", f"t{number}") for number in range(30)))

    run = loop.run(lasting=RUN_MAX)

    assert run is not None
    assert run.counts["delivered"] == 30
    assert run.counts["again"] == server.statuses().count(401)
    assert len(server.requests) == 2
    assert circuit_of(delivery) is None
    refused = [row for row in delivery.attempts() if row.http_status == 401]
    assert {row.problem for row in refused} == {
        (
            "answered 401 to a token of the client us (slipway operators access acme);"
            " a new token is fetched"
        )
    }
    assert {row.tries for row in delivery.rows(TRIES)} == {1}, "the delivery alone counts"


def test_a_second_401_opens_the_circuit_and_its_probe_closes_it_with_a_new_token(
    delivery, server, clock
):
    loop = delivery.delivery_loop()
    acme = add_partner(delivery, server)
    delivery.publish(acme, ("ticket_win", "before"))
    loop.run(lasting=RUN_MAX)
    server.odd = sending(response(200, TOKEN))  # which the gateway does not take
    server.revoke()
    delivery.publish(acme, ("ticket_win", "t"))

    loop.run(lasting=RUN_MAX)

    assert server.statuses() == [200, 401, 401]
    assert circuit_of(delivery) == "answered 401"
    assert delivery.rows(TRIES)[-1].tries == 0
    server.odd = None
    clock.advance(PROBE)
    loop.run(lasting=RUN_MAX)
    assert server.statuses() == [200, 401, 401, 200]
    assert circuit_of(delivery) is None


@pytest.mark.parametrize("action", ["ticket_create", "ticket_reserve"])
def test_a_create_is_never_sent_a_second_time(delivery, server, action):
    """Rule 10: its 401 may be about the player; the next notice has a new token."""
    loop = delivery.delivery_loop()
    acme = add_partner(delivery, server)
    delivery.publish(acme, ("ticket_win", "before"))
    loop.run(lasting=RUN_MAX)
    server.revoke()
    delivery.publish(acme, (action, "t"), **SLIP)

    loop.run(lasting=RUN_MAX)

    (create,) = delivery.rows(
        "SELECT ended, claims FROM notice WHERE action = :action", action=action
    )
    assert create == ("refused", 1)
    assert server.statuses()[:2] == [200, 401]
    assert circuit_of(delivery) is None


@pytest.mark.parametrize("repeated", [False, True])
def test_nothing_secret_is_logged_or_stored(delivery, server, caplog, repeated):
    caplog.set_level("DEBUG")
    server.echo = repeated
    loop = delivery.delivery_loop()
    acme = add_partner(delivery, server)
    delivery.publish(acme, ("ticket_win", "a"))
    loop.run(lasting=RUN_MAX)
    server.revoke()
    server.odd = sending(
        response(400, {"error": "invalid_client", "error_description": CLIENT_SECRET})
    )
    delivery.publish(acme, ("ticket_win", "b"))
    loop.run(lasting=RUN_MAX)

    logged = json.dumps([record.__dict__ for record in caplog.records], default=str)
    stored = repr([delivery.attempts(), delivery.rows("SELECT * FROM circuit")])
    assert "token_not_granted" in logged
    assert "invalid_client" in stored
    assert "canary" not in logged + stored
    assert ("(secret)" in stored) is repeated


# --- endpoints with bad habits --------------------------------------------------------------------


def forever(beginning: bytes, part: bytes) -> Conversation:
    """Send until the client has had enough."""

    def send(line: Line) -> None:
        line.send(beginning)
        while True:
            line.send(part)

    return send


HEAD_OF_10_GB = b"HTTP/1.1 200 OK\r\nContent-Length: 10000000000\r\n\r\n"
HABITS = [
    (sending(response(401, {"error": "invalid_client"})), "answered 401 invalid_client: correct"),
    (sending(response(400, {"error": "unauthorized_client"})), "answered 400 unauthorized_client"),
    (sending(response(500)), "answered 500"),
    (
        sending(response(302, "", "Location: https://elsewhere.example/token")),
        "answered 302; it redirects to https://elsewhere.example/token; redirects are not followed",
    ),
    (forever(HEAD_OF_10_GB, b"x" * 65_536), "answered 200 with more than 64 KiB"),
    (sending(response(200, "<html>sign in</html>")), "answered 200 with what is not a JSON object"),
    (sending(response(200, {"expires_in": 60})), "answered 200 without an access_token"),
    (
        sending(response(200, TOKEN | {"token_type": "MAC"})),
        "answered 200 with a token that is not",
    ),
    (
        sending(response(200, TOKEN | {"access_token": "canary\r\nX-Evil: 1"})),
        "answered 200 with a token that no header can hold",
    ),
    (
        sending(response(200, TOKEN | {"access_token": "canary" * 200_000})),
        "answered 200 with more than 64 KiB",
    ),
    (sending(b"SSH-2.0-OpenSSH_9\r\n"), "gave no response: the response is not HTTP"),
    (sending(), "gave no response: "),
    (Line.keep_silent, "gave no response: Operation timed out"),
]


@pytest.mark.parametrize(("habit", "words"), HABITS, ids=[words[:40] for _, words in HABITS])
def test_without_a_token_nothing_is_sent_and_nothing_dies(delivery, server, clock, habit, words):
    """It is as if our secret were wrong: the circuit opens, and its probe closes it again."""
    server.odd = habit
    seconds = [1000.0]
    loop = delivery.delivery_loop(partner_timeout=SHORT, monotonic=lambda: seconds[0])
    acme = add_partner(delivery, server)
    delivery.publish(acme, *(("ticket_win", f"t{number}") for number in range(3)))

    loop.run(lasting=RUN_MAX)

    assert server.notices == []
    assert len(server.requests) == 1, "the endpoint is left alone after a failure"
    attempts = delivery.attempts()
    assert {row.verdict for row in attempts} == {"again"}
    assert {row.sent_at for row in attempts} == {None}
    for problem in {row.problem for row in attempts} | {str(circuit_of(delivery))}:
        assert problem.startswith(f"{NOTHING_SENT}the token endpoint {server.token_url} {words}")
        assert "canary" not in problem
        assert cause_of(problem) is Cause.TOKEN
    assert {row.tries for row in delivery.rows(TRIES)} == {0}

    server.odd = None
    clock.advance(PROBE)
    seconds[0] += 16.0
    loop.run(lasting=RUN_MAX)
    assert circuit_of(delivery) is None
    assert server.statuses() == [200] * 3


def test_a_corrected_secret_is_used_at_once_and_the_circuit_s_next_probe_closes_it(
    delivery, server, clock
):
    """Not the pause after the failures of the old one: the person who corrects it waits."""
    server.odd = sending(response(401, {"error": "invalid_client"}))
    seconds = [1000.0]
    loop = delivery.delivery_loop(monotonic=lambda: seconds[0])
    acme = add_partner(delivery, server)
    delivery.publish(acme, ("ticket_win", "t"))
    loop.run(lasting=RUN_MAX)
    server.odd = None

    give_access(delivery, acme, replace(server.credentials, client_secret="the-new-secret"))
    seconds[0] += 1.0
    clock.advance(PROBE)
    loop.run(lasting=RUN_MAX)

    assert server.statuses() == [200]
    assert circuit_of(delivery) is None


def test_an_endpoint_at_a_private_address_is_not_called(delivery, server, partner):
    loop = delivery.delivery_loop(partner_networks="127.0.0.1/32")
    delivery.operator("acme", partner.url)
    url = server.token_url.replace("127.0.0.1", "127.0.0.2")
    give_access(delivery, "acme", replace(server.credentials, token_url=url))
    delivery.publish("acme", ("ticket_win", "t"))

    loop.run(lasting=RUN_MAX)

    assert server.requests == []
    assert partner.ledger.entries() == ()
    assert "the address 127.0.0.2 is not public" in (circuit_of(delivery) or "")


def test_an_endpoint_that_is_not_there_or_not_trusted_is_named(delivery, tmp_path: Path, server):
    with raw_server(server.issue, tls=identity(tmp_path)) as unknown:
        for code, url in (
            ("closed", f"http://127.0.0.1:{closed_port()}/token"),
            ("unknown", f"{unknown.url}token"),
        ):
            add_partner(delivery, server, code=code, token_url=url)
            delivery.publish(code, ("ticket_win", code))
        delivery.deliver()

    assert "to connect to" in (circuit_of(delivery, "closed") or "").lower()
    assert "certificate" in (circuit_of(delivery, "unknown") or "")
    assert (server.requests, server.notices) == ([], [])


# --- ping -----------------------------------------------------------------------------------------

LIMITS = TransferLimits.of(delivery_settings())


def ping_with(server: TokenServer, *, timeout: timedelta = LONG) -> PingResult:
    partner = replace(PARTNER, code="acme", url=server.url)
    access = Access(oauth=server.credentials)
    return ping(partner, secret=SECRET, access=access, limits=LIMITS, timeout=timeout)


def test_a_ping_fetches_a_token_and_reports_that_step(server, clock):
    result = ping_with(server)
    signed = ping_signed(
        replace(PARTNER, code="acme", url=server.url),
        secret=SECRET,
        access=Access(oauth=server.credentials),
        at=clock.now(),
        limits=LIMITS,
        timeout=LONG,
    )

    assert (result.there, result.status, result.problem) == (True, 200, None)
    assert result.token is not None
    assert (result.token.endpoint, result.token.status) == (server.token_url, 200)
    assert (result.token.expires_in, result.token.problem) == (3600, None)
    assert result.facts["token"]["expires_in"] == 3600
    assert signed.signature is SignatureCheck.ACCEPTED
    assert "canary" not in repr((result, result.facts, signed, signed.facts))


def test_a_ping_without_a_token_sends_nothing_and_says_why(server):
    server.odd = sending(response(401, {"error": "invalid_client"}))

    result = ping_with(server)

    assert (result.there, result.status, server.notices) == (False, None, [])
    assert result.token is not None
    assert (result.token.status, result.token.expires_in) == (401, None)
    assert result.problem is not None
    assert "answered 401 invalid_client: correct client_id and client_secret" in result.problem


def test_what_a_partner_repeats_of_the_token_is_not_shown(server):
    server.echo = True
    server.expires_in = "soon"

    result = ping_with(server)

    assert result.beginning == "no: (secret) (secret)"
    assert "canary" not in repr(result)
