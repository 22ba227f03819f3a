"""What each way to set up Redis loses in which fault, by all processes on real servers.

    python -m tests.faults.topologies                    # all of them: a quarter of an hour
    python -m tests.faults.topologies --only Sentinel    # those with the word in their name

Needs Debian's redis-server, redis-sentinel and haproxy. Publishers, some of which connect for each
call, note what was acknowledged; that is compared with the event log and with what the partner
received. Prints a table in Markdown; the exit code is 1 if one that we recommend lost an event
where it promises to lose none.
"""

import argparse
import logging
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final

from sqlalchemy import Engine, text

from models.database.engine import open_engine
from models.events.stream_contract import STREAM
from models.migrations.runner import upgrade
from producers.publisher import Publisher
from producers.simulation.partner import SimulatedPartner
from tests.faults import topology_faults as faults
from tests.support.celery_process import environment
from tests.support.delivery_setup import KEY, SECRET, delivery_setup_on
from tests.support.manual_clock import ManualClock
from tests.support.procfile_processes import Running
from tests.support.publishing_load import Load
from tests.support.redis_haproxy import SHIPPED, haproxy_before
from tests.support.sentinels import AS_THEY_ARE, NOTICED_MS, PASSWORD, USER, Watched, sentinels
from tests.support.server_folders import passable_folder
from tests.support.wait import eventually
from worker.local.servers import embedded_servers
from worker.local.servers.ports import LOOPBACK

PROCESSES: Final = ("intake", "deliver", "sweep", "beat")
SETTINGS: Final = {"partner_networks": "127.0.0.0/8", "claim_idle": "5s", "sweep_interval": "1s"}
KEPT, RECONNECTING = 2, 4  # publishers that keep their connection, and that connect for each call
EVERY_SECONDS: Final = 0.1
LEDGER_MAX: Final = 1_000_000
LONG: Final = timedelta(minutes=5)
ROLE_CHECK: Final = Path(__file__).with_name("role_check.cfg")
APPLIED: Final = text("""
    SELECT t.ticket_id FROM ticket t JOIN ticket_event e ON e.ticket = t.id
     WHERE e.outcome = 'applied'""")
# In these a primary may end with what no replica has: asynchronous replication promises no more.
MAY_LOSE: Final = {faults.PLANNED, faults.KILLED, faults.FROZEN, faults.THAWED}


@dataclass(frozen=True, slots=True)
class Topology:
    """One way to set Redis up. *file*: HAProxy's; without one, clients ask the sentinels."""

    name: str
    servers: int
    replicas_to_write: int
    file: Path | None
    recommended: bool = False

    @contextmanager
    def running(self, folder: Path) -> Iterator[tuple[Watched, str]]:
        """Run it; give the servers, and the URL for clients."""
        with (
            sentinels(
                folder,
                servers=self.servers,
                replicas_to_write=self.replicas_to_write,
                noticed_ms=NOTICED_MS,
                periods=AS_THEY_ARE,
            ) as watched,
            self._way_to(watched) as url,
        ):
            yield watched, url

    def _way_to(self, watched: Watched) -> AbstractContextManager[str]:
        if self.file is not None:
            return haproxy_before(watched, file=self.file)
        alone = f"redis://{USER}:{PASSWORD}@{LOOPBACK}:{watched.servers[0]}/0"
        return nullcontext(alone if self.servers == 1 else watched.url())


TOPOLOGIES: Final = (
    Topology("one server", 1, 0, None, recommended=True),
    Topology("two servers, HAProxy with `role:master`", 2, 0, ROLE_CHECK),
    Topology(
        "two servers, HAProxy with `role:master`, `min-replicas-to-write 1`", 2, 1, ROLE_CHECK
    ),
    Topology(
        "three servers, HAProxy with `role:master`, `min-replicas-to-write 1`", 3, 1, ROLE_CHECK
    ),
    Topology("two servers, HAProxy with `redis/haproxy.cfg`", 2, 0, SHIPPED),
    Topology(
        "three servers, HAProxy with `redis/haproxy.cfg`, `min-replicas-to-write 1`",
        3,
        1,
        SHIPPED,
        recommended=True,
    ),
    Topology(
        "three servers, Sentinel in the URL, `min-replicas-to-write 1`",
        3,
        1,
        None,
        recommended=True,
    ),
)


