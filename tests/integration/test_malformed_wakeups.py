"""A malformed message in a queue of wakeups never stops the good one behind it."""

from collections.abc import Callable

import pytest
from kombu.connection import Connection
from kombu.entity import Queue
from kombu.messaging import Consumer
from redis import Redis

from tests.support.envelopes import task
from worker.process.queues import DEAD_LETTERS

TRANSPORT = "worker.celery.transport:HardenedTransport"


def first_good(redis_url: str) -> object:
    """Consume `deliver` until a message comes; its delivery tag."""
    came: list[object] = []
    with Connection(redis_url, transport=TRANSPORT) as connection:  # type: ignore[no-untyped-call]  # kombu's
        queue = Queue("deliver")  # type: ignore[no-untyped-call]  # kombu's
        taking = Consumer(  # type: ignore[no-untyped-call]  # kombu's
            connection, [queue], callbacks=[lambda _, message: came.append(message.headers["id"])]
        )
        with taking:
            while not came:
                connection.drain_events(timeout=30)
    return came[0]


@pytest.mark.parametrize(
    ("prepare", "letters"),
    [(lambda _: None, 1), (lambda redis: redis.set(DEAD_LETTERS, "x"), None)],
)
def test_it_is_kept_or_at_least_logged_where_it_cannot_be_kept(
    redis: Redis, redis_url: str, caplog, prepare: Callable[[Redis], object], letters: int | None
):
    prepare(redis)
    good = task(headers={"id": "good", "task": "deliver"})
    redis.lpush("deliver", b"no JSON at all")
    redis.lpush("deliver", good)

    assert first_good(redis_url) == "good"

    assert "malformed_message" in caplog.messages
    if letters is None:
        assert "malformed_message_not_stored" in caplog.messages
    else:
        assert redis.llen(DEAD_LETTERS) == letters
