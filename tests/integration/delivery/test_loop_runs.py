"""Runs of the delivery loop: side by side, one after the other, and no partner slows another."""

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from producers.simulation.partner import (
    Hang,
    Respond,
    Rule,
    SimulatedPartner,
)
from tests.support.delivery_setup import LATE, RUN_MAX, SECRET, received
from tests.support.wait import eventually


def test_a_partner_that_hangs_takes_no_place_of_another(delivery, partner, acme, clock):
    """One slow partner never slows another."""
    with SimulatedPartner(secret=SECRET, now=clock.now) as mute:
        mute.behave(Rule(Hang()))
        delivery.operator("mute", mute.url, in_flight=4)
        delivery.publish("mute", *(("ticket_win", f"m{number}") for number in range(40)))
        delivery.publish(acme, *(("ticket_win", f"a{number}") for number in range(200)))
        loop = delivery.delivery_loop(partner_timeout=RUN_MAX, in_flight_max=64)

        with ThreadPoolExecutor(1) as background:
            run = background.submit(loop.run, lasting=RUN_MAX)
            eventually(lambda: sum(entry.taken for entry in partner.ledger.entries()) == 200)
            hanging = len(mute.ledger.entries())
            assert not run.done()
            loop.stop()
            mute.stop()

    assert hanging == 4
    assert run.result().counts["delivered"] == 200


def test_claims_never_exceed_what_can_be_in_flight(delivery, partner):
    """A deliverer claims no more than it can have in flight at once."""
    partner.behave(Rule(Hang()))
    for code in "abcdefghij":
        delivery.operator(code, partner.url)
        delivery.publish(code, *(("ticket_win", f"{code}{number}") for number in range(5)))
    loop = delivery.delivery_loop(in_flight_max=10, partner_timeout=timedelta(seconds=3))

    loop.run(lasting=timedelta(seconds=1))

    (row,) = delivery.rows("SELECT count(*) FILTER (WHERE lease IS NOT NULL) AS leased FROM notice")
    assert row.leased == 10


def test_waiting_for_partners_costs_no_processor(delivery, partner, acme):
    """With all places taken there is nothing to poll for."""
    partner.behave(Rule(Hang()))
    delivery.publish(acme, *(("ticket_win", f"t{number}") for number in range(50)))
    loop = delivery.delivery_loop(in_flight_max=4, partner_timeout=timedelta(seconds=2))

    before = time.thread_time()
    run = loop.run(lasting=timedelta(milliseconds=600))

    assert run.counts == {"claimed": 2}
    assert time.thread_time() - before < 0.15  # of the 600 ms


def test_calls_left_open_by_one_run_are_recorded_by_the_next(delivery, partner, acme):
    partner.behave(Rule(LATE))
    delivery.publish(acme, ("ticket_win", "t"))
    loop = delivery.delivery_loop(partner_timeout=RUN_MAX)

    first = loop.run(lasting=timedelta(milliseconds=50))
    eventually(lambda: len(received(partner)) == 1)
    partner.answer_now()
    second = loop.run(lasting=RUN_MAX)

    assert (first.counts, first.more) == ({"claimed": 1}, True)
    assert (second.counts, second.more) == ({"delivered": 1}, False)


def test_closing_records_open_results_and_claims_nothing_more(delivery, partner, acme):
    partner.behave(Rule(LATE))
    delivery.publish(acme, ("ticket_win", "t"), ("ticket_rollback", "t"))
    loop = delivery.delivery_loop(partner_timeout=RUN_MAX)
    loop.run(lasting=timedelta(milliseconds=50))
    eventually(lambda: len(received(partner)) == 1)

    with ThreadPoolExecutor(1) as background:
        closing = background.submit(loop.close)
        partner.answer_now()
        closing.result()

    assert delivery.rows("SELECT action, ended FROM notice ORDER BY number") == [
        ("ticket_win", "delivered"),
        ("ticket_rollback", None),
    ]


def test_a_run_that_is_going_on_polls_again_when_woken(delivery, partner, acme):
    """The task leaves a mark and ends; the latency is that of the wakeup."""
    partner.behave(Rule(LATE, ticket_id="slow"))
    delivery.publish(acme, ("ticket_win", "slow"))
    loop = delivery.delivery_loop(partner_timeout=RUN_MAX)
    with ThreadPoolExecutor(1) as background:
        run = background.submit(loop.run, lasting=RUN_MAX)
        eventually(lambda: len(received(partner)) == 1)
        delivery.publish(acme, ("ticket_win", "swift"))

        assert loop.run(lasting=RUN_MAX) is None
        eventually(lambda: len(received(partner)) == 2)
        assert not run.done()
        partner.answer_now()

        assert run.result().counts == {"claimed": 2, "delivered": 2}