@dataclass(frozen=True, slots=True)
class Row:
    """What one fault did to one topology."""

    topology: Topology
    phase: str
    acknowledged: int
    lost: int
    undelivered: int  # applied, and not received by the partner
    waited: float  # the longest time a publisher was without an acknowledgement, in seconds


def main() -> int:
    """Run them one after the other, and print a row for each fault."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", default="", help="run topologies with this in their name")
    given = parser.parse_args()
    _say("| topology | fault | acknowledged | lost | not delivered | longest wait |")
    _say("|---|---|---|---|---|---|")
    logging.getLogger("producers.publisher").setLevel(logging.ERROR)  # each refused try
    rows = []
    for topology in TOPOLOGIES:
        if given.only in topology.name:
            for row in perform(topology):
                rows.append(row)
                _say(in_words(row))
    return 1 if any(broken(row) for row in rows) else 0


def in_words(row: Row) -> str:
    """Format it as a line of the table."""
    fault, counts = faults.IN_WORDS[row.phase], (row.acknowledged, row.lost, row.undelivered)
    numbers = " | ".join(f"{count:,}" for count in counts)
    return f"| {row.topology.name} | {fault} | {numbers} | {row.waited:.1f} s |"


def broken(row: Row) -> bool:
    """Whether it lost what it should not."""
    promised = row.topology.recommended and (row.topology.servers == 1 or row.phase not in MAY_LOSE)
    return row.undelivered > 0 or (promised and row.lost > 0)


def perform(topology: Topology) -> list[Row]:
    """Run all processes on one topology through all faults; a row for each."""
    with ExitStack() as ending:
        folder = ending.enter_context(passable_folder())
        base = ending.enter_context(embedded_servers(durable=False, within=folder))
        watched, url = ending.enter_context(topology.running(_made(folder / "redis")))
        upgrade(base.database_url)
        engine = open_engine(base.database_url, application_name="topologies")
        ending.callback(engine.dispose)
        partner = ending.enter_context(SimulatedPartner(secret=SECRET, entries_max=LEDGER_MAX))
        with delivery_setup_on(engine, ManualClock()) as setup:
            setup.operator("acme", partner.url)
        env = environment(
            folder, database_url=base.database_url, redis_url=url, secret_key=KEY, **SETTINGS
        )
        for name in PROCESSES:
            process = Running(name, env=env, folder=folder)
            ending.callback(process.kill)
        load = Load(
            lambda: Publisher.at(url),
            publishers=KEPT,
            reconnecting=RECONNECTING,
            every=EVERY_SECONDS,
            phase="before",
        )
        with load:
            load.goes_on()
            eventually(lambda: len(partner.ledger.entries()) > 0)
            for act in faults.ACTS:
                act(watched, load)
        eventually(lambda: _is_done(watched, engine, partner), within=LONG)
        return list(rows_of(topology, load, applied(engine), delivered(partner)))


def applied(engine: Engine) -> set[str]:
    """Tickets whose event is in the log."""
    with engine.begin() as connection:
        return set(connection.execute(APPLIED).scalars())


def delivered(partner: SimulatedPartner) -> set[str]:
    """Tickets of which the partner has a notice."""
    return {str(entry.ticket_id) for entry in partner.ledger.entries()}


def rows_of(
    topology: Topology, load: Load, applied: set[str], delivered: set[str]
) -> Iterator[Row]:
    """Compare the two sides, for each phase of the load."""
    all_of_them = load.acknowledged
    for phase in faults.IN_WORDS:
        acknowledged = {ticket for ticket in all_of_them if ticket.startswith(f"{phase}-")}
        yield Row(
            topology,
            phase,
            acknowledged=len(acknowledged),
            lost=len(acknowledged - applied),
            undelivered=len((acknowledged & applied) - delivered),
            waited=max(account.waited.get(phase, 0.0) for account in load.accounts),
        )


def _is_done(watched: Watched, engine: Engine, partner: SimulatedPartner) -> bool:
    """Whether the stream is empty and the partner has a notice of all that was applied."""
    with watched.client(watched.named(), password=PASSWORD) as primary:
        left = primary.xlen(STREAM)
    return left == 0 and applied(engine) <= delivered(partner)


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
