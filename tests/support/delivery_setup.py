"""A database with operators and tickets in it, and delivery loops that serve them."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import count
from typing import Any

import psycopg
from cryptography.fernet import Fernet
from pydantic import SecretStr
from pydantic_core import to_json
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import OperationalError

from models.database.engine import Transaction
from models.events.event import Entry
from models.intake.apply import apply_entries
from models.operators import NewOperator, add_operator
from models.operators.interventions import Person
from models.outbox.attempts import ATTEMPTS
from models.platform.encryption import Vault
from models.settings.settings import Settings
from producers.simulation.partner import Respond, SimulatedPartner
from tests.support.manual_clock import ManualClock
from worker.delivery.loop import DeliveryLoop, DeliveryRun

KEY = Fernet.generate_key().decode()
SECRET = "12345ABCDE"
RUN_MAX = timedelta(seconds=60)  # only a run that should have ended before lasts so long
LATE = Respond(seconds=RUN_MAX.total_seconds())  # until the partner is told to answer now


@dataclass(slots=True)
class DeliverySetup:
    """What a delivery test acts on."""

    engine: Engine
    clock: ManualClock
    closing: ExitStack
    vault: Vault = field(default_factory=lambda: Vault.with_keys([SecretStr(KEY)]))
    entries: Iterator[int] = field(default_factory=lambda: count(1))

    def operator(self, code: str, url: str, **terms: object) -> int:
        """Add an operator whose partner listens at *url*; PAM, unless *terms* say otherwise."""
        given: dict[str, Any] = {"protocol": "pam", "secret": SECRET}
        new = NewOperator(code=code, url=url, **(given | terms))
        with self.engine.begin() as connection:
            return add_operator(
                connection, new, vault=self.vault, person=Person("test", "needed")
            ).id

    def publish(self, operator: str, *events: tuple[str, str], **data: object) -> None:
        """Apply events (action, ticket_id) in this order; each is a millisecond after the other."""
        entries = []
        for action, ticket_id in events:
            number = next(self.entries)
            event = {
                "event_id": f"event-{number}",
                "action": action,
                "data": {"operator": operator, "ticket_id": ticket_id, **data},
            }
            at = int(self.clock.now().timestamp() * 1000) + number
            entries.append(Entry(f"{at}-0", {b"event": to_json(event)}))
        applied = apply_entries(
            self.engine.begin, entries, clock=self.clock, parking_window=timedelta(minutes=15)
        )
        ends = {outcome for _, outcome in applied.outcomes}
        assert ends == {"applied"}, f"the test's own events should fit: {applied}"

    def delivery_loop(
        self,
        *,
        transaction: Transaction | None = None,
        monotonic: Callable[[], float] = time.monotonic,
        **settings: object,
    ) -> DeliveryLoop:
        """Build a delivery loop that is closed when the test is over."""
        loop = DeliveryLoop(
            transaction=transaction or self.engine.begin,
            clock=self.clock,
            settings=delivery_settings(**settings),
            vault=self.vault,
            monotonic=monotonic,
            chance=lambda: 0.0,
        )
        self.closing.callback(loop.close)
        return loop

    def deliver(self) -> DeliveryRun:
        """Let a delivery loop deliver until nothing is due."""
        run = self.delivery_loop().run(lasting=RUN_MAX)
        assert run is not None
        assert not run.more, f"not done within {RUN_MAX}: {run}"
        return run

    def rows(self, query: str, **values: object) -> list[Any]:
        """Ask the database."""
        with self.engine.begin() as connection:
            return list(connection.execute(text(query), values))

    def attempts(self, columns: str = "*", which: str = "true") -> list[Any]:
        """Return the attempts of each notice in their order, wherever they are stored."""
        return self.rows(
            f"SELECT {columns} FROM {ATTEMPTS} a WHERE {which} ORDER BY notice, claim"  # noqa: S608 - words of a test
        )

    def change(self, statement: str, **values: object) -> None:
        """Change the database behind everyone's back."""
        with self.engine.begin() as connection:
            connection.execute(text(statement), values)


@contextmanager
def delivery_setup_on(engine: Engine, clock: ManualClock) -> Iterator[DeliverySetup]:
    """Set up a database for deliveries; its delivery loops are closed at the end."""
    with ExitStack() as closing:
        yield DeliverySetup(engine, clock, closing)


def delivery_settings(**settings: object) -> Settings:
    """Settings for partners on this machine."""
    given: dict[str, Any] = {
        "database_url": "postgresql://unused@127.0.0.1/unused",
        "redis_url": "redis://127.0.0.1/0",
        "secret_key": KEY,
        "partner_networks": "127.0.0.0/8",
    }
    return Settings(**(given | settings))


@dataclass(slots=True)
class Trouble:
    """Transactions that fail on request."""

    begin: Transaction
    error: Exception
    refuse: Callable[[], bool] = lambda: False
    at_begin: bool = False  # no statement of it is run; otherwise its commit is lost
    refused: int = 0
    open: int = 0

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """Open a transaction, unless the test wants it to fail."""
        with self.begin() as connection:
            self.open += 1
            try:
                if self.at_begin:
                    self._refuse()
                yield connection
                if not self.at_begin:
                    self._refuse()
            finally:
                self.open -= 1

    def _refuse(self) -> None:
        if self.refuse():
            self.refused += 1
            raise self.error


def lost_connection() -> OperationalError:
    """What SQLAlchemy raises when the server went away."""
    return OperationalError("COMMIT", {}, psycopg.OperationalError("the server went away"))


def received(partner: SimulatedPartner) -> list[tuple[str | None, str | None]]:
    """The actions and tickets of what a partner received, in order."""
    return [(entry.action, entry.ticket_id) for entry in partner.ledger.entries()]
