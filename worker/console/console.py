"""What the pages share: connections, threads, limits and templates, opened once per process."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, Final, Self, TypeVar

from fastapi import Depends, Request
from sqlalchemy import Connection, Engine

from models.database.engine import open_engine
from models.migrations.readiness import database_fault
from models.platform.blocking_threads import BlockingThreads
from models.platform.clock import Clock, DatabaseClock
from models.platform.encryption import Vault
from models.settings.settings import Settings
from models.users import SessionLimits
from worker.console.limits import ConsoleLimits

PROBE_CONNECTIONS: Final = 1  # that `/readyz` may have at most

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Console:
    """The resources of one process. Everything connects on first use."""

    settings: Settings
    limits: ConsoleLimits
    engine: Engine
    threads: BlockingThreads
    sign_ins: BlockingThreads
    calls: BlockingThreads
    probe_engine: Engine
    sessions: SessionLimits
    vault: Vault = field(repr=False)
    clock: Clock = field(default_factory=DatabaseClock)

    @classmethod
    def prepare(cls, settings: Settings, limits: ConsoleLimits) -> Self:
        """Build everything without connecting to a server."""
        return cls(
            settings=settings,
            limits=limits,
            engine=_engine(settings, limits, "slipway console", limits.threads),
            threads=BlockingThreads(limits.threads, patience=limits.thread_wait),
            sign_ins=BlockingThreads(limits.sign_ins, patience=limits.thread_wait),
            calls=BlockingThreads(limits.pings, patience=limits.ping_wait),
            probe_engine=_engine(settings, limits, "slipway console probe", PROBE_CONNECTIONS),
            sessions=SessionLimits(
                longest=settings.console_session_max, idle=settings.console_session_idle
            ),
            vault=Vault.with_keys(settings.secret_key),
        )

    async def read(self, work: Callable[[Connection], Result]) -> Result:
        """Run *work* in a thread, in a transaction that cannot write."""

        def reading() -> Result:
            with self.engine.connect() as connection:
                return work(connection.execution_options(postgresql_readonly=True))

        return await self.threads.run(reading)

    async def change(self, work: Callable[[Connection], Result]) -> Result:
        """Run *work* in a thread, in a transaction that is committed when it returns.

        If it raises, nothing has happened.
        """

        def changing() -> Result:
            with self.engine.begin() as connection:
                return work(connection)

        return await self.threads.run(changing)

    async def call(self, work: Callable[[], Result]) -> Result:
        """Run *work*, a call to a partner, in one of few threads, and with no connection."""
        return await self.calls.run(work)

    async def rehearse(self, work: Callable[[Connection], Result]) -> Result:
        """Run *work* in a thread and roll it back: its result is what would happen now."""

        def rehearsing() -> Result:
            with self.engine.connect() as connection:
                try:
                    return work(connection)
                finally:
                    connection.rollback()

        return await self.threads.run(rehearsing)

    def fault(self) -> str | None:
        """Describe why this process cannot work, without secrets; None if it can."""
        return database_fault(self.probe_engine)

    def close(self) -> None:
        """Close the connections."""
        self.engine.dispose()
        self.probe_engine.dispose()


def _engine(settings: Settings, limits: ConsoleLimits, name: str, connections: int) -> Engine:
    return open_engine(
        settings.database_url,
        application_name=name,
        pool_size=connections,
        statement_timeout=limits.statement_time,
        lock_timeout=limits.lock_wait,
    )


def console_of(request: Request) -> Console:
    """Return the console that serves *request*."""
    console = request.app.state.console
    assert isinstance(console, Console), "the application was built with one"
    return console


TheConsole = Annotated[Console, Depends(console_of)]
