"""Everything the demo needs, started and ended: servers, partners, processes."""

import os
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

from redis import Redis
from sqlalchemy import Engine

from models.database.engine import open_engine
from models.events.stream_contract import STREAM
from models.operators import NewOperator, add_operator
from models.operators.interventions import Person
from models.platform.encryption import Vault, new_secret
from models.settings.errors import PREFIX
from models.settings.settings import read_settings
from producers.simulation.partner import LedgerEntry, Respond, Rule, SimulatedPartner
from worker.cli.up import environment as surroundings
from worker.cli.up.readiness import ProcessReadiness
from worker.cli.up.runner import RunContext, pages, supervise
from worker.local.servers import embedded_servers
from worker.local.supervisor.procfile import read_procfile
from worker.local.supervisor.runner import Stop

OPERATORS: Final = ("acme", "betsy")
FAILING: Final = "betsy"  # goes down for a while: its circuit opens, a probe closes it
LINES_KEPT: Final = 200
_SETTINGS: Final = {
    "GATEWAY_PORT": "0",
    "FLOWER_PORT": "0",
    "PARKING_WINDOW": "10s",  # or a ticket with a parked event outlasts the demo
    "RETRY_SCHEDULE": "1s,2s,5s",
}


@dataclass(slots=True)
class ProcessLog:
    """What the processes write, and how often one of them died."""

    lines: deque[str] = field(default_factory=lambda: deque(maxlen=LINES_KEPT))
    deaths: list[str] = field(default_factory=list)

    def __call__(self, name: str, text: str) -> None:
        """Keep a line; called in the supervisor's thread."""
        self.lines.append(f"{name} | {text}")
        if "starting it again" in text:
            self.deaths.append(f"{name} {text}")


@dataclass(frozen=True, slots=True)
class DemoPartner:
    """One of the partners, and the operator it stands for."""

    code: str
    secret: str = field(repr=False)
    partner: SimulatedPartner


@dataclass(frozen=True, slots=True)
class DemoEnvironment:
    """The running demo."""

    engine: Engine
    redis_url: str = field(repr=False)
    readiness: ProcessReadiness
    guests: Sequence[DemoPartner]
    running: Future[None]
    backstage: ProcessLog

    @property
    def where(self) -> str:
        """The addresses, for whoever wants to look around."""
        return pages(self.readiness)

    def received(self) -> list[LedgerEntry]:
        """What the partners received."""
        return [entry for guest in self.guests for entry in guest.partner.ledger.entries()]

    def left_on_stream(self) -> int:
        """How many events were not applied yet."""
        with Redis.from_url(self.redis_url) as redis:
            return int(redis.xlen(STREAM))


@contextmanager
def stage(*, stop: Stop) -> Iterator[DemoEnvironment]:
    """Start servers, partners and processes; end all of them, whatever happens."""
    procfile = read_procfile(surroundings.ROOT / "Procfile")
    backstage = ProcessLog()
    with (
        embedded_servers() as servers,
        ExitStack() as doors,
        surroundings.private_folder() as private,
        ThreadPoolExecutor(max_workers=1, thread_name_prefix="supervisor") as executor,
    ):
        guests = [_guest(code, doors) for code in OPERATORS]
        ours = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
        ours |= {PREFIX + name: value for name, value in _SETTINGS.items()}
        key = surroundings.kept_key(None)
        _replace_environment(
            surroundings.with_ports(surroundings.with_servers(ours, servers, key=key))
        )
        settings = read_settings()
        names = [line.name for line in procfile.processes]
        company = RunContext(private, dict(os.environ), backstage)
        engine = open_engine(settings.database_url, application_name="slipway demo")
        running = executor.submit(supervise, procfile, company, stop=stop)
        try:
            yield DemoEnvironment(
                engine=engine,
                redis_url=settings.redis_url,
                readiness=ProcessReadiness(settings, private, names),
                guests=guests,
                running=running,
                backstage=backstage,
            )
        finally:
            engine.dispose()
            stop.asked = True  # once: the processes may finish what they have in hand
            running.exception()  # waits until all have ended; whoever watches has seen the error


def hire(
    stage: DemoEnvironment,
    *,
    close_delay: timedelta,
    refused_once: Sequence[str],
    down: tuple[timedelta, timedelta],
) -> None:
    """Add the operators; their partners refuse the first notice of some tickets once.

    The partner `FAILING` refuses all from *down*[0] until *down*[1] after this moment.
    """
    vault = Vault.with_keys(read_settings().secret_key)
    person = Person("slipway demo", "the demo needs partners")
    for guest in stage.guests:
        new = NewOperator(
            code=guest.code,
            url=guest.partner.url,
            protocol="pam",
            secret=guest.secret,
            close_delay=close_delay,
        )
        with stage.engine.begin() as connection:
            add_operator(connection, new, vault=vault, person=person)
        for ticket_id in refused_once:
            guest.partner.behave(Rule(Respond(503), ticket_id=ticket_id, first=1))
        if guest.code == FAILING:
            now = datetime.now(UTC)
            guest.partner.behave(Rule(Respond(503), since=now + down[0], until=now + down[1]))


def _guest(code: str, doors: ExitStack) -> DemoPartner:
    secret = new_secret()
    return DemoPartner(code, secret, doors.enter_context(SimulatedPartner(secret=secret)))


def _replace_environment(environment: dict[str, str]) -> None:
    """The demo is all this process does: no setting of the person's shell reaches it."""
    for name in [name for name in os.environ if name.startswith(PREFIX)]:
        del os.environ[name]
    os.environ.update(environment)
