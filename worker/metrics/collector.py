"""Collects the stats of PostgreSQL and Redis for the whole system, which Prometheus then scrapes.

The sweep process runs it, with a thread for each server. So a scrape runs no query and waits for no
server, and a server that hangs delays nothing but its own stats; it counts as down by then.
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

from redis import Redis
from redis.exceptions import RedisError

from models.database.engine import Transaction
from models.monitoring.stats import collect_stats
from models.platform.clock import Clock
from models.settings.redis_address import redis_database
from models.settings.settings import WorkerSettings
from worker.metrics import gauges
from worker.metrics.gauges import Gauges
from worker.metrics.redis_stats import (
    PublishRefusal,
    collect_stream_stats,
    messages_by_list,
    misplaced_messages,
    probe_publishing,
    queue_lengths,
)
from worker.process.outage import Outage, reason_of
from worker.process.queues import DEFAULT_QUEUE, TICKETS_QUEUE
from worker.process.stream_keys import StreamKeys

log = logging.getLogger(__name__)

POOL_SIZE: Final = 1  # a connection of its own
STATEMENT_MAX: Final = timedelta(seconds=2)
LOCK_MAX: Final = timedelta(seconds=1)
STALE_AFTER: Final = timedelta(seconds=10)  # beyond the interval; a slower server counts as down
_CLOSING_MAX: Final = timedelta(seconds=5)
_POSTGRESQL: Final = "postgresql"
_REDIS: Final = "redis"
_BROKER: Final = "broker"
_PUBLISHING: Final = "publishing"


class StatsCollector:
    """Collects stats every SLIPWAY_SURVEY_INTERVAL until it is closed."""

    def __init__(
        self,
        *,
        shown: Gauges,
        transaction: Transaction,
        clock: Clock,
        redis: Redis,
        broker: Redis,
        queues: Mapping[str, Sequence[str]],
        settings: WorkerSettings,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        """Prepare; nothing is queried before `start`. *queues*: the lists of each, in *broker*."""
        self._shown = shown
        self._transaction = transaction
        self._clock = clock
        self._redis = redis
        self._broker = broker
        self._queues = queues
        self._settings = settings
        self._keys = StreamKeys.of(settings)
        self._wall_clock = wall_clock
        self._closed = threading.Event()
        self._first_collected_at: datetime | None = None  # from the database, by its clock
        self._collected_at: dict[str, float] = {}  # by server
        self._ahead: dict[str, timedelta] = {}  # how far each server's clock was ahead of ours
        self._collectors: Mapping[str, Callable[[], datetime | None]] = {
            _POSTGRESQL: self._collect_from_database,
            _REDIS: self._collect_from_redis,
            _BROKER: self._collect_from_broker,
        }
        self._outages = {
            server: Outage(log, "stats_unavailable", "stats_available", server=server)
            for server in self._collectors
        }
        self._threads = [
            threading.Thread(target=self._run, args=(server,), name=f"stats {server}", daemon=True)
            for server in self._collectors
        ]
        shown.compute("servers", self._server_gauges)

    def start(self) -> None:
        """Start collecting."""
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """Stop collecting."""
        self._closed.set()
        for thread in self._threads:
            thread.join(_CLOSING_MAX.total_seconds())

    def collect(self) -> None:
        """Collect once from each server. An unavailable one is shown as down, without raising."""
        for server in self._collectors:
            self._collect(server)

    def _run(self, server: str) -> None:
        while not self._closed.is_set():
            self._collect(server)
            self._closed.wait(self._settings.survey_interval.total_seconds())

    def _collect(self, server: str) -> None:
        try:
            server_time = self._collectors[server]()
        except Exception as error:  # noqa: BLE001 - whatever it is, the next round must come
            self._outages[server].failed(reason_of(error))
            self._collected_at.pop(server, None)
            return
        self._outages[server].over()
        now = self._wall_clock()
        self._collected_at[server] = now
        if server_time is not None:
            self._ahead[server] = timedelta(seconds=server_time.timestamp() - now)

    def _collect_from_database(self) -> datetime:
        with self._transaction() as connection:
            stats = collect_stats(connection, now=self._clock.now(connection))
            server_time = self._clock.now(connection)
        self._first_collected_at = self._first_collected_at or stats.at
        families = gauges.of_database(
            stats,
            sweep_interval=self._settings.sweep_interval,
            since=self._first_collected_at,
            partner_timeout=self._settings.partner_timeout,
        )
        self._shown.show(_POSTGRESQL, families)
        return server_time

    def _collect_from_redis(self) -> datetime | None:
        refusal = probe_publishing(self._redis, self._keys.stream)
        self._shown.show(_PUBLISHING, gauges.of_refusal(refusal))
        if refusal is PublishRefusal.WRONG_TYPE:  # there is no stream
            self._shown.show(_REDIS, [])
            return None
        stats = collect_stream_stats(self._redis, self._keys)
        lengths = queue_lengths(self._redis, {TICKETS_QUEUE: self._keys.queue})
        by_provider = self._settings.redis_durability == "provider"
        families = gauges.of_stream(stats, kept_by_provider=by_provider)
        self._shown.show(_REDIS, [*families, *gauges.of_queues("celery", lengths)])
        return stats.at

    def _collect_from_broker(self) -> None:
        lengths = queue_lengths(self._broker, self._queues)
        misplaced = gauges.of_misplaced_messages(self._misplaced_messages())
        self._shown.show(_BROKER, [*gauges.of_queues("wakeup", lengths), *misplaced])

    def _misplaced_messages(self) -> Mapping[str, int]:
        same = redis_database(self._settings.broker_url) == redis_database(self._settings.redis_url)
        misplaced = misplaced_messages(self._broker, holds_stream=same)
        if same or self._keys.on_cluster:  # nobody can send to a queue on a cluster
            return misplaced
        try:  # backends know the stream's Redis alone, and may send without a queue there
            on_stream = sum(messages_by_list(self._redis, DEFAULT_QUEUE).values())
        except RedisError:  # its own stats show that it is unavailable
            on_stream = 0
        return {**misplaced, DEFAULT_QUEUE: misplaced[DEFAULT_QUEUE] + on_stream}

    def _server_gauges(self) -> list[gauges.Family]:
        """Compute them with each scrape: a collector that hangs updates nothing."""
        oldest = self._wall_clock() - (self._settings.survey_interval + STALE_AFTER).total_seconds()
        collected_at, ahead = dict(self._collected_at), dict(self._ahead)
        up = {server: collected_at.get(server, 0.0) > oldest for server in self._collectors}
        families = gauges.of_servers(up, collected_at)
        if {_POSTGRESQL, _REDIS} <= ahead.keys():
            families += gauges.of_clocks(ahead[_REDIS] - ahead[_POSTGRESQL])
        return families
