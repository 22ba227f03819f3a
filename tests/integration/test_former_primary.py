"""After a failover a connection may lead to what was the primary: it is given up, not kept.

The servers may well be reachable still, as replicas; then nothing but their refusals tells.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest
from redis import Redis
from redis.exceptions import ReadOnlyError
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError

from models.database.errors import is_transient
from tests.support.closed_port import closed_port
from tests.support.envelopes import task
from tests.support.ticket_queue import waiting
from worker.intake.celery_queue import CeleryQueue
from worker.process.redis_client import open_redis
from worker.sweep.watermark import StreamWatermark

SESSION = text("SELECT pg_backend_pid()")
WRITE = text("CREATE TABLE IF NOT EXISTS written ()")

ANY_TIME = datetime(2026, 11, 20, tzinfo=UTC)


@pytest.fixture
def client(redis_url: str) -> Iterator[Redis]:
    """As the intake opens it, which repeats its verbs itself."""
    with open_redis(redis_url, retries=0, name="test") as opened:
        yield opened


@contextmanager
def demoted(redis: Redis) -> Iterator[None]:
    """The server follows another one, which is unavailable."""
    redis.replicaof("127.0.0.1", str(closed_port()))
    try:
        yield
    finally:
        redis.replicaof("NO", "ONE")


def test_a_refused_write_ends_the_connection(redis, client):
    former = client.client_id()

    with demoted(redis), pytest.raises(ReadOnlyError):
        client.set("written", "1")

    assert client.client_id() != former


def test_a_refused_transaction_ends_the_connection(redis, client):
    """As `finish` sends it: XACK and XDEL together."""
    former = client.client_id()

    with client.pipeline(transaction=True) as both:
        both.set("written", "1")
        both.time()
        with demoted(redis), pytest.raises(ReadOnlyError):
            both.execute()

    assert client.client_id() != former


def test_the_queue_drain_ends_a_connection_through_which_nothing_can_be_moved(redis, client):
    redis.lpush("tickets", task())
    queue, former = CeleryQueue(client), client.client_id()

    with demoted(redis), pytest.raises(ReadOnlyError):
        queue.drain()

    assert client.client_id() != former
    assert waiting(redis) == [1, 0, 0, 0]
    assert queue.drain().messages == 1


def test_the_sweep_has_no_watermark_from_what_was_the_primary(redis, client):
    watermark, former = StreamWatermark(client), client.client_id()
    assert watermark.watermark(ANY_TIME) is not None

    with demoted(redis):
        assert watermark.watermark(ANY_TIME) is None

    assert client.client_id() != former
    assert watermark.watermark(ANY_TIME) is not None


def write(engine: Engine) -> int:
    """Write something; in which session."""
    with engine.begin() as connection:
        connection.execute(WRITE)
        session: int = connection.execute(SESSION).scalar_one()
    return session


def test_a_session_with_a_read_only_server_is_not_used_again(engine):
    """SQLSTATE 25006."""
    with engine.begin() as connection:
        former = connection.execute(SESSION).scalar_one()
        connection.execute(text("SET SESSION default_transaction_read_only = on"))

    with pytest.raises(DBAPIError) as refusal:
        write(engine)

    assert is_transient(refusal.value)
    assert write(engine) != former
