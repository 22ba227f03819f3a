"""Delivery as a real process: a wakeup makes it deliver, and stopping loses no answer."""

import subprocess
import time
from pathlib import Path

import pytest
from celery import Celery
from redis import Redis

from producers.simulation.partner import Respond, Rule, SimulatedPartner
from tests.support import databases
from tests.support.celery_process import celery, end, environment, must_live
from tests.support.delivery_setup import KEY, SECRET, DeliverySetup, delivery_setup_on
from tests.support.manual_clock import ManualClock
from tests.support.raw_server import Line
from tests.support.token_server import add_partner, token_server
from tests.support.wait import eventually
from worker.local.servers import Servers
from worker.process.queues import WAKEUPS

WORKER = ("worker", "-n", "deliver@test", "-Q", "deliver", "-P", "threads", "-c", "2", "-E",
          "--without-gossip", "--without-mingle")  # fmt: skip


@pytest.mark.slow
def test_it_delivers_when_woken_and_records_the_last_answer_before_it_ends(
    tmp_path, engine, database, redis: Redis, redis_url
):
    """By a task or without one: both are only wakeups, and no 200 is lost at a stop (H43)."""
    env = environment(
        tmp_path,
        database_url=database,
        redis_url=redis_url,
        secret_key=KEY,
        partner_networks="127.0.0.0/8",
    )
    (now,) = databases.ask(database, "SELECT clock_timestamp() - interval '1 minute'")
    app = Celery("backend", broker=redis_url, set_as_current=False)
    log = tmp_path / "deliver.log"
    with (
        SimulatedPartner(secret=SECRET) as partner,
        delivery_setup_on(engine, ManualClock(now)) as delivery,
        celery(*WORKER, env=env, log=log) as worker,
    ):

        def received() -> int:
            must_live(worker, log)
            return len(partner.ledger.entries())

        delivery.operator("acme", partner.url)
        partner.behave(Rule(Respond(seconds=1), ticket_id="slow"))

        delivery.publish("acme", ("ticket_win", "swift"))
        app.send_task("deliver", queue="deliver")
        eventually(lambda: received() == 1)
        delivery.publish("acme", ("ticket_win", "direct"))
        redis.lpush(WAKEUPS, "1")
        eventually(lambda: received() == 2)
        eventually(lambda: redis.llen(WAKEUPS) == 0)
        delivery.publish("acme", ("ticket_win", "slow"))
        app.send_task("deliver", queue="deliver")
        eventually(lambda: received() == 3)
        code = end(worker)

        ends = delivery.rows(
            "SELECT t.ticket_id, n.ended FROM notice n JOIN ticket t ON t.id = n.ticket ORDER BY 1"
        )
    app.close()

    assert code == 0
    assert ends == [("direct", "delivered"), ("slow", "delivered"), ("swift", "delivered")]
    assert all(entry.signature_ok for entry in partner.ledger.entries())
    assert "Traceback" not in log.read_text()


def test_a_stop_while_a_token_endpoint_hangs_is_quick_and_shows_no_secret(
    tmp_path, engine, database, redis_url
):
    """What waits for the token is given back: no attempt, no lease that has to run out."""
    env = environment(
        tmp_path,
        database_url=database,
        redis_url=redis_url,
        secret_key=KEY,
        partner_networks="127.0.0.0/8",
        partner_timeout="2m",
        log_level="debug",
    )
    (now,) = databases.ask(database, "SELECT clock_timestamp() - interval '1 minute'")
    app = Celery("backend", broker=redis_url, set_as_current=False)
    log = tmp_path / "deliver.log"
    with (
        token_server() as server,
        delivery_setup_on(engine, ManualClock(now)) as delivery,
        celery(*WORKER, env=env, log=log, start=subprocess.Popen) as worker,
    ):

        def token_calls() -> int:
            must_live(worker, log)
            return len(server.requests)

        server.odd = Line.keep_silent
        delivery.publish(add_partner(delivery, server), ("ticket_win", "t"))
        app.send_task("deliver", queue="deliver")
        eventually(lambda: token_calls() == 1)
        shown = Path(f"/proc/{worker.pid}/cmdline").read_text(encoding="utf-8")
        stopped_at = time.monotonic()
        code = end(worker)
        took = time.monotonic() - stopped_at

        (notice,) = delivery.rows("SELECT lease, claims, tries FROM notice")
        attempts = delivery.attempts()
    app.close()

    assert (code, attempts, tuple(notice)) == (0, [], (None, 0, 0))
    assert took < 60, "less than the timeout of the call"
    assert server.notices == []
    assert "Traceback" not in log.read_text()
    assert "canary" not in log.read_text() + shown


@pytest.mark.slow
def test_it_goes_on_delivering_without_redis_and_ends_when_told(
    tmp_path, engine, database, redis_url, servers: Servers
):
    """No wakeup reaches it: what falls due is looked for without one."""
    env = environment(
        tmp_path,
        database_url=database,
        redis_url=redis_url,
        secret_key=KEY,
        partner_networks="127.0.0.0/8",
    )
    (now,) = databases.ask(database, "SELECT clock_timestamp() - interval '1 minute'")
    app = Celery("backend", broker=redis_url, set_as_current=False)
    log = tmp_path / "deliver.log"
    with (
        SimulatedPartner(secret=SECRET) as partner,
        delivery_setup_on(engine, ManualClock(now)) as delivery,
        celery(*WORKER, env=env, log=log) as worker,
    ):

        def received() -> int:
            must_live(worker, log)
            return len(partner.ledger.entries())

        delivery.operator("acme", partner.url)
        delivery.publish("acme", ("ticket_win", "before"))
        app.send_task("deliver", queue="deliver")
        eventually(lambda: received() == 1)
        servers.valkey.kill()
        try:
            for ticket in ("first", "second", "third"):  # each after the run before it has ended
                delivery.publish("acme", ("ticket_win", ticket))
                eventually(lambda: received() == _undelivered(delivery) == _delivered(delivery))
            code = end(worker)
        finally:
            servers.valkey.start()
    app.close()

    assert code == 0
    assert "delivery_run_failed" not in log.read_text()


def _undelivered(delivery: DeliverySetup) -> int:
    return len(delivery.rows("SELECT 1 FROM notice"))


def _delivered(delivery: DeliverySetup) -> int:
    return len(delivery.rows("SELECT 1 FROM notice WHERE ended = 'delivered'"))
