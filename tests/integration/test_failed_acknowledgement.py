"""A wakeup whose acknowledgement failed does not keep its worker from the next one."""

from collections.abc import Iterator
from typing import Any

import pytest
from kombu.connection import Connection
from kombu.entity import Queue

from worker.celery.transport import HardenedTransport

WAKEUP = {"task": "sweep", "id": "1"}


@pytest.fixture
def connection(redis_url: str) -> Iterator[Any]:
    options = {"socket_timeout": 1.0}
    # By its class: a name is looked up once per process, perhaps by an earlier test.
    with Connection(redis_url, transport=HardenedTransport, transport_options=options) as made:  # type: ignore[no-untyped-call]  # kombu's
        yield made


def test_after_an_acknowledgement_that_redis_did_not_take_the_next_wakeup_is_taken(
    connection, redis
):
    queue = Queue("test-acks", routing_key="test-acks")  # type: ignore[no-untyped-call]  # kombu's
    taken = []

    def publish() -> None:
        connection.Producer().publish(
            [[], {}, {}], headers=WAKEUP, routing_key=queue.name, declare=[queue]
        )

    channel = connection.channel()
    channel.basic_qos(0, 1, False)  # noqa: FBT003 - kombu's signature
    with connection.Consumer(
        [queue], channel, callbacks=[lambda _, message: taken.append(message)]
    ):
        publish()
        while not taken:
            connection.drain_events(timeout=60)
        redis.client_pause(60_000, all=False)  # what writes waits until told otherwise
        with pytest.raises(connection.connection_errors):
            taken[0].ack()
        redis.client_unpause()

        publish()
        while len(taken) < 2:
            connection.drain_events(timeout=60)  # raises TimeoutError when nothing comes
