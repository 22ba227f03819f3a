"""What the tests of the ticket's database share: a harness to act with, and records to read."""

from collections.abc import Iterator

import pytest
from argon2 import PasswordHasher
from cryptography.fernet import Fernet
from sqlalchemy import Engine

from models.database.engine import open_engine
from models.users import passwords
from tests.support import databases
from tests.support.command_line import CommandLine
from tests.support.harness import Harness
from tests.support.job_actions import JobActions
from tests.support.manual_clock import ManualClock
from tests.support.records import Records
from tests.support.reused_databases import ReusedDatabases
from worker.local.servers import Servers


@pytest.fixture(scope="session")
def reused_databases(
    servers: Servers, template: str, database_names: Iterator[str]
) -> Iterator[ReusedDatabases]:
    """Databases that one test after the other uses."""
    lender = ReusedDatabases(servers.database_url, template=template, names=database_names)
    yield lender
    lender.close()


@pytest.fixture
def database(reused_databases: ReusedDatabases) -> Iterator[str]:
    """The address of a database that the test has to itself, with all tables and no rows."""
    with reused_databases.lent() as url:
        yield url


@pytest.fixture(scope="module")
def shared_database(
    servers: Servers, template: str, database_names: Iterator[str]
) -> Iterator[str]:
    """The address of a database that the tests of a module share."""
    name = next(database_names)
    yield databases.create(servers.database_url, name, template=template)
    databases.drop(servers.database_url, name)


@pytest.fixture(scope="module")
def shared_engine(shared_database: str) -> Iterator[Engine]:
    """An engine on it."""
    opened = open_engine(shared_database, application_name="tests", pool_size=8)
    yield opened
    opened.dispose()


@pytest.fixture(scope="module", autouse=True)
def product_hasher() -> Iterator[PasswordHasher]:
    """The hasher of the product, in whose place a cheap one hashes the passwords of most tests."""
    cheap = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    with pytest.MonkeyPatch.context() as patch:
        costly = passwords.HASHER
        patch.setattr(passwords, "HASHER", cheap)
        yield costly


@pytest.fixture
def records(engine: Engine) -> Iterator[Records]:
    """What the test's database holds. When the test is over, the records must agree."""
    held = Records(engine)
    yield held
    held.check()


@pytest.fixture
def harness(engine: Engine, clock: ManualClock, records: Records) -> Harness:
    """A harness with one PAM partner, `acme`; what it did to the records is checked at the end."""
    made = Harness(engine, clock)
    made.add_operator()
    return made


@pytest.fixture
def jobs(engine: Engine, clock: ManualClock) -> JobActions:
    """Jobs of people, at the time that the test moves."""
    return JobActions(engine, clock)


@pytest.fixture
def slipway(monkeypatch, capsys, database: str, redis_url: str) -> CommandLine:
    """The command line in a set-up of its own, whose partners live on this machine."""
    line = CommandLine(monkeypatch, capsys)
    line.export(
        database_url=database,
        redis_url=redis_url,
        secret_key=Fernet.generate_key().decode(),
        partner_networks="127.0.0.0/8",
    )
    return line
