"""What one partner that hangs on every call costs twenty healthy ones beside it.

    python -m tests.load.slow_partner [--notices 50000] [--deliverers 1] [--rounds 3]

The healthy partners have --notices undelivered in all, and the slow one as many again, all due. It
is measured how long the healthy ones' notices take, alone and beside the slow one's, in turns. Real
servers, real sockets, each deliverer and each partner a process of its own. The exit code is 0 only
when the healthy keep nine tenths of their throughput, by the median of the rounds.
"""

import argparse
import multiprocessing
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from multiprocessing.connection import Connection as Pipe
from statistics import median
from typing import Any

from cryptography.fernet import Fernet
from sqlalchemy import Engine, text

from models.database.engine import open_engine
from models.migrations.runner import upgrade
from models.operators import NewOperator, add_operator
from models.operators.interventions import Person
from models.platform.clock import DatabaseClock
from models.platform.encryption import Vault
from models.settings.settings import Settings
from producers.simulation.partner import Hang, Rule, SimulatedPartner
from tests.support import databases
from tests.support.server_folders import roomy_memory
from worker.delivery.loop import DeliveryLoop
from worker.local.servers import Servers, embedded_servers

HEALTHY = 20
KEPT_MIN = 0.9
SECRET = "12345ABCDE"
RUN = timedelta(seconds=0.5)
STARTING_SECONDS_MAX = 30.0

TICKETS = text("""
    INSERT INTO ticket (operator, ticket_id, status, result, generation, notices, unfinished)
    SELECT o.id, o.code || '-' || k, 'resulted', 'won', 1, 1, 1
      FROM operator o, generate_series(1, CAST(:each AS int)) AS k WHERE o.code LIKE :codes""")
NOTICES = text("""
    INSERT INTO notice (ticket, operator, number, action, generation, body, head, due_at,
                        created_at)
    SELECT t.id, t.operator, 1, 'ticket_win', 1,
           '{"action":"ticket_win","data":{"operator":"' || o.code || '","ticket_id":"'
           || t.ticket_id || '"}}', true, now(), now()
      FROM ticket t JOIN operator o ON o.id = t.operator""")


@dataclass(frozen=True, slots=True)
class Load:
    """How much is due on each side, and how many processes deliver it."""

    notices: int
    deliverers: int


def main() -> int:
    """Measure without and with the slow partner, and print both."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--notices", type=int, default=50_000, help="due on each side")
    parser.add_argument("--deliverers", type=int, default=1, help="processes that deliver")
    parser.add_argument("--rounds", type=int, default=3, help="how often both are measured")
    given = parser.parse_args()
    load = Load(given.notices, given.deliverers)
    kept = []
    with embedded_servers(durable=False, within=roomy_memory()) as servers:
        for _ in range(given.rounds):
            alone = throughput(servers, load, slow=False)
            beside = throughput(servers, load, slow=True)
            kept.append(beside / alone)
            say(f"healthy alone {alone:,.0f}/s, beside the slow {beside:,.0f}/s: {kept[-1]:.1%}")
    say(f"kept: {median(kept):.1%} (at least {KEPT_MIN:.0%} wanted)")
    return 0 if median(kept) >= KEPT_MIN else 1


def say(line: str) -> None:
    """Print at once: the next number takes its time."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def throughput(servers: Servers, load: Load, *, slow: bool) -> float:
    """Deliver the healthy partners' notices; how many a second."""
    name = "beside" if slow else "alone"
    url = databases.create(servers.database_url, name)
    upgrade(url)
    key = Fernet.generate_key().decode()
    settings = Settings.model_validate(
        {
            "database_url": url,
            "redis_url": servers.redis_url,
            "secret_key": key,
            "partner_networks": "127.0.0.0/8",
        }
    )
    with partner(hangs=False) as healthy_url, partner(hangs=True) as slow_url:
        engine = open_engine(url, application_name="load", pool_size=1)
        for number in range(HEALTHY):
            add(engine, settings, f"healthy-{number}", healthy_url)
        add(engine, settings, "slow", slow_url)
        add_due(engine, "healthy-%", load.notices // HEALTHY)
        if slow:
            add_due(engine, "slow", load.notices)
        with engine.begin() as connection:
            connection.execute(NOTICES)
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("VACUUM ANALYZE"))
        engine.dispose()
        reached = deliver(settings, load)
    databases.drop(servers.database_url, name)
    return reached


def deliver(settings: Settings, load: Load) -> float:
    """Let the deliverers deliver all that can be delivered, and take the time."""
    wanted = load.notices // HEALTHY * HEALTHY
    reports: Any = multiprocessing.Queue()
    deliverers = [
        multiprocessing.Process(target=deliver_forever, args=(settings, reports), daemon=True)
        for _ in range(load.deliverers)
    ]
    for process in deliverers:
        process.start()
    for _ in deliverers:
        reports.get(timeout=STARTING_SECONDS_MAX)  # it is ready
    before = time.perf_counter()
    delivered = 0
    while delivered < wanted:
        delivered += reports.get(timeout=STARTING_SECONDS_MAX)
    took = time.perf_counter() - before
    for process in deliverers:
        process.kill()
        process.join()
    return wanted / took


def deliver_forever(settings: Settings, reports: Any) -> None:  # noqa: ANN401 - multiprocessing's queue
    """Deliver until killed; report 0 at the start, then how many were delivered."""
    engine = open_engine(settings.database_url, application_name="deliverer", pool_size=2)
    made = DeliveryLoop(
        transaction=engine.begin,
        clock=DatabaseClock(),
        settings=settings,
        vault=Vault.with_keys(settings.secret_key),
    )
    reports.put(0)
    while True:
        run = made.run(lasting=RUN)
        if run is not None and "delivered" in run.counts:
            reports.put(run.counts["delivered"])


def add(engine: Engine, settings: Settings, code: str, url: str) -> None:
    """Add a partner."""
    new = NewOperator(code=code, url=url, protocol="pam", secret=SECRET)
    vault = Vault.with_keys(settings.secret_key)
    with engine.begin() as connection:
        add_operator(connection, new, vault=vault, person=Person("load", "measuring"))


def add_due(engine: Engine, codes: str, each: int) -> None:
    """Make tickets whose win is due."""
    with engine.begin() as connection:
        connection.execute(TICKETS, {"codes": codes, "each": each})


@contextmanager
def partner(*, hangs: bool) -> Iterator[str]:
    """Run a partner in a process of its own; its address."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.Process(target=live, args=(theirs, hangs), daemon=True)
    process.start()
    try:
        assert ours.poll(STARTING_SECONDS_MAX), "the partner did not start"
        yield ours.recv()
    finally:
        process.kill()
        process.join()


def live(pipe: "Pipe[str, str]", hangs: bool) -> None:  # noqa: FBT001 - a process' arguments
    """Be a partner until killed."""
    with SimulatedPartner(secret=SECRET, entries_max=1000) as made:
        if hangs:
            made.behave(Rule(Hang()))
        pipe.send(made.url)
        pipe.poll(None)


if __name__ == "__main__":
    sys.exit(main())
