"""All processes of the Procfile and those around them, as a flood finds them."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
from redis import Redis
from sqlalchemy import Engine, text

from models.database.engine import open_engine
from models.events.stream_contract import STREAM
from models.migrations.runner import upgrade
from models.operators.interventions import Person
from models.publishers.keys import add_publisher
from producers.publisher import Publisher
from tests.faults.flood import OPERATOR, Flood
from tests.load.sink import open_sink
from tests.support.celery_process import environment
from tests.support.delivery_setup import KEY, delivery_setup_on
from tests.support.free_port import free_port
from tests.support.manual_clock import ManualClock
from tests.support.procfile_processes import LINES, Running
from tests.support.server_folders import passable_folder
from tests.support.wait import eventually
from worker.local.servers import Servers, embedded_servers

READY_MAX = timedelta(seconds=90)
LONG = timedelta(minutes=60)
GROUP = 500
LEFT = text("SELECT 1 FROM notice WHERE operator = 1 AND head AND ended IS NULL LIMIT 1")


@dataclass(slots=True)
class Watch:
    """What was seen from outside, by the second."""

    oldest: list[tuple[int, int]] = field(default_factory=list)  # ids of the first entry
    unread: float = 0.0  # the most that the exporter said
    waited: float = 0.0


@dataclass(frozen=True, slots=True)
class OverloadStack:
    """All processes, ready."""

    servers: Servers
    redis: Redis
    engine: Engine
    folder: Path
    running: list[Running]
    flood: Flood
    console: str  # its address
    flower: str

    def look(self, watch: Watch) -> None:
        """Note the oldest entry and what the exporter says; every process must live."""
        for process in self.running:
            process.must_live()
        first: Any = self.redis.xrange(STREAM, count=1)
        if first:
            at, number = first[0][0].decode().split("-")
            watch.oldest.append((int(at), int(number)))
        shown = self.metrics()
        watch.unread = max(watch.unread, shown.get("slipway_stream_unread", 0.0))
        watch.waited = max(watch.waited, shown.get("slipway_stream_oldest_seconds", 0.0))

    def metrics(self) -> dict[str, float]:
        """What the sweep shows of the stream."""
        (page,) = self.folder.glob("slipway-*/sweep@*.metrics")
        lines = httpx.get(page.read_text().strip(), timeout=30).text.splitlines()
        named = (line.split() for line in lines if line.startswith("slipway_stream_"))
        return {name: float(value) for name, value in named}

    def is_done(self) -> bool:
        """Nothing is left on the stream, and every notice was delivered."""
        with self.engine.begin() as connection:
            undelivered = connection.execute(LEFT).first()
        return undelivered is None and not self.redis.xlen(STREAM)

    def published(self, many: int) -> float:
        """Publish so many; the seconds until all of it is applied and delivered."""
        began = time.monotonic()
        for _ in range(many // GROUP):
            assert not self.flood.put(self.flood.numbers(GROUP))
        eventually(self.is_done, within=LONG)
        return time.monotonic() - began

    def pids(self) -> dict[str, int]:
        """Return the processes whose memory is measured."""
        ours = {process.node: process.pid for process in self.running}
        servers = {"PostgreSQL": self.servers.postgres.pid, "Valkey": self.servers.valkey.pid}
        return ours | servers

    def stop(self) -> dict[str, int]:
        """End all processes; their exit codes."""
        for process in self.running:
            process.tell_to_end()
        return {process.node: process.code() for process in self.running}


@contextmanager
def overload_stack() -> Iterator[OverloadStack]:
    """Start everything; all of it has ended at the end."""
    with ExitStack() as ending:
        folder = ending.enter_context(passable_folder())
        servers = ending.enter_context(embedded_servers(durable=False))
        sink = ending.enter_context(open_sink())
        redis = ending.enter_context(Redis.from_url(servers.redis_url))
        upgrade(servers.database_url)
        engine = open_engine(
            servers.database_url, application_name="overload", statement_timeout=LONG
        )
        ending.callback(engine.dispose)
        with delivery_setup_on(engine, ManualClock()) as delivery:
            delivery.operator(OPERATOR, sink.url)
        with engine.begin() as connection:
            person = Person("overload", "a trial")
            key = add_publisher(connection, "backend", operators=[OPERATOR], person=person)
        port, console, flower = free_port(), free_port(), free_port()
        env = environment(
            folder,
            database_url=servers.database_url,
            redis_url=servers.redis_url,
            secret_key=KEY,
            partner_networks="127.0.0.0/8",
            gateway_port=str(port),
            flower_port=str(flower),
            console_port=str(console),
            survey_interval="1s",
        )
        publisher = Publisher.at(servers.redis_url)
        ending.callback(publisher.close)
        flood = Flood(redis, publisher, f"http://127.0.0.1:{port}", key)
        running = [Running(name, env=env, folder=folder) for name in LINES]
        for process in running:
            ending.callback(process.kill)
        pages = [f"http://127.0.0.1:{each}" for each in (console, flower)]
        stack = OverloadStack(servers, redis, engine, folder, running, flood, *pages)
        eventually(lambda: _is_ready(stack), within=READY_MAX)
        yield stack


def _is_ready(stack: OverloadStack) -> bool:
    for process in stack.running:
        process.must_live()
    ready = {path.name.partition("@")[0] for path in stack.folder.glob("slipway-*/*.ready")}
    try:
        served = httpx.get(f"{stack.flood.gateway}/readyz", timeout=30).status_code
        return {"intake", "deliver", "sweep"} <= ready and served == 200 and bool(stack.metrics())
    except (httpx.TransportError, ValueError):
        return False
