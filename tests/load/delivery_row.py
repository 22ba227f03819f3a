"""Notices delivered a second, from due to recorded, against the HTTP client alone, and durable."""

import time
from collections.abc import Callable
from datetime import timedelta

from celery import Celery
from sqlalchemy import Connection, text

from models.platform.clock import DatabaseClock
from tests.load.bare_client import BareClient
from tests.load.durable_deliverer import DurableDeliverer
from tests.load.environment import SECRET, BenchEnvironment, Database
from tests.load.results import Samples
from tests.load.sink import Sink, open_sink
from tests.support.wait import eventually

OPERATORS = 8
LASTING_MAX = timedelta(minutes=10)

OWE = text("""
    WITH made AS (
        INSERT INTO ticket (operator, ticket_id, status, result, generation, notices, unfinished)
        SELECT o.id, 'T-' || n, 'resulted', 'won', 1, 1, 1
          FROM generate_series(1, CAST(:each AS int)) AS n, operator o
     RETURNING id, operator, ticket_id)
    INSERT INTO notice (ticket, operator, number, action, generation, body, head, due_at,
                        created_at)
    SELECT m.id, m.operator, 1, 'ticket_win', 1,
           '{"action":"ticket_win","data":{"operator":"' || o.code || '","ticket_id":"'
           || m.ticket_id || '"}}', true, :due_at, :due_at
      FROM made m JOIN operator o ON o.id = m.operator""")
LEFT = text("SELECT 1 FROM notice WHERE operator = ANY(:all) AND head AND ended IS NULL LIMIT 1")
TOOK = text("""
    SELECT extract(epoch FROM max(ended_at)), count(*) FROM notice WHERE ended = 'delivered'""")


def measure(environment: BenchEnvironment, samples: Samples, *, rounds: int, notices: int) -> None:
    """Take turns between the bare clients and the deliverer of the Procfile, at the same sink."""
    with (
        open_sink() as sink,
        environment.database("delivery", sink=sink.url, operators=OPERATORS) as database,
        DurableDeliverer(database.url, sink.url, secret=SECRET) as durable,
        database.workers("deliver"),
    ):
        delivered(database, OPERATORS * 4)  # it is up, and connected
        durably_posted(durable, sink, OPERATORS * 4)
        for _ in range(rounds):
            bare = posted(sink.url, notices)
            samples.add("bare HTTP client, requests/s", bare)
            durably = durably_posted(durable, sink, notices)
            samples.add("bare durable deliverer, messages/s", durably)
            before = sink.counts().requests
            ours = delivered(database, notices)
            assert sink.counts().requests - before >= notices, "the partner got all of it"
            samples.add("Slipway, notices delivered and recorded/s", ours)
            samples.ratio("delivery", ours / bare)
            samples.ratio("delivery_durable", ours / durably)


def durably_posted(durable: DurableDeliverer, sink: Sink, messages: int) -> float:
    """Deliver *messages* that are due at once; return how many a second."""
    durable.owe(messages)
    seen = sink.counts().requests
    before = time.perf_counter()
    taken = durable.deliver()
    took = time.perf_counter() - before
    requests = sink.counts().requests - seen
    assert taken == durable.marked() == requests == messages, "each was sent once, and is marked"
    return messages / took


def delivered(
    database: Database, notices: int, *, prepared: Callable[[Connection], object] | None = None
) -> float:
    """Deliver *notices* that are due at once; return how many a second.

    *prepared* is called once they are there, before they are due.
    """
    database.empty()
    with database.engine.begin() as connection:
        now = DatabaseClock().now(connection)
        connection.execute(
            OWE, {"each": notices // OPERATORS, "due_at": now + timedelta(minutes=5)}
        )
        if prepared is not None:
            prepared(connection)
    database.tidy("VACUUM ANALYZE ticket, notice")
    with database.engine.begin() as connection:
        connection.execute(text("UPDATE notice SET due_at = :now"), {"now": now})
        began = DatabaseClock().now(connection).timestamp()
    wake(database.environment.servers.redis_url)

    def over() -> bool:
        with database.engine.begin() as connection:
            row = {"all": list(range(1, OPERATORS + 1))}
            return connection.execute(LEFT, row).first() is None

    eventually(over, within=LASTING_MAX)
    with database.engine.begin() as connection:
        ended_at, count = connection.execute(TOOK).one()
    assert count == notices // OPERATORS * OPERATORS, "each is recorded as delivered"
    return notices / (float(ended_at) - began)


def wake(redis_url: str) -> None:
    """Wake the deliverer as the intake does; it need not know more than the name of the task."""
    app = Celery("load", broker=redis_url, set_as_current=False)
    app.send_task("deliver", queue="deliver")
    app.close()


def posted(url: str, requests: int) -> float:
    """Post *requests* with bare pycurl; return how many a second."""
    client = BareClient(url)
    before = time.perf_counter()
    client.post(requests)
    took = time.perf_counter() - before
    client.close()
    return requests / took
