"""A Redis that is full of events: the wakeups that get them applied still go through."""

import re

import pytest
from redis import Redis
from sqlalchemy import Engine

from producers.simulation.partner import SimulatedPartner
from tests.support.celery_process import environment
from tests.support.databases import ask
from tests.support.delivery_setup import KEY, SECRET, delivery_setup_on
from tests.support.manual_clock import ManualClock
from tests.support.procfile_processes import Running
from tests.support.ticket_queue import full
from tests.support.wait import eventually

OPERATOR = "acme"
WAVES, TICKETS = 3, 20
TROUBLE = re.compile(r"Connection to broker lost|Cannot connect|wakeup_not_sent|Error in timer")


@pytest.mark.slow
def test_notices_are_delivered_while_redis_takes_nothing(
    tmp_path, engine: Engine, database: str, redis: Redis, redis_url: str
):
    """Also by processes that start when it is full already, and no client connects again."""
    (now,) = ask(database, "SELECT clock_timestamp() - interval '1 minute'")
    env = environment(
        tmp_path,
        database_url=database,
        redis_url=redis_url,
        secret_key=KEY,
        partner_networks="127.0.0.0/8",
    )
    with (
        SimulatedPartner(secret=SECRET) as partner,
        delivery_setup_on(engine, ManualClock(now)) as delivery,
        full(redis),
    ):
        delivery.operator(OPERATOR, partner.url)
        running = [Running(name, env=env, folder=tmp_path) for name in ("deliver", "beat")]
        try:
            for wave in range(WAVES):  # between two of them a run has ended: it takes a wakeup
                tickets = [f"t-{wave}-{number}" for number in range(TICKETS)]
                delivery.publish(OPERATOR, *(("ticket_win", ticket) for ticket in tickets))

                def is_told(tickets=tickets) -> bool:
                    for process in running:
                        process.must_live()
                    taken = {entry.ticket_id for entry in partner.ledger.entries() if entry.taken}
                    return taken >= set(tickets)

                eventually(is_told)
            eventually(lambda: [*tmp_path.glob("slipway-*/beat.alive")])  # it can be told to end
            for process in running:
                process.tell_to_end()
            codes = [process.code() for process in running]
        finally:
            for process in running:
                process.kill()

    assert codes == [0, 0]
    assert len(partner.ledger.entries()) == WAVES * TICKETS
    assert [TROUBLE.findall(process.wrote()) for process in running] == [[], []]
