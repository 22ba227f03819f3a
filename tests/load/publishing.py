"""How many events a second get onto the stream: XADD, the Python publisher, HTTP.

    python -m tests.load.publishing [--events 50000]

Real servers, one publisher at a time; the gateway runs as a process of its own. How fast the Celery
queue and the lottery feed are: `python -m tests.load.channels_row`.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta

import httpx
from cryptography.fernet import Fernet
from redis import Redis

from models.database.engine import open_engine
from models.events.stream_contract import STREAM
from models.migrations.runner import upgrade
from models.operators.interventions import Person
from models.publishers.keys import add_publisher
from producers.publisher import OutgoingEvent, Publisher, event
from tests.load.channels_row import put, say
from tests.support.celery_process import ROOT, environment
from tests.support.harness import OPERATOR, Harness
from tests.support.manual_clock import ManualClock
from tests.support.server_folders import passable_folder
from tests.support.wait import eventually
from worker.local.servers import Servers, embedded_servers
from worker.local.servers.ports import free_port

AT_ONCE = 10_000  # the most that one call takes
LINES = "application/x-ndjson"
READY_WITHIN = timedelta(seconds=20)


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--events", type=int, default=50_000)
    count = parser.parse_args().events
    events = [
        event("ticket_win", {"operator": OPERATOR, "ticket_id": str(n)}, occurred_at=_now())
        for n in range(count)
    ]
    with embedded_servers(durable=False) as servers, Redis.from_url(servers.redis_url) as redis:
        texts = [json.dumps(event) for event in events]
        say("XADD, pipelined", _rate(redis, count, lambda: put(redis, count, _xadd(texts))))
        with closing(Publisher.at(servers.redis_url)) as publisher:
            say("publish_many", _rate(redis, count, lambda: _publish(publisher, events)))
        with _gateway(servers) as (address, key), httpx.Client(timeout=300) as client:
            say(
                "POST /events, NDJSON",
                _rate(redis, count, lambda: _post(client, address, key, texts)),
            )
    return 0


def _now() -> datetime:
    return datetime.now(UTC)  # noqa: TID251 - a publisher's clock


def _rate(redis: Redis, count: int, publish: Callable[[], object]) -> float:
    redis.delete(STREAM)
    before = time.perf_counter()
    publish()
    took = time.perf_counter() - before
    assert redis.xlen(STREAM) == count, "all of them are on the stream"
    return count / took


def _xadd(texts: list[str]) -> Callable[[int], tuple[str, ...]]:
    return lambda number: ("XADD", STREAM, "*", "event", texts[number])


def _publish(publisher: Publisher, events: list[OutgoingEvent]) -> None:
    for first in range(0, len(events), AT_ONCE):
        publisher.publish_many(events[first : first + AT_ONCE])


def _post(client: httpx.Client, address: str, key: str, texts: list[str]) -> None:
    answer = client.post(
        f"{address}/events",
        content="\n".join(texts),
        headers={"Content-Type": LINES, "X-Api-Key": key},
    )
    answer.raise_for_status()


@contextmanager
def _gateway(servers: Servers) -> Iterator[tuple[str, str]]:
    upgrade(servers.database_url)
    engine = open_engine(servers.database_url, application_name="load")
    Harness(engine, ManualClock()).add_operator()
    with engine.begin() as connection:
        key = add_publisher(connection, "load", person=Person("load", "a benchmark"))
    engine.dispose()
    port = free_port()
    with passable_folder() as folder:
        process = subprocess.Popen(
            [*_UVICORN, "--port", str(port)],
            cwd=ROOT,
            env=environment(
                folder,
                database_url=servers.database_url,
                redis_url=servers.redis_url,
                secret_key=Fernet.generate_key().decode(),
            ),
        )
        address = f"http://127.0.0.1:{port}"
        try:
            eventually(lambda: _answers(address), within=READY_WITHIN)
            yield address, key
        finally:
            process.terminate()
            process.wait()


def _answers(address: str) -> bool:
    try:
        return httpx.get(f"{address}/readyz").is_success
    except httpx.TransportError:
        return False


_UVICORN = [
    *(sys.executable, "-m", "uvicorn", "--factory", "producers.gateway.app:build_app"),
    *("--no-access-log", "--log-level", "warning"),
]

if __name__ == "__main__":
    sys.exit(main())
