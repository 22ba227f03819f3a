"""What the routes share: connections, threads and limits, opened once per process."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Annotated, Final, Self, TypeVar

import anyio
from fastapi import Depends, Request
from sqlalchemy import Connection, Engine

from models.database.engine import open_engine
from models.migrations.readiness import database_fault
from models.platform.blocking_threads import BlockingThreads
from models.platform.clock import Clock, DatabaseClock
from models.platform.encryption import Vault
from models.publishers.keys import KeyHolder
from models.settings.settings import Settings
from models.tracing.tracer import open_tracer
from producers.gateway.concurrency import CallerConcurrency, callers_of
from producers.gateway.errors import BUSY_SECONDS, retry_later
from producers.gateway.limits import Limits
from producers.gateway.stream import GatewayStream

PROBE_CONNECTIONS: Final = 2  # that `/readyz` may have at most
_WITH_ALL_KEYS: Final = ", with all keys of an operator"

Result = TypeVar("Result")


class GatewayReadiness:
    """Checks PostgreSQL and Redis, within seconds."""

    def __init__(self, *, engine: Engine, stream: GatewayStream) -> None:
        """Prepare; the first `faults` connects."""
        self._engine = engine
        self._stream = stream

    def faults(self) -> list[str]:
        """Describe what is not ready, without secrets. Returns an empty list if all is ready."""
        stream_fault = self._stream.fault()
        return [fault for fault in (database_fault(self._engine), stream_fault) if fault]

    def close(self) -> None:
        """Close the connections."""
        self._engine.dispose()


@dataclass(frozen=True, slots=True)
class Gateway:
    """The resources of one process. Everything connects on first use."""

    settings: Settings
    limits: Limits
    engine: Engine
    stream: GatewayStream
    readiness: GatewayReadiness
    threads: BlockingThreads
    operators: CallerConcurrency
    holders: CallerConcurrency
    uploads: anyio.Semaphore
    uploads_of_caller: CallerConcurrency
    bodies_of_operator: CallerConcurrency
    slow_bodies: anyio.Semaphore
    slow_bodies_of_operator: CallerConcurrency
    vault: Vault = field(repr=False)
    clock: Clock = field(default_factory=DatabaseClock)

    @classmethod
    def prepare(cls, settings: Settings, limits: Limits) -> Self:
        """Build everything without connecting to a server."""
        stream = GatewayStream.at(settings, tracer=open_tracer("gateway"))
        probes = _engine(settings, limits, "slipway gateway probe", PROBE_CONNECTIONS)
        return cls(
            settings=settings,
            limits=limits,
            engine=_engine(settings, limits, "slipway gateway", limits.threads),
            stream=stream,
            readiness=GatewayReadiness(engine=probes, stream=stream),
            threads=BlockingThreads(limits.threads, patience=limits.thread_wait),
            operators=CallerConcurrency(limits.requests_of_caller),
            holders=CallerConcurrency(limits.requests_of_caller, counting=_WITH_ALL_KEYS),
            uploads=anyio.Semaphore(limits.uploads),
            uploads_of_caller=CallerConcurrency(limits.uploads_of_caller, counting=_WITH_ALL_KEYS),
            bodies_of_operator=CallerConcurrency(limits.bodies_of_operator),
            slow_bodies=anyio.Semaphore(limits.slow_bodies),
            slow_bodies_of_operator=CallerConcurrency(limits.slow_bodies_of_operator),
            vault=Vault.with_keys(settings.secret_key),
        )

    async def in_transaction(self, work: Callable[[Connection], Result]) -> Result:
        """Run *work* in a thread, in a transaction that is committed when it returns."""

        def in_transaction() -> Result:
            with self.engine.begin() as connection:
                return work(connection)

        return await self.threads.run(in_transaction)

    @contextmanager
    def upload(self, holder: KeyHolder) -> Iterator[None]:
        """Hold a slot for a body of many events. Raises RequestRefused (429, 503)."""
        message = "too many concurrent uploads, retry later; nothing was read"
        with self.uploads_of_caller.admit(callers_of(holder)), _slot(self.uploads, message):
            yield

    @contextmanager
    def slow_body(self, operator: str) -> Iterator[None]:
        """Hold a slot for a slow body that names *operator*. Raises RequestRefused (429, 503)."""
        message = "too many slow bodies; send the body without pauses"
        with self.slow_bodies_of_operator.admit([operator]), _slot(self.slow_bodies, message):
            yield

    def close(self) -> None:
        """Close the connections."""
        self.engine.dispose()
        self.readiness.close()
        self.stream.close()


@contextmanager
def _slot(slots: anyio.Semaphore, message: str) -> Iterator[None]:
    try:
        slots.acquire_nowait()
    except anyio.WouldBlock:
        raise retry_later(message, seconds=BUSY_SECONDS) from None
    try:
        yield
    finally:
        slots.release()


def _engine(settings: Settings, limits: Limits, name: str, connections: int) -> Engine:
    return open_engine(
        settings.database_url,
        application_name=name,
        pool_size=connections,
        statement_timeout=limits.statement_time,
        lock_timeout=limits.lock_wait,
    )


def _gateway_of(request: Request) -> Gateway:
    gateway = request.app.state.gateway
    assert isinstance(gateway, Gateway), "the application was built with one"
    return gateway


TheGateway = Annotated[Gateway, Depends(_gateway_of)]
