"""`paid` against itself and against a discard: one wins, the others get the documented error."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import httpx
import pytest
from sqlalchemy import text

from tests.support.concurrent_connections import beside, waiting_sessions
from tests.support.gateway_app import GatewayApp

CALLS = 200
ROUNDS = 12
EVENT_OF = text("""
    SELECT e.outcome, e.reason FROM ticket_event e JOIN ticket t ON t.id = e.ticket
     WHERE t.ticket_id = :ticket AND e.action = :action""")
STATUS_OF = text("SELECT status FROM ticket WHERE ticket_id = :ticket")


@pytest.fixture(scope="module")
def acme(built: GatewayApp) -> str:
    return built.operator()


def status_of(gateway_app: GatewayApp, ticket: str) -> str:
    with gateway_app.engine.connect() as connection:
        status: str = connection.execute(STATUS_OF, {"ticket": ticket}).scalar_one()
    return status


def outcomes(gateway_app: GatewayApp, ticket: str, action: str) -> list[tuple[str, str | None]]:
    with gateway_app.engine.connect() as connection:
        rows = connection.execute(EVENT_OF, {"ticket": ticket, "action": action})
        return [(row.outcome, row.reason) for row in rows]


def test_of_200_calls_at_once_one_is_paid_and_199_are_told_117(gateway_app, acme):
    ticket = gateway_app.reserved(acme)
    limits = httpx.Limits(max_connections=CALLS, max_keepalive_connections=CALLS)
    with (
        httpx.Client(base_url=gateway_app.client.base_url, limits=limits, timeout=20) as client,
        ThreadPoolExecutor(CALLS) as threads,
    ):
        many = GatewayApp(
            client, gateway_app.engine, gateway_app.redis, gateway_app.harness, gateway_app.vault
        )
        answers = list(threads.map(lambda _: many.paid(acme, ticket), range(CALLS)))

    counts = Counter((answer.status_code, answer.json()["code"]) for answer in answers)
    assert counts == {(200, f"CODE-{ticket}"): 1, (400, 117): CALLS - 1}
    assert outcomes(gateway_app, ticket, "ticket_paid") == [("applied", None)]


def test_a_payment_that_waited_for_a_discard_is_told_117(gateway_app, acme):
    ticket = gateway_app.reserved(acme)
    with gateway_app.engine.connect() as connection:
        discard = gateway_app.harness.event("ticket_discard", ticket, operator=acme)
        gateway_app.harness.apply_within(connection, discard)
        with beside(lambda: gateway_app.paid(acme, ticket)) as payment:
            waiting_sessions(gateway_app.engine)
            connection.commit()
            answer = payment.result()

    assert (answer.status_code, answer.json()["code"]) == (400, 117)
    assert status_of(gateway_app, ticket) == "cancelled"
    assert outcomes(gateway_app, ticket, "ticket_paid") == []


def test_of_a_payment_and_a_discard_at_once_exactly_one_takes_effect(gateway_app, acme):
    for _ in range(ROUNDS):
        ticket = gateway_app.reserved(acme)
        discard = gateway_app.harness.event("ticket_discard", ticket, operator=acme)

        with (
            beside(partial(gateway_app.paid, acme, ticket)) as payment,
            beside(partial(gateway_app.harness.publish, discard)),
        ):
            answer = payment.result()

        (discarded,) = outcomes(gateway_app, ticket, "ticket_discard")
        if answer.status_code == 200:
            assert (status_of(gateway_app, ticket), discarded) == (
                "open",
                ("rejected", "already_open"),
            )
        else:
            assert answer.json()["code"] == 117
            assert (status_of(gateway_app, ticket), discarded) == ("cancelled", ("applied", None))
