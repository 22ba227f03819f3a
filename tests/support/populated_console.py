"""The console over a little of everything: tickets in all states, what needs a person, history."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from cryptography.fernet import Fernet

from models.platform.clock import DatabaseClock
from models.players import erase_player
from tests.load.console_data import Extent, console_database
from tests.load.environment import OPERATOR, BenchEnvironment, Database
from tests.support.console_app import PERSON, ConsoleApp, console_app_on
from worker.local.servers import Servers

ERASED = "player-1"
LITTLE = Extent(settled=120, waiting=60, dead=60, open=60, life=3)


@dataclass(frozen=True, slots=True)
class PopulatedConsole:
    """The console, and what it shows."""

    console: ConsoleApp
    database: Database


@contextmanager
def populated_console(servers: Servers, folder: Path) -> Iterator[PopulatedConsole]:
    """Run it on *servers*, in a database of its own."""
    with ExitStack() as stay:
        environment = BenchEnvironment(
            servers=servers,
            folder=folder,
            key=Fernet.generate_key().decode(),
            began=datetime.now(UTC),  # noqa: TID251 - its rows lie before this moment
            stay=stay,
            pending={},
        )
        database = stay.enter_context(console_database(environment, LITTLE))
        settings = environment.settings(database.url)
        with database.engine.begin() as connection:
            erase_player(
                connection,
                OPERATOR,
                ERASED,
                keys=settings.secret_key,
                person=PERSON,
                now=DatabaseClock().now(connection),
            )
        yield PopulatedConsole(
            stay.enter_context(console_app_on(settings, database.engine)), database
        )
