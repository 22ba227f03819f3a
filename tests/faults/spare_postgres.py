"""A second PostgreSQL beside the first, as its synchronous standby, and how they change places."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Final

from sqlalchemy import make_url

from tests.support.databases import owner
from tests.support.postgres_node import Node
from worker.local.servers import Servers
from worker.local.servers.binaries import find_binaries
from worker.local.servers.data_folder import data_folder
from worker.local.servers.postgres import PostgresServer

# As the settings of one are copied to the other, both have them.
SETTINGS: Final = (
    "ALTER SYSTEM SET wal_retrieve_retry_interval = '500ms'",
    "ALTER SYSTEM SET wal_keep_size = '256MB'",
)


@dataclass(slots=True)
class PostgresPair:
    """The server of a trial, and its standby."""

    original: Node
    spare: Node


@contextmanager
def standby_of(servers: Servers) -> Iterator[PostgresPair]:
    """Run a synchronous standby of the trial's PostgreSQL until the block ends."""
    beside = servers.postgres.log_file.parent.parent
    password = make_url(servers.database_url).password or ""
    with data_folder(None, within=beside) as made:
        home = replace(made, password=password)
        binaries = find_binaries(home)
        home.room("postgres")
        server = PostgresServer(home, binaries, durable=True)
        pair = PostgresPair(
            original=Node(servers.postgres, binaries, home.account),
            spare=Node(server, binaries, home.account),
        )
        with owner(servers.database_url) as session:
            for setting in SETTINGS:
                session.execute(setting)
            session.execute("SELECT pg_reload_conf()")
        try:
            pair.spare.follow(pair.original)
            pair.original.wait_for_standby()
            yield pair
        finally:
            server.kill()
