"""One PostgreSQL and one Valkey per session (per worker under xdist), started when first wanted.

Every test has a database of its own, copied from one that was migrated once, and an empty Valkey.
A test that kills a server brings it back before it ends.
"""

import gc
import os
import signal
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
import redis as redis_client
from hypothesis import HealthCheck, settings
from hypothesis.internal.conjecture import providers
from hypothesis.internal.constants_ast import Constants
from sqlalchemy import Engine

from models.database.engine import open_engine
from tests.support import databases, fork_server
from tests.support.forgotten_settings import forget_settings
from tests.support.manual_clock import ManualClock
from tests.support.server_folders import passable_folder, roomy_memory
from worker.local.servers import Servers, embedded_servers

TEMPLATE = "slipway_template"
SLOW_SECONDS = 2.0  # what the marker `slow` means without a number
SERVED_SECONDS = 0.1  # what a test with servers takes without the marker; others take next to none
POOL_SIZE = 8  # more connections at once than any test has threads

# How long an example takes says nothing on a busy machine; pytest's own timeout finds what hangs.
# How many of the first examples an assumption lets pass is chance.
settings.register_profile(
    "search",
    deadline=None,
    derandomize=False,
    suppress_health_check=[
        HealthCheck.too_slow,
        HealthCheck.filter_too_much,
        HealthCheck.data_too_large,
    ],
)
# The same examples in each run: a run that fails says something of what has changed since the last.
settings.register_profile("slipway", settings.get_profile("search"), derandomize=True)
settings.load_profile("slipway")

# Containers often set it; here each of hundreds of processes would compile all that it imports.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# A shell's job in the background ignores Ctrl-C, and hands that on: tests send it to processes.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(trylast=True)  # after `--hypothesis-profile` has been read
def pytest_configure() -> None:
    """Let no example depend on which of our modules this process happens to have loaded.

    Hypothesis would draw the words and numbers of their source, too.
    """
    if settings.default is not None and settings.default.derandomize:
        providers._get_local_constants = Constants  # noqa: SLF001 - it has no setting


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the modules that take longest, so that no process ends with one."""
    expected: dict[Path, float] = {}
    for item in items:
        expected[item.path] = expected.get(item.path, 0.0) + _expected_seconds(item)
    items.sort(key=lambda item: -expected[item.path])


def _expected_seconds(item: pytest.Item) -> float:
    marker = item.get_closest_marker("slow")
    if marker is None:
        return SERVED_SECONDS if "servers" in getattr(item, "fixturenames", ()) else 0.0
    return float(marker.kwargs.get("seconds", SLOW_SECONDS))


def pytest_collection_finish() -> None:
    """Spare each garbage collection what stays until the end: thousands of tests and modules."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def all_closed_at_last() -> Iterator[None]:
    """Find what outlived its module, and was left open in a later one."""
    yield
    gc.unfreeze()
    gc.collect()


@pytest.fixture(scope="module", autouse=True)
def all_closed() -> Iterator[None]:
    """Find what a module's tests left open there, not in the later test that it is collected in."""
    yield
    gc.collect()  # a ResourceWarning is an error: the module's last test fails
    gc.freeze()  # what is left is modules and caches, mostly, at which no later collection looks


@pytest.fixture(scope="session", autouse=True)
def programs_forked() -> Iterator[None]:
    """Spare processes the loading of their modules, in tests of what they do afterwards."""
    with fork_server.forking():
        yield


@pytest.fixture(autouse=True)
def settings_unread() -> None:
    """Let no test meet the settings that another one has read."""
    forget_settings()


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    """Addresses and handles of the session's PostgreSQL and Valkey."""
    with (
        embedded_servers(durable=False, within=roomy_memory()) as running,
        databases.kept_session(running.database_url),
    ):
        databases.leave_statistics_alone(running.database_url)
        yield running


@pytest.fixture(scope="session")
def template(servers: Servers) -> str:
    """The name of a migrated database without rows."""
    from models.migrations.runner import upgrade  # noqa: PLC0415 - spares the unit tests loading Alembic

    upgrade(databases.create(servers.database_url, TEMPLATE))
    return TEMPLATE


@pytest.fixture(scope="session")
def database_names() -> Iterator[str]:
    """Names that no other test of the session has."""
    return (f"test_{number}" for number in count(1))


@pytest.fixture
def empty_database(servers: Servers, database_names: Iterator[str]) -> Iterator[str]:
    """The address of a database of the test's own, without any table."""
    name = next(database_names)
    yield databases.create(servers.database_url, name)
    databases.drop(servers.database_url, name)


@pytest.fixture
def database(servers: Servers, template: str, database_names: Iterator[str]) -> Iterator[str]:
    """The address of a database of the test's own, with all tables and no rows."""
    name = next(database_names)
    yield databases.create(servers.database_url, name, template=template)
    databases.drop(servers.database_url, name)


@pytest.fixture
def latin_database(servers: Servers, database_names: Iterator[str]) -> Iterator[str]:
    """The address of a database of the test's own whose encoding is not UTF8."""
    name = next(database_names)
    yield databases.create_latin(servers.database_url, name)
    databases.drop(servers.database_url, name)


@pytest.fixture
def engine(database: str) -> Iterator[Engine]:
    """An engine on the test's own database."""
    opened = open_engine(database, application_name="tests", pool_size=POOL_SIZE)
    yield opened
    opened.dispose()


@pytest.fixture
def redis(servers: Servers) -> Iterator["redis_client.Redis"]:
    """A client of the session's Valkey, which is empty when the test starts."""
    with redis_client.Redis.from_url(servers.redis_url) as client:
        client.flushall()
        yield client


@pytest.fixture
def redis_url(servers: Servers, redis: "redis_client.Redis") -> str:
    """The address of the session's Valkey, which is empty when the test starts."""
    return servers.redis_url


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that other users can pass through, which pytest's `tmp_path` forbids."""
    with passable_folder() as made:
        yield made


@pytest.fixture
def clock() -> ManualClock:
    """A clock that stands still until the test moves it."""
    return ManualClock()
