"""A delivery process is killed in the middle of its calls: another one takes over, in order."""

from collections import Counter
from dataclasses import dataclass
from datetime import timedelta

import pytest
from celery import Celery
from redis import Redis

from producers.simulation.partner import Respond, Rule, SimulatedPartner
from tests.support import databases
from tests.support.celery_process import celery, environment, must_live
from tests.support.delivery_setup import KEY, SECRET, DeliverySetup, delivery_setup_on
from tests.support.manual_clock import ManualClock
from tests.support.wait import eventually

WORKER = ("-Q", "deliver", "-P", "threads", "-c", "2", "--without-gossip", "--without-mingle")
STORY = ("ticket_win", "ticket_rollback", "ticket_lost")
TICKETS = [f"ticket-{number}" for number in range(12)]


@pytest.mark.slow
def test_its_leases_run_out_and_its_notices_go_out_in_order_and_once(
    tmp_path, engine, database, redis_url, redis
):
    """Rule 14, decision 0008: at least once over the network, once by our key."""
    env = environment(
        tmp_path,
        database_url=database,
        redis_url=redis_url,
        secret_key=KEY,
        partner_networks="127.0.0.0/8",
        partner_timeout="2s",
        partner_connect_timeout="1s",
        partner_grace="500ms",
        lease_margin="1s",  # a lease of 3 s
    )
    (now,) = databases.ask(database, "SELECT clock_timestamp() - interval '1 minute'")
    beat = Beat(Celery("backend", broker=redis_url, set_as_current=False), redis)
    with (
        SimulatedPartner(secret=SECRET, deduplicate=True) as partner,
        delivery_setup_on(engine, ManualClock(now)) as delivery,
    ):
        delivery.operator("acme", partner.url)
        partner.behave(Rule(Respond(seconds=1.0), action="ticket_rollback"))
        for action in STORY:
            delivery.publish("acme", *((action, ticket) for ticket in TICKETS))

        log = tmp_path / "killed.log"
        with celery("worker", "-n", "killed@test", *WORKER, env=env, log=log) as process:

            def busy() -> bool:
                must_live(process, log)
                beat.wake()
                return on_the_line(partner)

            eventually(busy)
            process.kill()
        with celery("worker", "-n", "heir@test", *WORKER, env=env, log=log) as heir:

            def done() -> bool:
                must_live(heir, log)
                beat.wake()
                return not is_left(delivery)

            eventually(done)
        check(delivery, partner)
    beat.app.close()


@dataclass(frozen=True, slots=True)
class Beat:
    """Send wakeups, as beat does: nothing else says that a lease has run out."""

    app: Celery
    redis: Redis

    def wake(self) -> None:
        if not self.redis.llen("deliver"):
            self.app.send_task("deliver", queue="deliver")


def on_the_line(partner: SimulatedPartner) -> bool:
    """Calls are with the partner, which has not answered them yet."""
    return any(entry.action == "ticket_rollback" for entry in partner.ledger.entries())


def is_left(delivery: DeliverySetup) -> bool:
    """Some notice has not been delivered."""
    return bool(delivery.rows("SELECT FROM notice WHERE ended IS NULL LIMIT 1"))


def check(delivery: DeliverySetup, partner: SimulatedPartner) -> None:
    notices = len(TICKETS) * len(STORY)
    (ends,) = delivery.rows(
        "SELECT count(*) AS notices, count(*) FILTER (WHERE ended = 'delivered') AS delivered,"
        " count(*) FILTER (WHERE perhaps_delivered) AS in_doubt FROM notice"
    )
    successes = Counter(row.notice for row in delivery.attempts("notice", "verdict = 'delivered'"))
    verdict = partner.verdict(close_delay=timedelta(hours=24), complete=False)
    taken = [entry for entry in partner.ledger.entries() if entry.taken]

    assert (ends.notices, ends.delivered) == (notices, notices)
    assert [*successes.values()] == [1] * notices
    assert ends.in_doubt, "it was killed in the middle of calls"
    assert verdict.repeats, "and so they were made again"
    assert (verdict.legal, verdict.late_repeats, verdict.changed_repeats) == (True, 0, 0)
    assert len({entry.idempotency_key for entry in taken}) == len(taken) == notices
    for ticket in TICKETS:
        assert [entry.action for entry in taken if entry.ticket_id == ticket] == list(STORY)
