"""What the benchmark compares Slipway with does its whole job, every time."""

import json

from redis import Redis

from producers.simulation.partner import SimulatedPartner
from tests.load import bare_chain
from tests.load.durable_deliverer import BATCH, DurableDeliverer
from tests.load.sink import open_sink
from tests.support import databases
from tests.support.wait import eventually

SECRET = "12345ABCDE"
EVENTS = [json.dumps({"number": number}) for number in range(20)]


def test_the_durable_deliverer_sends_each_message_once_signed_and_marks_it(database):
    messages = BATCH + 3

    with (
        SimulatedPartner(secret=SECRET) as partner,
        DurableDeliverer(database, partner.url, secret=SECRET) as durable,
    ):
        durable.owe(messages)
        taken = durable.deliver()
        entries = partner.ledger.entries()

        assert taken == durable.marked() == len(entries) == messages
        assert durable.deliver() == 0, "nothing is left"

    assert len({entry.ticket_id for entry in entries}) == messages
    assert all(entry.signature_ok for entry in entries)


def test_the_durable_deliverer_marks_nothing_that_was_not_taken(database):
    with (
        SimulatedPartner(secret="another") as partner,
        DurableDeliverer(database, partner.url, secret=SECRET) as durable,
    ):
        durable.owe(3)

        assert durable.deliver() == durable.marked() == 0
        assert len(partner.ledger.entries()) == 3


def test_the_bare_chain_stores_each_event_and_posts_it(database, redis: Redis, redis_url):
    came: list[str] = []
    with (
        open_sink(keep=True) as sink,
        bare_chain.bare_chain(redis_url=redis_url, database_url=database, sink_url=sink.url),
    ):
        for event in EVENTS:
            redis.xadd(bare_chain.STREAM, {"event": event})

        def all_came() -> bool:
            came.extend(body.decode() for _, body in sink.receipts())
            return len(came) == len(EVENTS)

        eventually(all_came)

    (stored,) = databases.ask(database, "SELECT array_agg(event ORDER BY id) FROM bare_event")
    assert came == stored == EVENTS
