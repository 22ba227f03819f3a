"""What may stand between the processes of a trial and their servers: PgBouncer, sentinels.

Behind them both servers have a replica that takes their place: PostgreSQL a synchronous standby,
Valkey two replicas of which the sentinels promote one.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Final

from sqlalchemy import make_url

from tests.faults.network import Network
from tests.faults.relays import Line
from tests.faults.schedule import Fault, Place
from tests.faults.spare_postgres import PostgresPair, standby_of
from tests.faults.watched_valkey import DOWN_AFTER, WatchedValkeys, sentinels_before
from tests.support.pooler import shipped_pgbouncer
from tests.support.sentinels import AS_THEY_ARE
from worker.local.servers import Servers
from worker.local.servers.ports import LOOPBACK

POOLER_LINE: Final[Line] = ("pgbouncer", Place.POSTGRES)
# To sentinels a primary that calls itself a replica is one that failed: they would promote another.
LEFT_OUT: Final = frozenset({Fault.VALKEY_READ_ONLY, Fault.VALKEY_LONG_READ_ONLY})


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What stands before the servers, and the failovers that it has to get through."""

    pooled_url: str = field(repr=False)
    redis_url: str = field(repr=False)
    network: Network
    pair: PostgresPair
    watched: WatchedValkeys

    @contextmanager
    def postgres_fails_over(self) -> Iterator[None]:
        """Kill the primary and promote its standby; on exit, back again in good order.

        PgBouncer finds the present primary at the same address, as behind a DNS name.
        """
        original, spare = self.pair.original, self.pair.spare
        original.server.kill()
        spare.become_primary()
        with self.network.detour(POOLER_LINE, spare.server.port):
            original.follow(spare)
            spare.wait_for_standby()
            yield
            spare.server.stop()
            original.become_primary()
        spare.follow(original)
        original.wait_for_standby()

    @contextmanager
    def valkey_fails_over(self) -> Iterator[None]:
        """Let the sentinels promote a replica as planned; on exit kill that one."""
        self.watched.promote_spare()
        yield
        self.watched.kill_spare()


@contextmanager
def surroundings(
    servers: Servers,
    network: Network,
    folder: Path,
    *,
    down_after: timedelta = DOWN_AFTER,
    periods: Mapping[str, int] = AS_THEY_ARE,
) -> Iterator[Surroundings]:
    """Run all that in *folder*, which other users can pass through, until the block ends.

    Sentinels take a primary for dead that they do not hear from for *down_after*; *periods*: how
    often they ask and tell.
    """
    beside = folder / "pgbouncer"
    beside.mkdir()
    line = network.lay(POOLER_LINE, LOOPBACK, servers.postgres.port)
    server = make_url(servers.database_url).set(host=LOOPBACK, port=line)
    with (
        standby_of(servers) as pair,
        sentinels_before(servers, network, down_after=down_after, periods=periods) as watched,
        shipped_pgbouncer(server.render_as_string(hide_password=False), beside) as pooled,
    ):
        yield Surroundings(pooled, watched.url, network, pair, watched)
