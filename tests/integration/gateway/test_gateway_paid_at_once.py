"""`paid` against itself and against a discard: one wins, the others get the documented error."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import httpx
import pytest
from sqlalchemy import text

from tests.support.gateway_house import House
from tests.support.threads import beside, waiting_sessions

CALLS = 200
ROUNDS = 12
EVENT_OF = text("""
    SELECT e.outcome, e.reason FROM ticket_event e JOIN ticket t ON t.id = e.ticket
     WHERE t.ticket_id = :ticket AND e.action = :action""")
STATUS_OF = text("SELECT status FROM ticket WHERE ticket_id = :ticket")


@pytest.fixture(scope="module")
def acme(built: House) -> str:
    return built.operator()


def status_of(house: House, ticket: str) -> str:
    with house.engine.connect() as connection:
        status: str = connection.execute(STATUS_OF, {"ticket": ticket}).scalar_one()
    return status


def outcomes(house: House, ticket: str, action: str) -> list[tuple[str, str | None]]:
    with house.engine.connect() as connection:
        rows = connection.execute(EVENT_OF, {"ticket": ticket, "action": action})
        return [(row.outcome, row.reason) for row in rows]


def test_of_200_calls_at_once_one_is_paid_and_199_are_told_117(house, acme):
    ticket = house.reserved(acme)
    limits = httpx.Limits(max_connections=CALLS, max_keepalive_connections=CALLS)
    with (
        httpx.Client(base_url=house.client.base_url, limits=limits, timeout=20) as client,
        ThreadPoolExecutor(CALLS) as threads,
    ):
        many = House(client, house.engine, house.redis, house.desk, house.vault)
        answers = list(threads.map(lambda _: many.paid(acme, ticket), range(CALLS)))

    told = Counter((one.status_code, one.json()["code"]) for one in answers)
    assert told == {(200, f"CODE-{ticket}"): 1, (400, 117): CALLS - 1}
    assert outcomes(house, ticket, "ticket_paid") == [("applied", None)]


def test_a_payment_that_waited_for_a_discard_is_told_117(house, acme):
    ticket = house.reserved(acme)
    with house.engine.connect() as connection:
        discard = house.desk.event("ticket_discard", ticket, operator=acme)
        house.desk.apply_within(connection, discard)
        with beside(lambda: house.paid(acme, ticket)) as payment:
            waiting_sessions(house.engine)
            connection.commit()
            answer = payment.result()

    assert (answer.status_code, answer.json()["code"]) == (400, 117)
    assert status_of(house, ticket) == "cancelled"
    assert outcomes(house, ticket, "ticket_paid") == []


def test_of_a_payment_and_a_discard_at_once_exactly_one_takes_effect(house, acme):
    for _ in range(ROUNDS):
        ticket = house.reserved(acme)
        discard = house.desk.event("ticket_discard", ticket, operator=acme)

        with (
            beside(partial(house.paid, acme, ticket)) as payment,
            beside(partial(house.desk.publish, discard)),
        ):
            answer = payment.result()

        (discarded,) = outcomes(house, ticket, "ticket_discard")
        if answer.status_code == 200:
            assert (status_of(house, ticket), discarded) == ("open", ("rejected", "already_open"))
        else:
            assert answer.json()["code"] == 117
            assert (status_of(house, ticket), discarded) == ("cancelled", ("applied", None))
