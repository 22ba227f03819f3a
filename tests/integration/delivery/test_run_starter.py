"""A deliverer starts its own runs: at a wakeup, and without any while no task arrives either."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from threading import current_thread

from sqlalchemy import Connection

from producers.simulation.partner import Respond, Rule
from tests.support.delivery_setup import LATE, RUN_MAX, received
from tests.support.wait import eventually, pause
from worker.delivery.loop import DeliveryLoop
from worker.delivery.run_starter import RunStarter

SOON = timedelta(milliseconds=300)
SHORT = timedelta(milliseconds=400)
NEVER = timedelta(days=1)


@contextmanager
def run_starter(
    loop: DeliveryLoop,
    *,
    lasting: timedelta = SHORT,
    idle_max: timedelta = SOON,
    wakeup: Callable[[], None] = lambda: None,
) -> Iterator[RunStarter]:
    runs = RunStarter(loop, wakeup=wakeup, lasting=lasting, idle_max=idle_max)
    runs.start()
    try:
        yield runs
    finally:
        loop.stop()
        runs.close()


def test_what_falls_due_is_sent_without_wakeups(delivery, partner, acme):
    loop = delivery.delivery_loop()

    with run_starter(loop):
        delivery.publish(acme, ("ticket_win", "first"))
        eventually(lambda: len(received(partner)) == 1)
        eventually(lambda: loop.idle_for() > timedelta())
        delivery.publish(acme, ("ticket_win", "second"))
        eventually(lambda: len(received(partner)) == 2)


def test_a_wakeup_starts_a_run_at_once_and_its_counts_wait_for_the_next_task(
    delivery, partner, acme
):
    """Flower shows what a task returns, so what was delivered without one is not missing there."""
    loop = delivery.delivery_loop()

    with run_starter(loop, lasting=RUN_MAX, idle_max=NEVER) as runs:
        delivery.publish(acme, ("ticket_win", "first"))
        runs.wake()
        eventually(lambda: len(received(partner)) == 1)
        eventually(lambda: loop.idle_for() > timedelta())
        delivery.publish(acme, ("ticket_win", "second"))
        runs.wake()
        eventually(lambda: len(received(partner)) == 2)

    assert loop.take_totals() == {"claimed": 2, "delivered": 2}
    assert loop.take_totals() == {}


def test_a_wakeup_during_a_run_makes_that_one_poll_again(delivery, partner, acme):
    partner.behave(Rule(LATE, ticket_id="slow"))
    delivery.publish(acme, ("ticket_win", "slow"))
    loop = delivery.delivery_loop(partner_timeout=RUN_MAX)

    with run_starter(loop, lasting=RUN_MAX, idle_max=NEVER) as runs:
        runs.wake()
        eventually(lambda: len(received(partner)) == 1)
        delivery.publish(acme, ("ticket_win", "swift"))
        runs.wake()
        eventually(lambda: len(received(partner)) == 2)
        partner.answer_now()
        eventually(lambda: loop.idle_for() > timedelta())

    assert loop.take_totals() == {"claimed": 2, "delivered": 2}


def test_while_tasks_arrive_it_starts_no_run_and_runs_no_query(delivery, engine):
    queried_by: set[str] = set()

    @contextmanager
    def noted() -> Iterator[Connection]:
        queried_by.add(current_thread().name)
        with engine.begin() as connection:
            yield connection

    now, step = [0.0], SOON.total_seconds() / 6
    loop = delivery.delivery_loop(transaction=noted, monotonic=lambda: now[0])

    with run_starter(loop):
        for _ in range(30):
            now[0] += step
            loop.run(lasting=RUN_MAX)  # a task, each time a wakeup comes
            pause(step)

    assert queried_by == {current_thread().name}


def test_a_run_that_leaves_more_to_do_is_followed_by_another_at_once(delivery, partner, acme):
    """At the full rate; each time it sends a wakeup, so that a task may take over."""
    partner.behave(Rule(Respond(seconds=0.02)))
    delivery.publish(acme, *(("ticket_win", f"t{number}") for number in range(40)))
    idle_max, wakeups = timedelta(seconds=2), list[float]()
    began = time.monotonic()

    with run_starter(
        delivery.delivery_loop(in_flight_max=1),
        idle_max=idle_max,
        wakeup=lambda: wakeups.append(time.monotonic()),
    ):
        eventually(lambda: len(received(partner)) == 40)

    assert len(wakeups) > 1
    assert time.monotonic() - began < len(wakeups) * idle_max.total_seconds()


def test_closing_ends_the_run_with_its_calls_and_begins_no_other(delivery, partner, acme):
    partner.behave(Rule(LATE))
    delivery.publish(acme, ("ticket_win", "t"), ("ticket_rollback", "t"))
    loop = delivery.delivery_loop(partner_timeout=RUN_MAX)

    with run_starter(loop, lasting=RUN_MAX):
        eventually(lambda: len(received(partner)) == 1)
        loop.stop()
        partner.answer_now()
    loop.close()

    assert loop.run(lasting=RUN_MAX) is None
    assert delivery.rows("SELECT action, ended FROM notice ORDER BY number") == [
        ("ticket_win", "delivered"),
        ("ticket_rollback", None),
    ]