def test_two_deliverers_share_the_work_without_sending_anything_twice(delivery, partner, acme):
    """Rule 14: the lease decides which deliverer a notice belongs to."""
    actions = ("ticket_win", "ticket_rollback", "ticket_lost")
    tickets = [f"ticket-{number}" for number in range(40)]
    for action in actions:
        delivery.publish(acme, *((action, ticket) for ticket in tickets))
    loops = [delivery.delivery_loop(in_flight_max=8) for _ in range(2)]

    with ThreadPoolExecutor(2) as background:
        runs = list(background.map(lambda loop: loop.run(lasting=RUN_MAX), loops))
    while any(loop.run(lasting=RUN_MAX).counts for loop in loops):
        pass  # one may have seen nothing while the other had claimed the rest

    assert sum(run.counts.get("delivered", 0) for run in runs) <= 120
    assert len(received(partner)) == 120
    for ticket in tickets:
        assert [action for action, of in received(partner) if of == ticket] == list(actions)


def test_a_partner_with_a_timeout_of_its_own_may_take_longer_than_the_others(
    delivery, partner, acme
):
    """Its lease covers the call, so nothing goes out twice (rule 14)."""
    partner.behave(Rule(Respond(seconds=0.8)))
    delivery.change("UPDATE operator SET timeout = interval '60 seconds'")
    delivery.publish(acme, ("ticket_win", "t1"))
    loop = delivery.delivery_loop(
        partner_timeout=timedelta(seconds=0.3),
        lease_margin=timedelta(seconds=0.3),
        partner_grace=timedelta(seconds=0.1),
    )

    run = loop.run(lasting=RUN_MAX)

    assert run.counts["delivered"] == 1
    assert len(received(partner)) == 1


def test_a_timeout_that_was_just_shortened_counts_at_once(delivery, partner, acme):
    """The claim carries it, whatever this process read of the partner a moment ago."""
    loop = delivery.delivery_loop()
    loop.run(lasting=RUN_MAX)  # reads the partners
    delivery.change("UPDATE operator SET timeout = interval '500 milliseconds'")
    partner.behave(Rule(LATE))
    delivery.publish(acme, ("ticket_win", "t"))

    run = loop.run(lasting=RUN_MAX)

    assert run.counts == {"claimed": 1, "unanswered": 1}


@pytest.mark.parametrize(("own", "verdict"), [("60 s", "delivered"), (None, "unanswered")])
def test_a_process_that_ends_waits_for_the_longest_call(delivery, partner, acme, own, verdict):
    """Also if its partner has a shorter timeout by now."""
    partner.behave(Rule(Respond(seconds=0.6)))
    delivery.change("UPDATE operator SET timeout = CAST(:own AS interval)", own=own)
    delivery.publish(acme, ("ticket_win", "t"))
    loop = delivery.delivery_loop(partner_timeout=timedelta(milliseconds=200))
    loop.run(lasting=timedelta(milliseconds=50))
    delivery.change("UPDATE operator SET timeout = NULL")

    loop.close()

    rows = delivery.attempts("verdict")
    assert [row.verdict for row in rows] == [verdict]


def test_a_notice_dies_at_its_partner_s_own_limit_and_names_it(delivery, partner, acme, clock):
    delivery.change(
        "UPDATE operator SET retry_schedule = '1m,5m', retry_limit = interval '10 minutes'"
    )
    partner.behave(Rule(Respond(status=503)))
    delivery.publish(acme, ("ticket_win", "t"))
    loop = delivery.delivery_loop(retry_jitter=0)
    pauses = []
    for minutes in (0, 1, 5, 4):
        clock.advance(timedelta(minutes=minutes))
        pauses += [loop.run(lasting=RUN_MAX).counts]

    (notice,) = delivery.rows("SELECT ended, reason FROM notice")
    assert pauses == [{"claimed": 1, "again": 1}] * 3 + [{"claimed": 1, "dead": 1}]
    assert notice.ended == "dead"
    assert notice.reason.startswith("not taken within 10m; at last: ")
