"""Both embedded servers, started together and ended together."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from worker.local.servers.binaries import find_binaries
from worker.local.servers.data_folder import data_folder
from worker.local.servers.postgres import PostgresServer
from worker.local.servers.valkey import ValkeyServer


@dataclass(frozen=True, slots=True)
class Servers:
    """Addresses, and handles for tests that kill a server and start it again."""

    database_url: str = field(repr=False)  # both hold the password
    redis_url: str = field(repr=False)
    postgres: PostgresServer
    valkey: ValkeyServer


@contextmanager
def embedded_servers(
    data: Path | None = None, *, durable: bool | None = None, within: Path | None = None
) -> Iterator[Servers]:
    """Run a PostgreSQL and a Valkey of our own on free ports of 127.0.0.1.

    *data* is where to keep their data; the next call with the same folder finds it again, after a
    crash too. Without it they use a private folder, deleted at the end, *within* another one (by
    default, the machine's temporary folder). If *durable*, PostgreSQL flushes every commit to the
    disk; by default only if the data is kept.

    Works as root (then the servers run as an unprivileged user) and as any other user, any number
    of times at once. However this process ends, the servers end with it. Raises EmbeddedMissing,
    DataFolderUnusable or ServerFailed, all EmbeddedError.
    """
    with data_folder(data, within=within) as home, ExitStack() as endings:
        binaries = find_binaries(home)
        flushed = home.kept if durable is None else durable
        postgres = PostgresServer(home, binaries, durable=flushed)
        valkey = ValkeyServer(home, binaries)
        for server in (postgres, valkey):
            endings.callback(server.stop)
            server.start()
        yield Servers(
            database_url=postgres.url, redis_url=valkey.url, postgres=postgres, valkey=valkey
        )
