"""Creates on a real socket: sent once, on their own connection, and what the responses do."""

from datetime import timedelta

import pytest

from producers.simulation.partner import Hang, Respond, Rule, SimulatedPartner
from tests.support.delivery_setup import RUN_MAX, DeliverySetup, received
from tests.support.harness import SLIP

GRACE = timedelta(seconds=10)
HALF_HOUR = timedelta(minutes=30)
MOMENT = timedelta(milliseconds=1)


def create(delivery: DeliverySetup, operator: str, *tickets: str) -> None:
    delivery.publish(operator, *(("ticket_create", name) for name in tickets), **SLIP)


def standing(delivery: DeliverySetup) -> dict[str, int]:
    """How many tickets of each status."""
    return dict(delivery.rows("SELECT status, count(*) FROM ticket GROUP BY status"))


def discards(partner: SimulatedPartner) -> int:
    return sum(action == "ticket_discard" for action, _ in received(partner))


def test_a_partner_that_closes_after_each_answer_costs_no_create(delivery, partner, acme):
    """Rule 10: a request on a dead connection would be lost, and its ticket cancelled."""
    partner.behave(Rule(Respond(then_close=True)))
    loop = delivery.delivery_loop()
    for number in range(20):
        delivery.publish(acme, ("ticket_win", f"won-{number}"))
        loop.run(lasting=RUN_MAX)  # leaves a connection behind that is being closed
        create(delivery, acme, f"created-{number}")
        loop.run(lasting=RUN_MAX)

    assert standing(delivery) == {"open": 20, "resulted": 20}
    assert discards(partner) == 0


@pytest.mark.parametrize("status", [201, 202, 204, 408, 502, 504, 520, 524])
def test_a_create_that_may_be_at_work_yet_is_discarded_after_the_grace_and_once_more(
    delivery, partner, acme, clock, status
):
    """Rules 10 and 15: the debit may come after the response."""
    partner.behave(Rule(Respond(status=status, taken=True), action="ticket_create"))
    create(delivery, acme, "t")
    delivery.deliver()
    assert standing(delivery) == {"cancelled": 1}
    seen = []
    for pause in (GRACE - MOMENT, MOMENT, HALF_HOUR - MOMENT, MOMENT, 48 * HALF_HOUR):
        clock.advance(pause)
        delivery.deliver()
        seen.append(discards(partner))

    assert seen == [0, 1, 1, 2, 2]


@pytest.mark.parametrize("status", [400, 401, 402, 403, 409, 422])
def test_a_refused_create_is_discarded_at_once_and_once(delivery, partner, acme, clock, status):
    partner.behave(Rule(Respond(status=status), action="ticket_create"))
    create(delivery, acme, "t")
    delivery.deliver()
    assert discards(partner) == 1

    clock.advance(48 * HALF_HOUR)
    delivery.deliver()

    assert discards(partner) == 1
    assert standing(delivery) == {"cancelled": 1}


def test_a_create_that_never_left_us_is_discarded_once(delivery, clock):
    """The partner certainly does not have it."""
    gone = SimulatedPartner(secret="x" * 10)
    with gone:
        url = gone.url
    delivery.operator("gone", url)
    create(delivery, "gone", "t")
    delivery.deliver()
    clock.advance(GRACE)

    (discard,) = delivery.rows("SELECT action, tries FROM notice WHERE ended IS NULL")
    (ticket,) = delivery.rows("SELECT status, in_doubt FROM ticket")

    assert discard.action == "ticket_discard"
    assert tuple(ticket) == ("cancelled", False)


@pytest.mark.parametrize("status", [202, 400, 401, 402, 403])
def test_thirty_two_creates_that_come_to_nothing_together_open_no_circuit(
    delivery, partner, acme, status
):
    """Decision 0008: players without money are no reason to keep results back."""
    partner.behave(Rule(Respond(status=status, seconds=0.05), action="ticket_create"))
    create(delivery, acme, *(f"t-{number}" for number in range(32)))
    delivery.publish(acme, ("ticket_win", "won"))
    delivery.deliver()

    assert ("ticket_win", "won") in received(partner)
    assert delivery.rows("SELECT 1 FROM circuit WHERE opened_at IS NOT NULL") == []


def test_neither_do_the_discards_that_follow_where_the_partner_knows_no_such_ticket(
    delivery, partner, acme, clock
):
    partner.behave(Rule(Respond(status=402), action="ticket_create"))
    partner.behave(Rule(Respond(status=404), action="ticket_discard"))
    create(delivery, acme, *(f"t-{number}" for number in range(32)))
    delivery.deliver()
    delivery.publish(acme, ("ticket_win", "won"))
    clock.advance(MOMENT)
    delivery.deliver()

    assert discards(partner) == 32
    assert ("ticket_win", "won") in received(partner)
    assert delivery.rows("SELECT 1 FROM circuit WHERE opened_at IS NOT NULL") == []


def test_creates_without_any_answer_do_open_it(delivery, partner, acme):
    """A partner that hangs would hold every place."""
    partner.behave(Rule(Hang(), action="ticket_create"))
    create(delivery, acme, *(f"t-{number}" for number in range(32)))
    loop = delivery.delivery_loop(partner_timeout="300ms", partner_connect_timeout="300ms")
    loop.run(lasting=timedelta(seconds=10))

    (circuit,) = delivery.rows("SELECT opened_at, reason FROM circuit")
    assert circuit.opened_at is not None
