"""What other teams run: a bare Celery application and a bare kombu producer, as their pages say."""

from collections.abc import Iterator
from contextlib import contextmanager

from celery import Celery
from kombu.connection import Connection
from kombu.entity import Exchange, Queue
from kombu.messaging import Producer
from kombu.utils.json import dumps

QUEUE = "tickets"
TRANSPORT = "kombu.transport.redis:Transport"  # theirs has not ours in place of it


@contextmanager
def celery_backend(redis_url: str) -> Iterator[Celery]:
    """Run a foreign Celery application: it knows nothing of Slipway but the queue's name."""
    app = Celery("backend", broker=redis_url, set_as_current=False)
    app.conf.broker_transport = TRANSPORT
    try:
        yield app
    finally:
        app.close()


def produce(redis_url: str, *events: dict[str, object], declared: bool = False) -> None:
    """Publish *events* with a kombu producer; *declared*: over an exchange and queue of its own."""
    named = Queue(QUEUE, Exchange(QUEUE), routing_key=QUEUE)  # type: ignore[no-untyped-call] # kombu's
    more = {"exchange": named.exchange, "declare": [named]} if declared else {}
    with Connection(redis_url, transport=TRANSPORT) as connection:  # type: ignore[no-untyped-call] # kombu's
        producer = Producer(connection)  # type: ignore[no-untyped-call] # kombu's
        for event in events:
            producer.publish(event, routing_key=QUEUE, **more)  # type: ignore[no-untyped-call] # kombu's


def put(redis_url: str, event: dict[str, object]) -> None:
    """Publish *event* with kombu's simple queue."""
    with Connection(redis_url, transport=TRANSPORT) as connection:  # type: ignore[no-untyped-call] # kombu's
        simple = connection.SimpleQueue(QUEUE)
        simple.put(event)
        simple.close()


def written(content: object) -> bytes:
    """Write *content* as kombu writes JSON, its own types included."""
    return str(dumps(content)).encode()  # type: ignore[no-untyped-call] # kombu's
