"""Slipway as a whole beside two simulated partners, with users for its console.

`acme` refuses the notices of some tickets for good, so they are dead; `betsy` can go down.
"""

import json
import re
import secrets
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from pydantic import SecretStr
from sqlalchemy import Engine, text

from models.database.engine import open_engine
from models.operators import NewOperator, add_operator
from models.operators.interventions import Person
from models.platform.encryption import Vault
from models.users import Role
from producers.simulation.partner import LedgerEntry, Respond, Rule, SimulatedPartner
from tests.support.console_app import add_console_users
from tests.support.running_slipway import RunningSlipway, running_slipway
from tests.support.wait import eventually

ACME, BETSY = "acme", "betsy"
PLAYER = "player-4711"
SUSPENDED = "market suspended"
SETTLING_MAX = timedelta(seconds=120)
STANDING = text("""
    SELECT on_hold_at IS NOT NULL AS on_hold FROM ticket WHERE ticket_id = :ticket_id""")
DEAD = text("SELECT count(*) FROM notice WHERE ended = 'dead'")


@dataclass(frozen=True)
class ConsoleSystem:
    """What is running, and how to sign in."""

    slipway: RunningSlipway
    engine: Engine
    partners: dict[str, SimulatedPartner]
    passwords: dict[Role, str] = field(repr=False)
    ending: ExitStack = field(repr=False)

    @property
    def url(self) -> str:
        """The console's address, from the line that says that all are ready."""
        match = re.search(r"console (http://[^,\s]+)", self.slipway.screen.read_text())
        assert match, "it is not ready"
        return match[1]

    def publish(self, operator: str, action: str, *ticket_ids: str, **data: Any) -> None:  # noqa: ANN401 - of an event
        """Put an event of each ticket on the stream, as a backend does."""
        with self.slipway.redis() as redis, redis.pipeline(transaction=False) as batch:
            for ticket_id in ticket_ids:
                facts = {"operator": operator, "ticket_id": ticket_id, **data}
                event = {"event_id": secrets.token_hex(8), "action": action, "data": facts}
                batch.xadd("ticket-events", {"event": json.dumps(event)})
            batch.execute()

    def refuse(self, *ticket_ids: str, body: str = SUSPENDED) -> None:
        """Have acme refuse all notices of these tickets, for good."""
        answer = json.dumps({"error": body}).encode()
        for ticket_id in ticket_ids:
            self.partners[ACME].behave(Rule(Respond(422, body=answer), ticket_id=ticket_id))

    def received(self, operator: str, ticket_id: str) -> list[LedgerEntry]:
        """What the partner was sent of a ticket."""
        entries = self.partners[operator].ledger.entries()
        return [entry for entry in entries if entry.ticket_id == ticket_id]

    def learn_secret(self, operator: str, secret: str) -> None:
        """Have the partner accept this secret alone, from now on."""
        former = self.partners[operator]
        former.stop()
        partner = SimulatedPartner(secret=secret, port=former.port)
        self.partners[operator] = self.ending.enter_context(partner)

    def dead(self) -> int:
        """How many notices are dead."""
        with self.engine.begin() as connection:
            return int(connection.execute(DEAD).scalar_one())

    def has_ticket(self, ticket_id: str, *, on_hold: bool = False) -> bool:
        """Whether there is such a ticket, which is on hold, or is not."""
        with self.engine.begin() as connection:
            ticket = connection.execute(STANDING, {"ticket_id": ticket_id}).one_or_none()
        return ticket is not None and ticket.on_hold == on_hold

    def make_dead(self, ticket_ids: Sequence[str], *, name: str = "fine") -> None:
        """Have the notices of wins of these tickets refused for good.

        In between the partner takes others, or so many refusals in a row would open its circuit.
        """
        before = self.dead()
        self.refuse(*ticket_ids)
        for number, ticket_id in enumerate(ticket_ids):
            self.publish(ACME, "ticket_win", f"{name}-{number}", ticket_id)
        eventually(lambda: self.dead() == before + len(ticket_ids), within=SETTLING_MAX)


@contextmanager
def console_system(folder: Path, **settings: str) -> Iterator[ConsoleSystem]:
    """Start everything in *folder*, and end it."""
    codes = {code: secrets.token_urlsafe(24) for code in (ACME, BETSY)}
    with ExitStack() as ending:
        slipway = ending.enter_context(running_slipway(folder, **settings))
        url = slipway.database_url().replace("postgresql://", "postgresql+psycopg://")
        engine = open_engine(url, application_name="tests")
        ending.callback(engine.dispose)
        vault = Vault.with_keys([SecretStr(slipway.secret_key())])
        partners = {}
        for code, secret in codes.items():
            partners[code] = ending.enter_context(SimulatedPartner(secret=secret))
            new = NewOperator(code=code, url=partners[code].url, protocol="pam", secret=secret)
            with engine.begin() as connection:
                add_operator(connection, new, vault=vault, person=Person("test", "needed"))
        passwords = add_console_users(engine)
        yield ConsoleSystem(slipway, engine, partners, passwords, ending)
