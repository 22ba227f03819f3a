"""The workers of the Procfile and a partner, started before there is a schema, then at work."""

import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import takewhile
from pathlib import Path

from redis import Redis

from models.database.engine import open_engine
from models.migrations.runner import upgrade
from producers.publisher import Publisher
from producers.simulation.backends import PublishedSoFar, play
from producers.simulation.partner import SimulatedPartner
from producers.simulation.stories import StoryPace, stories
from tests.support.celery_process import environment
from tests.support.delivery_setup import KEY, SECRET, delivery_setup_on
from tests.support.manual_clock import ManualClock
from tests.support.procfile_processes import Running
from tests.support.wait import eventually
from worker.local.servers import Servers, embedded_servers

OPERATOR = "acme"
CLOSE_DELAY = timedelta(seconds=3)
# What each says while tables are missing.
WAITING = {
    "intake": "database_unavailable",
    "deliver": "database_unavailable",
    "sweep": "database_unavailable",
}
UNREADABLE = b"{"
BRISK = StoryPace(
    result_seconds=(0.2, 1.0), rollback_seconds=(0.2, 1.0), next_result_seconds=(0.2, 0.5)
)


@dataclass(slots=True)
class RunningStack:
    """What is running. The schema is there, and one operator."""

    servers: Servers
    partner: SimulatedPartner
    running: tuple[Running, ...]
    published: PublishedSoFar = field(default_factory=PublishedSoFar)

    def must_live(self) -> bool:
        """Raise if one of the processes has ended."""
        for process in self.running:
            process.must_live()
        return True

    def stop(self) -> dict[str, int]:
        """End all; their exit codes."""
        for process in self.running:
            process.tell_to_end()
        return {process.name: process.code() for process in self.running}

    @contextmanager
    def load(self, *, lives_per_second: float) -> Iterator[None]:
        """Backends publish beside the block; when it ends they finish the lives they began."""

        def tell() -> None:
            endless = stories(
                sys.maxsize,
                operators=[OPERATOR],
                seed=7,
                lives_per_second=lives_per_second,
                pace=BRISK,
            )
            begun = takewhile(lambda _: not over.is_set(), endless)
            self.published = play(begun, publisher, wait=threading.Event().wait)
            publisher.close()

        over = threading.Event()
        publisher = Publisher.at(self.servers.redis_url)
        backends = threading.Thread(target=tell)
        backends.start()
        try:
            yield
        finally:
            over.set()
            backends.join()


@contextmanager
def running_stack(folder: Path) -> Iterator[RunningStack]:
    """Start all but the schema, wait until all processes wait for it, and migrate.

    An unreadable entry is on the stream before.
    """
    with ExitStack() as ending:
        servers = ending.enter_context(embedded_servers(durable=False, within=folder))
        partner = ending.enter_context(SimulatedPartner(secret=SECRET))
        with Redis.from_url(servers.redis_url) as redis:
            redis.xadd("ticket-events", {"event": UNREADABLE})
        env = environment(
            folder,
            database_url=servers.database_url,
            redis_url=servers.redis_url,
            secret_key=KEY,
            partner_networks="127.0.0.0/8",
        )
        running = tuple(
            Running(name, env=env, folder=folder) for name in ("intake", "deliver", "sweep", "beat")
        )
        for process in running:
            ending.callback(process.kill)
        stack = RunningStack(servers, partner, running)
        eventually(lambda: stack.must_live() and _all_wait(running))
        upgrade(servers.database_url)
        _add_operator(stack)
        yield stack


def _all_wait(running: tuple[Running, ...]) -> bool:
    wrote = {process.name: process.wrote() for process in running}
    return all(word in wrote[name] for name, word in WAITING.items())


def _add_operator(stack: RunningStack) -> None:
    engine = open_engine(stack.servers.database_url, application_name="tests")
    with delivery_setup_on(engine, ManualClock()) as delivery:
        delivery.operator(OPERATOR, stack.partner.url, close_delay=CLOSE_DELAY)
    engine.dispose()
