"""Starts and ends everything that the demo needs: servers, partners, processes."""

import os
import secrets
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
from models.platform.clock import DatabaseClock
from models.platform.encryption import Vault, new_secret
from models.settings.errors import PREFIX
from models.settings.settings import read_settings
from models.users import Role, add_user
from producers.simulation.partner import LedgerEntry, Respond, Rule, SimulatedPartner
from worker.cli.up.environment import ROOT, load_key, private_folder, with_ports, with_servers
from worker.cli.up.readiness import ProcessReadiness
from worker.cli.up.runner import RunContext, console_address, pages, supervise
from worker.local.servers import embedded_servers
from worker.local.supervisor.procfile import read_procfile
from worker.local.supervisor.runner import Stop

OPERATORS: Final = ("acme", "betsy")
FAILING: Final = "betsy"  # goes down for a while: its circuit opens, a probe closes it
CONSOLE_USER: Final = "demo"
LINES_KEPT: Final = 200
_PASSWORD_BYTES: Final = 12
_SETTINGS: Final = {
    "GATEWAY_PORT": "0",
    "FLOWER_PORT": "0",
    "CONSOLE_PORT": "0",
    "PARKING_WINDOW": "10s",  # or a ticket with a parked event outlasts the demo
    "RETRY_SCHEDULE": "1s,2s,5s",
}


@dataclass(slots=True)
class ProcessLog:
    """What the processes write, and which of them exited."""

    lines: deque[str] = field(default_factory=lambda: deque(maxlen=LINES_KEPT))
    exits: list[str] = field(default_factory=list)

    def __call__(self, name: str, text: str) -> None:
        """Keep a line; called in the supervisor's thread."""
        self.lines.append(f"{name} | {text}")
        if "starting it again" in text:
            self.exits.append(f"{name} {text}")


@dataclass(frozen=True, slots=True)
class DemoPartner:
    """A simulated partner, and the code of its operator."""

    code: str
    secret: str = field(repr=False)
    partner: SimulatedPartner


@dataclass(frozen=True, slots=True)
class DemoEnvironment:
    """The running demo."""

    engine: Engine
    redis_url: str = field(repr=False)
    readiness: ProcessReadiness
    partners: Sequence[DemoPartner]
    processes: Future[None]
    log: ProcessLog

    @property
    def addresses(self) -> str:
        """The addresses that a browser can open."""
        return pages(self.readiness)

    def received(self) -> list[LedgerEntry]:
        """Return what the partners received."""
        return [
            entry
            for demo_partner in self.partners
            for entry in demo_partner.partner.ledger.entries()
        ]

    def left_on_stream(self) -> int:
        """Return how many events have not been applied yet."""
        with Redis.from_url(self.redis_url) as redis:
            return int(redis.xlen(STREAM))


@contextmanager
def demo_environment(*, stop: Stop) -> Iterator[DemoEnvironment]:
    """Start servers, partners and processes; end all of them, whatever happens."""
    procfile = read_procfile(ROOT / "Procfile")
    log = ProcessLog()
    with (
        embedded_servers() as servers,
        ExitStack() as servers_of_partners,
        private_folder() as private,
        ThreadPoolExecutor(max_workers=1, thread_name_prefix="supervisor") as executor,
    ):
        partners = [_partner(code, servers_of_partners) for code in OPERATORS]
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith(PREFIX)
        }
        environment |= {PREFIX + name: value for name, value in _SETTINGS.items()}
        environment = with_servers(environment, servers, key=load_key(None))
        _replace_environment(with_ports(environment))
        settings = read_settings()
        names = [line.name for line in procfile.processes]
        context = RunContext(private, dict(os.environ), log)
        engine = open_engine(settings.database_url, application_name="slipway demo")
        processes = executor.submit(supervise, procfile, context, stop=stop)
        try:
            yield DemoEnvironment(
                engine=engine,
                redis_url=settings.redis_url,
                readiness=ProcessReadiness(settings, private, names),
                partners=partners,
                processes=processes,
                log=log,
            )
        finally:
            engine.dispose()
            stop.requested = True  # once, so that the processes may finish their work
            processes.exception()  # waits until all have ended; the run has reported an error


def add_partners(
    environment: DemoEnvironment,
    *,
    close_delay: timedelta,
    refused_once: Sequence[str],
    down: tuple[timedelta, timedelta],
) -> None:
    """Add the operators; their partners refuse the first notice of the tickets *refused_once*.

    The partner `FAILING` refuses every notice from *down*[0] until *down*[1] after this moment.
    """
    vault = Vault.with_keys(read_settings().secret_key)
    person = Person("slipway demo", "the demo needs partners")
    for demo_partner in environment.partners:
        new = NewOperator(
            code=demo_partner.code,
            url=demo_partner.partner.url,
            protocol="pam",
            secret=demo_partner.secret,
            close_delay=close_delay,
        )
        with environment.engine.begin() as connection:
            add_operator(connection, new, vault=vault, person=person)
        for ticket_id in refused_once:
            demo_partner.partner.behave(Rule(Respond(503), ticket_id=ticket_id, first=1))
        if demo_partner.code == FAILING:
            now = datetime.now(UTC)
            demo_partner.partner.behave(
                Rule(Respond(503), since=now + down[0], until=now + down[1])
            )


def add_console_user(environment: DemoEnvironment) -> str:
    """Add a user with a password of this run, and return how to sign in to the console."""
    password = secrets.token_urlsafe(_PASSWORD_BYTES)
    person = Person("slipway demo", "the demo shows the console")
    with environment.engine.begin() as connection:
        add_user(
            connection,
            CONSOLE_USER,
            role=Role.OPERATIONS,
            password=password,
            person=person,
            now=DatabaseClock().now(connection),
        )
    address = console_address(environment.readiness)
    return f"console: {address}, sign in as {CONSOLE_USER} with the password {password}"


def _partner(code: str, servers: ExitStack) -> DemoPartner:
    secret = new_secret()
    return DemoPartner(code, secret, servers.enter_context(SimulatedPartner(secret=secret)))


def _replace_environment(environment: dict[str, str]) -> None:
    """Set this process's own settings: those of the person's shell must not change the demo."""
    for name in [name for name in os.environ if name.startswith(PREFIX)]:
        del os.environ[name]
    os.environ.update(environment)
