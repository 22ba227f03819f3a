"""The delivery loop while the database is unavailable, slow, or refuses: no result is dropped."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta

import pytest
from sqlalchemy import Connection

from producers.simulation.partner import (
    Respond,
    Rule,
)
from tests.support.delivery_setup import LATE, RUN_MAX, Trouble, lost_connection, received
from tests.support.wait import eventually


def test_no_transaction_is_open_while_a_partner_works_on_a_request(delivery, partner, acme):
    partner.behave(Rule(LATE))
    delivery.publish(acme, ("ticket_win", "t"))
    trouble = Trouble(delivery.engine.begin, lost_connection())
    loop = delivery.delivery_loop(transaction=trouble.transaction, partner_timeout=RUN_MAX)
    with ThreadPoolExecutor(1) as background:
        run = background.submit(loop.run, lasting=RUN_MAX)
        eventually(lambda: len(received(partner)) == 1)
        eventually(lambda: trouble.open == 0)
        (row,) = delivery.rows(
            "SELECT count(*) AS idle FROM pg_stat_activity"
            " WHERE datname = current_database() AND state = 'idle in transaction'"
        )

        assert not run.done()
        assert row.idle == 0
        partner.answer_now()
        assert run.result().counts["delivered"] == 1


def test_a_result_that_could_not_be_recorded_is_kept_and_recorded_later(
    delivery, partner, acme, caplog
):
    """H43: a 200 that is dropped would be sent again and get a 409."""
    trouble = Trouble(delivery.engine.begin, lost_connection())
    trouble.refuse = lambda: bool(partner.ledger.entries()) and trouble.refused < 2
    delivery.publish(acme, *(("ticket_win", f"t{number}") for number in range(3)))

    run = delivery.delivery_loop(transaction=trouble.transaction).run(lasting=RUN_MAX)

    assert trouble.refused == 2
    assert run.counts == {"claimed": 3, "delivered": 3}
    assert len(partner.ledger.entries()) == 3
    warnings = [record for record in caplog.records if record.levelname == "WARNING"]
    assert [record.message for record in warnings] == ["database_unavailable"] * 2


def test_while_the_database_is_unavailable_it_waits_and_then_continues(delivery, partner, acme):
    trouble = Trouble(delivery.engine.begin, lost_connection(), at_begin=True)
    trouble.refuse = lambda: trouble.refused < 2
    delivery.publish(acme, ("ticket_win", "t"))

    run = delivery.delivery_loop(transaction=trouble.transaction).run(lasting=RUN_MAX)

    assert run.counts == {"claimed": 1, "delivered": 1}
    assert len(partner.ledger.entries()) == 1


def test_a_run_that_ends_while_the_database_is_unavailable_costs_no_processor(
    delivery, partner, acme
):
    """Its last batch is recorded, and the time to ask the database again has not come."""
    unavailable, recording = threading.Event(), threading.Event()

    @contextmanager
    def transaction() -> Iterator[Connection]:
        if threading.current_thread().name.startswith("recording"):
            unavailable.set()
            recording.wait(60)
        elif unavailable.is_set():
            raise lost_connection()
        with delivery.engine.begin() as connection:
            yield connection

    delivery.publish(acme, ("ticket_win", "t"))
    loop = delivery.delivery_loop(transaction=transaction)
    threading.Timer(0.9, recording.set).start()
    before = time.thread_time()

    run = loop.run(lasting=timedelta(seconds=1))

    assert time.thread_time() - before < 0.3  # looks at 0.25 s, 0.35 s and 0.65 s; then at 1.65 s
    assert run.more
    unavailable.clear()
    assert run.counts["delivered"] + loop.run(lasting=RUN_MAX).counts["delivered"] == 1


def test_what_is_wrong_with_the_program_is_raised(delivery, acme):
    trouble = Trouble(delivery.engine.begin, ZeroDivisionError())
    trouble.refuse = lambda: trouble.refused < 1

    with pytest.raises(ZeroDivisionError):
        delivery.delivery_loop(transaction=trouble.transaction).run(lasting=RUN_MAX)


def test_an_attempt_the_database_refuses_does_not_hold_up_its_neighbours(
    delivery, partner, acme, caplog
):
    """Its text may be to blame: then it is recorded without it; otherwise it is kept."""
    delivery.change(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN RAISE 'poison' USING ERRCODE = '23514'; END $$"
    )
    delivery.change(
        "CREATE TRIGGER text BEFORE INSERT ON delivery_attempt FOR EACH ROW"
        " WHEN (NEW.answer = 'poison') EXECUTE FUNCTION refuse()"
    )
    delivery.change(
        "CREATE TRIGGER bare BEFORE UPDATE ON notice FOR EACH ROW"
        " WHEN (NEW.http_status = 202) EXECUTE FUNCTION refuse()"
    )
    partner.behave(Rule(Respond(status=500, body=b"poison"), ticket_id="text"))
    partner.behave(Rule(Respond(status=202), ticket_id="bare"))
    good = [("ticket_win", f"t{number}") for number in range(6)]
    delivery.publish(acme, ("ticket_win", "text"), *good, ("ticket_win", "bare"))
    now = [100.0]
    loop = delivery.delivery_loop(monotonic=lambda: now[0])

    counts = loop.run(lasting=RUN_MAX).counts
    delivery.change("DROP TRIGGER bare ON notice")
    now[0] += 11
    later = loop.run(lasting=RUN_MAX).counts

    assert counts == {"claimed": 8, "delivered": 6, "again": 1}
    assert later == {"delivered": 1}
    (attempt,) = delivery.rows(
        "SELECT problem, answer FROM delivery_attempt WHERE verdict = 'again'"
    )
    assert attempt == ("the database refused the text of the response", None)
    assert "attempt_not_recorded" in [record.message for record in caplog.records]


def test_a_notice_claimed_too_late_is_released_unsent(delivery, partner, acme):
    """Rule 14: a call starts only if timeout and grace are left of the lease."""
    now = [0.0]
    trouble = Trouble(delivery.engine.begin, lost_connection())

    def dawdle() -> bool:
        now[0] = 10.5  # timeout and grace are 15 s of a lease of 25 s
        return False

    trouble.refuse = dawdle
    delivery.publish(acme, ("ticket_win", "t"))
    loop = delivery.delivery_loop(transaction=trouble.transaction, monotonic=lambda: now[0])

    run = loop.run(lasting=timedelta(0))

    assert run.counts == {"claimed": 1}
    assert received(partner) == []
    assert loop.run(lasting=RUN_MAX).counts == {"released": 1, "claimed": 1, "delivered": 1}
    (notice,) = delivery.rows("SELECT tries FROM notice")
    assert notice.tries == 1
