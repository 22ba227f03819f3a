"""The smallest set of processes under load, on private servers that may be broken."""

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Final

from pydantic import SecretStr

from models.database.engine import open_engine
from models.migrations.runner import upgrade
from models.operators import NewOperator, add_operator
from models.operators.interventions import Person
from models.platform.encryption import Vault, new_secret
from producers.publisher import Publisher
from producers.simulation.backends import PublishedSoFar, play
from producers.simulation.partner import SimulatedPartner
from producers.simulation.stories import StoryPace, stories
from tests.support.celery_process import environment
from tests.support.procfile_processes import Running
from tests.support.wait import eventually
from worker.local.servers import Servers

OPERATOR: Final = "trial"
ROLES: Final = ("intake", "deliver", "sweep", "beat")
# Longer than what a fault and its recovery take: a rollback that is refused meanwhile comes late.
CLOSE_DELAY: Final = timedelta(seconds=20)
LIVES_PER_SECOND: Final = 30.0
# Short lives: many steps of a ticket fall into the fault, and many before and after it.
PACE: Final = StoryPace(
    result_seconds=(0.05, 0.3), rollback_seconds=(0.05, 0.2), next_result_seconds=(0.05, 0.15)
)
LOAD_SECONDS_MAX: Final = 90.0
SETTINGS: Final = {
    "partner_networks": "127.0.0.0/8",
    "partner_timeout": "1s",
    "retry_schedule": "1s,2s,3s",
    "claim_idle": "5s",
    "sweep_interval": "1s",
}


@dataclass(slots=True)
class Trial:
    """Running processes, their servers, and a partner that keeps a ledger."""

    servers: Servers
    partner: SimulatedPartner
    environment: dict[str, str] = field(repr=False)  # of the processes; it holds secrets
    folder: Path  # of probes and logs
    processes: tuple[Running, ...] = ()
    _seeds: Iterator[int] = field(default_factory=lambda: count(1))

    @property
    def settings(self) -> dict[str, str]:
        """The settings of the processes, by their plain names."""
        return {
            name.removeprefix("SLIPWAY_").lower(): value
            for name, value in self.environment.items()
            if name.startswith("SLIPWAY_")
        }

    def everybody_lives(self) -> bool:
        """Raise, with what it wrote last, if a process has ended."""
        for process in self.processes:
            process.must_live()
        return True

    def logged(self) -> str:
        """All that the processes wrote so far, one after the other."""
        logs = (self.folder / f"{process.node}.log" for process in self.processes)
        return "".join(log.read_text(encoding="utf-8", errors="replace") for log in logs)

    @contextmanager
    def load(self, *, seconds: float) -> Iterator[PublishedSoFar]:
        """Simulated backends beside the block, for so long; they publish again what is refused.

        The account is complete when the block is left: everything is on the stream, or was.
        """
        lives = stories(
            int(seconds * LIVES_PER_SECOND),
            operators=[OPERATOR],
            seed=next(self._seeds),
            lives_per_second=LIVES_PER_SECOND,
            pace=PACE,
        )
        account = PublishedSoFar()
        publisher = Publisher.at(self.servers.redis_url)

        def publish() -> None:
            play(lives, publisher, wait=threading.Event().wait, on_published=note)

        def note(so_far: PublishedSoFar) -> None:
            account.events, account.unconfirmed = so_far.events, so_far.unconfirmed

        backends = threading.Thread(target=publish, name="backends", daemon=True)
        backends.start()
        try:
            yield account
        finally:
            backends.join(LOAD_SECONDS_MAX)
            publisher.close()
        assert not backends.is_alive(), "the backends did not get rid of their events"
        assert account.unconfirmed == []


@contextmanager
def one_of_each(servers: Servers, folder: Path) -> Iterator[Trial]:
    """Run one process of each kind on empty *servers*, killed at the end if they are still there.

    *folder* is theirs, for probes and logs.
    """
    upgrade(servers.database_url)
    secret = new_secret()
    env = environment(
        folder, database_url=servers.database_url, redis_url=servers.redis_url, **SETTINGS
    )
    with SimulatedPartner(secret=secret) as partner, ExitStack() as endings:
        _add_operator(servers.database_url, partner.url, secret, key=env["SLIPWAY_SECRET_KEY"])
        trial = Trial(servers, partner, env, folder)
        for role in ROLES:
            process = Running(role, env=env, folder=folder)
            endings.callback(process.kill)
            trial.processes += (process,)
        eventually(lambda: trial.everybody_lives() and _ready(folder))
        yield trial


def _ready(folder: Path) -> bool:
    """The probes say that every process works; beat has none but that it is alive."""
    return len([*folder.glob("slipway-*/*.ready")]) == len(ROLES) - 1


def _add_operator(database_url: str, partner_url: str, secret: str, *, key: str) -> None:
    engine = open_engine(database_url, application_name="trial")
    operator = NewOperator(
        code=OPERATOR, url=partner_url, protocol="pam", close_delay=CLOSE_DELAY, secret=secret
    )
    with engine.begin() as connection:
        add_operator(
            connection,
            operator,
            vault=Vault.with_keys([SecretStr(key)]),
            person=Person("tests", "a trial"),
        )
    engine.dispose()
