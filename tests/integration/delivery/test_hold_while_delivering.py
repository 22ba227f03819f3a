"""A person holds a ticket while a call to its partner is under way, over real HTTP (rule 23)."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest

from models.operators.interventions import Person
from models.triage import hold_ticket, release_ticket
from tests.support.delivery_setup import LATE
from tests.support.two_deliverers import OPERATOR, TICKET, TwoDeliverers, two_deliverers_on

VERA = Person("vera", "the player disputes it")
GRACE = timedelta(seconds=10)
MOMENT = timedelta(milliseconds=1)
ONE_DELIVERED = {"claimed": 1, "delivered": 1}


@pytest.fixture
def deliverers(delivery, partner) -> Iterator[TwoDeliverers]:
    with two_deliverers_on(delivery, partner) as made:
        yield made


def hold(deliverers: TwoDeliverers) -> str | None:
    """Hold the ticket; return what is being sent."""
    delivery = deliverers.delivery
    with delivery.engine.begin() as connection:
        return hold_ticket(
            connection, OPERATOR, TICKET, person=VERA, now=delivery.clock.now()
        ).in_flight


def release(deliverers: TwoDeliverers) -> None:
    delivery = deliverers.delivery
    with delivery.engine.begin() as connection:
        release_ticket(connection, OPERATOR, TICKET, person=VERA, now=delivery.clock.now())


def test_the_call_is_completed_and_counts_and_the_next_is_not_made(deliverers):
    deliverers.publish("win", "rollback")
    deliverers.answers(LATE)
    running = deliverers.start(0, requests=1)
    assert hold(deliverers) == "ticket_win"
    deliverers.answer(running)

    assert deliverers.ends() == ["delivered", None]
    assert deliverers.run(0) | deliverers.run(1) == {}
    release(deliverers)
    assert deliverers.run(1) == ONE_DELIVERED
    assert deliverers.sent() == ["win", "rollback"]


def test_a_call_without_an_answer_is_not_repeated_before_the_release_nor_in_the_grace(
    deliverers, clock
):
    """Rule 15 is not shortened: a 504 is no answer."""
    deliverers.publish("win")
    deliverers.answers(replace(LATE, status=504))
    running = deliverers.start(0, requests=1)
    hold(deliverers)
    deliverers.answer(running)
    clock.advance(GRACE - MOMENT)
    assert deliverers.run(0) == {}

    release(deliverers)
    early = deliverers.run(0) | deliverers.run(1)
    clock.advance(MOMENT)

    assert early == {}
    assert deliverers.run(1) == ONE_DELIVERED
    assert deliverers.sent() == ["win", "win"]


def test_a_release_while_the_call_is_under_way_makes_no_second_one(deliverers):
    """Rule 14: the lease holds."""
    deliverers.publish("win", "rollback")
    deliverers.answers(LATE)
    running = deliverers.start(0, requests=1)
    hold(deliverers)
    release(deliverers)
    assert deliverers.run(1) == {}
    deliverers.answer(running)

    assert deliverers.ends() == ["delivered", "delivered"]
    assert deliverers.sent() == ["win", "rollback"]
