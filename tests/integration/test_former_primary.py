"""After a failover a connection may lead to what was the primary: it is given up, not kept.

The servers may well be reachable still, as replicas; then nothing but their refusals tells.
"""

import gc
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from datetime import UTC, datetime

import pytest
from redis import Redis
from redis.exceptions import ReadOnlyError, RedisError, ResponseError
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError

from models.database.errors import is_transient
from producers.gateway.stream import GatewayStream
from producers.publisher import Publisher, PublishLater
from tests.support.closed_port import closed_port
from tests.support.envelopes import task
from tests.support.publishing_load import event
from tests.support.redis_clients import celery_at, settings_for
from tests.support.sentinels import Watched, sentinels
from tests.support.ticket_queue import waiting
from tests.support.wait import eventually
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


# --- behind Sentinel: replaced while it lives, it lacks replicas long before it is told ---

ENTRY = {b"event": b"{}"}
Write = Callable[[], object]


def writers(url: str, closing_all: ExitStack) -> dict[str, Write]:
    """Clients of each kind that keep their connection, and a write of each."""
    client = closing_all.enter_context(open_redis(url, retries=0, name="test"))
    publisher = closing_all.enter_context(closing(Publisher.at(url)))
    gateway = closing_all.enter_context(closing(GatewayStream.at(settings_for(url))))
    app = closing_all.enter_context(celery_at(url))
    channel = closing_all.enter_context(app.connection()).default_channel
    return {
        "our client": lambda: client.rpush("written", "1"),
        "our transaction": lambda: client.pipeline().rpush("written", "1").time().execute(),
        "publisher": lambda: publisher.publish(event("t-0")),
        "gateway": lambda: gateway.add([ENTRY, ENTRY]),
        "Celery": lambda: channel.client.rpush("written", "1"),
    }


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    with sentinels(tmp_path_factory.mktemp("sentinels")) as running:
        yield running


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")  # kombu's clients of sentinels
def test_one_that_lacks_replicas_is_left_for_the_one_that_the_sentinels_name(
    watched: Watched,
) -> None:
    former = watched.named()
    with ExitStack() as closing_all:
        by_kind = writers(watched.url(), closing_all)
        for write in by_kind.values():
            write()
        watched.cut_off(former)
        watched.promote(paused=False)
        eventually(lambda: watched.is_primary(watched.named(), replicas=1))

        refused = {kind: refusals(write) for kind, write in by_kind.items()}

        assert watched.is_primary(former, replicas=0)  # nobody told it: each client found out
    # Publisher and gateway try a second time themselves; others have their own way to repeat work.
    assert refused == {
        "our client": 1,
        "our transaction": 0,  # the same client has connected again
        "publisher": 0,
        "gateway": 0,
        "Celery": 1,
    }
    gc.collect()  # kombu leaves its clients to it, in cycles


def refusals(write: Write) -> int:
    """How often a write fails before it succeeds."""
    for failures in range(3):
        try:
            write()
        except (RedisError, PublishLater):
            continue
        return failures
    pytest.fail("it goes on with the former primary")


def test_one_that_lacks_replicas_and_is_still_named_is_kept(watched: Watched) -> None:
    """As when a replica restarts: nothing is gained by connecting again."""
    with open_redis(watched.url(), retries=0, name="test") as client:
        mine = client.client_id()
        with lacking_replicas(client), pytest.raises(ResponseError, match="NOREPLICAS"):
            client.set("written", "1")

        assert client.client_id() == mine


@contextmanager
def lacking_replicas(redis: Redis) -> Iterator[None]:
    """It demands more replicas than there are."""
    redis.config_set("min-replicas-to-write", 9)
    try:
        yield
    finally:
        redis.config_set("min-replicas-to-write", 1)  # as `sentinels` has it
