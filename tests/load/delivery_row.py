"""Notices delivered a second, from due to recorded, against the HTTP client alone."""

import time
from collections import deque
from collections.abc import Callable
from datetime import timedelta

import pycurl
from celery import Celery
from sqlalchemy import Connection, text

from models.platform.clock import DatabaseClock
from tests.load.environment import BenchEnvironment, Database
from tests.load.results import Samples
from tests.load.sink import open_sink
from tests.support.wait import eventually

IN_FLIGHT = 64  # of the bare client: where it is fastest
OPERATORS = 8
LASTING_MAX = timedelta(minutes=10)
BODY = b'{"action":"ticket_win","data":{"operator":"acme","ticket_id":"T-0000001"}}'
HEADERS = ["Content-Type: application/json", "signature: " + "0" * 64, "timestamp: 1763632800000"]

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
TOOK = text("SELECT extract(epoch FROM max(ended_at)) FROM notice WHERE ended = 'delivered'")


def measure(environment: BenchEnvironment, samples: Samples, *, rounds: int, notices: int) -> None:
    """Take turns between the bare client and the deliverer of the Procfile, at the same sink."""
    with (
        open_sink() as sink,
        environment.database("delivery", sink=sink.url, operators=OPERATORS) as database,
        database.workers("deliver"),
    ):
        delivered(database, OPERATORS * 4)  # it is up, and connected
        for _ in range(rounds):
            bare = posted(sink.url, notices)
            samples.add("bare HTTP client, requests/s", bare)
            ours = delivered(database, notices)
            samples.add("Slipway, notices delivered and recorded/s", ours)
            samples.ratio("delivery", ours / bare)
        requests = sink.counts().requests
        assert requests >= 2 * rounds * notices, "the partner got all of it"


def delivered(
    database: Database, notices: int, *, prepared: Callable[[Connection], object] | None = None
) -> float:
    """Have so many delivered, all of them due at once; how many a second.

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
        return notices / (float(connection.execute(TOOK).scalar_one()) - began)


def wake(redis_url: str) -> None:
    """Wake the deliverer as the intake does; it need not know more than the name of the task."""
    app = Celery("load", broker=redis_url, set_as_current=False)
    app.send_task("deliver", queue="deliver")
    app.close()


def posted(url: str, requests: int) -> float:
    """Post so many with bare pycurl, connections kept; how many a second."""
    multi = pycurl.CurlMulti()
    idle: deque[pycurl.Curl] = deque(_handle(url) for _ in range(IN_FLIGHT))
    started = ended = 0
    before = time.perf_counter()
    while ended < requests:
        while idle and started < requests:
            multi.add_handle(idle.popleft())
            started += 1
        multi.perform()
        more = 1
        while more:
            more, done, failed = multi.info_read()
            assert not failed, "the sink takes everything"
            for easy in done:
                multi.remove_handle(easy)
                idle.append(easy)
            ended += len(done)
        if not idle:
            multi.select(1.0)
    took = time.perf_counter() - before
    multi.close()
    return requests / took


def _handle(url: str) -> pycurl.Curl:
    easy = pycurl.Curl()
    easy.setopt(pycurl.URL, url)
    easy.setopt(pycurl.POSTFIELDS, BODY)
    easy.setopt(pycurl.HTTPHEADER, [*HEADERS, "Expect:"])
    easy.setopt(pycurl.WRITEFUNCTION, len)
    easy.setopt(pycurl.NOSIGNAL, 1)
    return easy
