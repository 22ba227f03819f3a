"""What a trial behind PgBouncer and sentinels breaks is broken, and itself loses nothing."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest
from redis import Redis
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError

from models.database.engine import open_engine
from producers.publisher import Publisher, PublishLater
from tests.faults.network import Network
from tests.faults.surroundings import Surroundings, surroundings
from tests.support.databases import ask
from tests.support.gateway_app import event
from tests.support.pooler import needs_pgbouncer
from tests.support.sentinels import HURRIED
from tests.support.server_folders import passable_folder
from tests.support.wait import eventually
from worker.local.servers import Servers, embedded_servers

pytestmark = needs_pgbouncer
A_FEW = 20  # are acknowledged before and after each step
DOWN_AFTER = timedelta(seconds=1)
PAUSE_SECONDS = 0.02


@pytest.fixture(scope="module")
def around() -> Iterator[tuple[Servers, Surroundings]]:
    with (
        passable_folder() as folder,
        embedded_servers(durable=True, within=folder) as servers,
        Network() as network,
        surroundings(servers, network, folder, down_after=DOWN_AFTER, periods=HURRIED) as built,
    ):
        yield servers, built


@contextmanager
def written(write: Callable[[int], bool]) -> Iterator[list[int]]:
    """Write numbers in a thread until the block ends: those of which *write* says it is done."""
    done: list[int] = []
    over = threading.Event()

    def run() -> None:
        number = 0
        while not over.wait(PAUSE_SECONDS):
            number += 1
            if write(number):
                done.append(number)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield done
    finally:
        over.set()
        thread.join()


def a_few_more(done: list[int]) -> None:
    before = len(done)
    eventually(lambda: len(done) >= before + A_FEW)


def inserting(engine: Engine) -> Callable[[int], bool]:
    def insert(number: int) -> bool:
        try:
            with engine.begin() as connection:
                connection.execute(text("INSERT INTO number VALUES (:n)"), {"n": number})
        except DBAPIError:
            return False
        return True

    return insert


def publishing(publisher: Publisher) -> Callable[[int], bool]:
    def publish(number: int) -> bool:
        try:
            publisher.publish_many([event("acme", "T", event_id=f"{number}")])
        except PublishLater:
            return False
        return True

    return publish


def test_each_failover_of_postgresql_changes_the_server_and_keeps_what_was_committed(around):
    servers, built = around
    engine = open_engine(built.pooled_url, application_name="tests", pool_size=1)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE number (n int PRIMARY KEY)"))
    with written(inserting(engine)) as committed:
        a_few_more(committed)
        with built.postgres_fails_over():
            a_few_more(committed)
            original = ask(servers.database_url, "SELECT pg_is_in_recovery()")
            spare = ask(built.pair.spare.server.url, "SELECT pg_is_in_recovery()")
            assert (original, spare) == ((True,), (False,))
        a_few_more(committed)
    engine.dispose()

    [kept] = ask(servers.database_url, "SELECT array_agg(n) FROM number")
    assert set(committed) <= set(kept)
    assert ask(servers.database_url, "SELECT sync_state FROM pg_stat_replication") == ("sync",)


def test_each_failover_of_valkey_changes_the_server_and_keeps_what_was_acknowledged(around):
    servers, built = around
    publisher = Publisher.at(built.redis_url)
    with written(publishing(publisher)) as acknowledged:
        a_few_more(acknowledged)
        with built.valkey_fails_over():
            a_few_more(acknowledged)
            with built.watched.spare.member.speak() as spare:
                assert spare.role()[0] == "master"
        a_few_more(acknowledged)
    publisher.close()

    with Redis.from_url(servers.redis_url, decode_responses=True) as redis:
        assert redis.role()[0] == "master"
        entries = redis.xrange("ticket-events")
    on_stream = {int(json.loads(fields["event"])["event_id"]) for _, fields in entries}
    assert set(acknowledged) <= on_stream
