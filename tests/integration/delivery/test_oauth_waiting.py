"""What waits for a token: it holds up no other partner, keeps its lease, and is given back."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from producers.simulation.partner import SimulatedPartner
from tests.support.delivery_setup import RUN_MAX, DeliverySetup, received
from tests.support.raw_server import Line
from tests.support.token_server import TokenServer, add_partner, response, sending, token_server
from tests.support.wait import eventually

WAIT = timedelta(milliseconds=400)  # for a token, until too little is left of the lease
LEASES = "SELECT lease FROM notice WHERE lease IS NOT NULL"


@pytest.fixture
def server() -> Iterator[TokenServer]:
    with token_server() as made:
        yield made


def leased(delivery: DeliverySetup) -> int:
    return len(delivery.rows(LEASES))


def attempts(delivery: DeliverySetup) -> int:
    return len(delivery.attempts("claim"))


def test_while_an_endpoint_hangs_all_other_partners_get_theirs(
    delivery, server, partner: SimulatedPartner, acme
):
    """Counted on both sides."""
    server.odd = Line.keep_silent
    slow = add_partner(delivery, server, code="slow")
    delivery.publish(slow, *(("ticket_win", f"s{number}") for number in range(60)))
    delivery.publish(acme, *(("ticket_win", f"a{number}") for number in range(300)))
    loop = delivery.delivery_loop(partner_timeout=RUN_MAX, in_flight_max=64)

    with ThreadPoolExecutor(1) as background:
        run = background.submit(loop.run, lasting=RUN_MAX)
        eventually(lambda: sum(entry.taken for entry in partner.ledger.entries()) == 300)
        assert len(server.requests) == 1
        assert not run.done()
        loop.stop()
        run.result()

    assert len(set(received(partner))) == len(received(partner)) == 300
    assert server.notices == []
    (row,) = delivery.rows("SELECT count(*) AS delivered FROM notice WHERE ended = 'delivered'")
    assert row.delivered == 300


def test_an_endpoint_that_is_down_for_a_while_costs_nothing_but_time(
    delivery, server, partner, acme, clock
):
    server.odd = sending(response(503))
    down = add_partner(delivery, server, code="down")
    seconds = [1000.0]
    loop = delivery.delivery_loop(monotonic=lambda: seconds[0])
    for minute in range(10):
        delivery.publish(down, ("ticket_win", f"d{minute}"))
        delivery.publish(acme, ("ticket_win", f"a{minute}"))
        loop.run(lasting=RUN_MAX)
        clock.advance(timedelta(minutes=1))
        seconds[0] += 60.0

    assert len(received(partner)) == 10
    assert len(server.requests) <= 10
    server.odd = None
    seconds[0] += 60.0
    loop.run(lasting=RUN_MAX)

    assert server.statuses() == [200] * 10
    rows = delivery.rows("SELECT ended, tries, perhaps_delivered FROM notice")
    assert [tuple(row) for row in rows] == [("delivered", 1, False)] * 20


def test_what_waits_too_long_for_its_lease_is_given_back_without_an_attempt(delivery, server):
    """Rule 14: a call starts only while its timeout and the grace are left of the lease."""
    server.gate = threading.Event()
    acme = add_partner(delivery, server)
    delivery.publish(acme, *(("ticket_win", f"t{number}") for number in range(5)))
    loop = delivery.delivery_loop(lease_margin=timedelta(seconds=10) + WAIT)

    with ThreadPoolExecutor(1) as background:
        run = background.submit(loop.run, lasting=RUN_MAX)
        eventually(lambda: len(server.requests) == 1)
        first = set(delivery.rows(LEASES))
        eventually(lambda: first.isdisjoint(delivery.rows(LEASES)))
        assert attempts(delivery) == 0
        server.gate.set()
        counts = run.result().counts

    assert counts["released"] >= 5
    assert counts["delivered"] == 5
    assert server.statuses() == [200] * 5
    assert (len(server.requests), attempts(delivery), leased(delivery)) == (1, 5, 0)
    (row,) = delivery.rows("SELECT max(claims) AS claims, bool_or(perhaps_delivered) AS perhaps"
                           " FROM notice")  # fmt: skip
    assert (row.claims, row.perhaps) == (1, False)


def test_a_stop_gives_back_what_waits_and_does_not_wait_for_the_endpoint(delivery, server):
    """SIGTERM while the call of the endpoint is under way."""
    server.odd = Line.keep_silent
    acme = add_partner(delivery, server)
    delivery.publish(acme, *(("ticket_win", f"t{number}") for number in range(5)))
    loop = delivery.delivery_loop(partner_timeout=RUN_MAX)

    with ThreadPoolExecutor(1) as background:
        run = background.submit(loop.run, lasting=RUN_MAX)
        eventually(lambda: len(server.requests) == 1 and leased(delivery) == 5)
        stopped_at = time.monotonic()
        loop.stop()
        run.result()
        loop.close()
        took = time.monotonic() - stopped_at

    assert took < RUN_MAX.total_seconds() / 2, "less than the timeout of the call"
    assert (leased(delivery), attempts(delivery), server.notices) == (0, 0, [])
    server.odd = None
    delivery.deliver()
    assert server.statuses() == [200] * 5


def test_a_deliverer_that_dies_while_it_waits_loses_nothing(delivery, server, clock):
    """Its leases run out: others send it, and once."""
    server.odd = Line.keep_silent
    acme = add_partner(delivery, server)
    delivery.publish(acme, *(("ticket_win", f"t{number}") for number in range(5)))
    dying = delivery.delivery_loop()
    assert dying.run(lasting=timedelta(milliseconds=300)).more
    assert leased(delivery) == 5

    server.odd = None
    assert delivery.deliver().counts == {}
    clock.advance(timedelta(seconds=30))
    assert delivery.deliver().counts == {"claimed": 5, "delivered": 5}

    dying.close()
    assert server.statuses() == [200] * 5
    assert leased(delivery) == 0


def test_two_deliverers_fetch_a_token_each_and_send_everything_once(delivery, server):
    acme = add_partner(delivery, server)
    delivery.change("UPDATE operator SET in_flight = 64")
    server.gate = threading.Event()
    delivery.publish(acme, *(("ticket_win", f"t{number}") for number in range(120)))
    loops = [delivery.delivery_loop(in_flight_max=16) for _ in range(2)]

    with ThreadPoolExecutor(2) as threads:
        runs = [threads.submit(loop.run, lasting=RUN_MAX) for loop in loops]
        eventually(lambda: len(server.requests) == 2)
        server.gate.set()
        delivered = sum(run.result().counts.get("delivered", 0) for run in runs)

    assert delivered == 120
    assert server.statuses() == [200] * 120
    assert {token for token, _ in server.notices} == {"canary-token-1", "canary-token-2"}
    assert len(server.requests) == 2


def test_two_deliverers_have_one_probe_and_so_one_call_of_a_refusing_endpoint(
    delivery, server, clock
):
    server.odd = sending(response(401, {"error": "invalid_client"}))
    acme = add_partner(delivery, server)
    delivery.publish(acme, *(("ticket_win", f"t{number}") for number in range(8)))
    loops = [delivery.delivery_loop(), delivery.delivery_loop()]
    loops[0].run(lasting=RUN_MAX)
    assert len(server.requests) == 1

    loops[1].run(lasting=RUN_MAX)
    assert len(server.requests) == 1, "its circuit is open for all"
    clock.advance(timedelta(seconds=15))
    loops[1].run(lasting=RUN_MAX)
    loops[0].run(lasting=RUN_MAX)

    assert len(server.requests) == 2
    assert server.notices == []
