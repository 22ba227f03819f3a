"""Looks at PostgreSQL and Redis in the name of all processes, and has Prometheus shown what it saw.

A thread for each server, in the process of the sweep. So a scrape costs no query and waits for
nobody, and a server that hangs holds up nothing but its own figures; it counts as down by then.
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final
from urllib.parse import urlsplit

from redis import Redis
from redis.exceptions import RedisError

from models.database.engine import Transaction
from models.monitoring.stats import collect_stats
from models.platform.clock import Clock
from models.settings.settings import Settings
from worker.intake.celery_queue.script import LISTS, QUEUE
from worker.metrics import gauges as figures
from worker.metrics.gauges import Gauges
from worker.metrics.lost_messages import DEFAULT, lost_messages, waiting_in
from worker.metrics.stream_probe import Refused, refused
from worker.metrics.stream_stats import survey_queues, survey_stream
from worker.process.outage import Outage, reason_of

log = logging.getLogger(__name__)

STATEMENT_MAX: Final = timedelta(seconds=2)
LOCK_MAX: Final = timedelta(seconds=1)
ANSWER_MAX: Final = timedelta(seconds=10)  # beyond the interval; a server that is slower is down
_CLOSING_MAX: Final = timedelta(seconds=5)
_POSTGRESQL: Final = "postgresql"
_REDIS: Final = "redis"
_BROKER: Final = "broker"
_TRIAL: Final = "trial"


class StatsCollector:
    """Surveys every SLIPWAY_SURVEY_INTERVAL until closed."""

    def __init__(
        self,
        *,
        shown: Gauges,
        transaction: Transaction,
        clock: Clock,
        redis: Redis,
        broker: Redis,
        queues: Mapping[str, Sequence[str]],
        settings: Settings,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        """Prepare; nothing is asked before `start`. *queues*: the lists of each, in *broker*."""
        self._shown = shown
        self._transaction = transaction
        self._clock = clock
        self._redis = redis
        self._broker = broker
        self._queues = queues
        self._settings = settings
        self._wall_clock = wall_clock
        self._closed = threading.Event()
        self._began: datetime | None = None  # the first look at the database, by its clock
        self._seen: dict[str, float] = {}  # when each server was surveyed last
        self._ahead: dict[str, timedelta] = {}  # how far its clock was ahead of ours then
        self._looks: Mapping[str, Callable[[], datetime | None]] = {
            _POSTGRESQL: self._look_at_database,
            _REDIS: self._look_at_redis,
            _BROKER: self._look_at_queues,
        }
        self._outages = {
            server: Outage(log, "survey_failed", "survey_works", server=server)
            for server in self._looks
        }
        self._threads = [
            threading.Thread(target=self._run, args=(server,), name=f"survey {server}", daemon=True)
            for server in self._looks
        ]
        shown.ask("servers", self._of_servers)

    def start(self) -> None:
        """Begin to look."""
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """Look no more."""
        self._closed.set()
        for thread in self._threads:
            thread.join(_CLOSING_MAX.total_seconds())

    def look(self) -> None:
        """Look once at each server. One that cannot be asked is shown as down, and not raised."""
        for server in self._looks:
            self._look(server)

    def _run(self, server: str) -> None:
        while not self._closed.is_set():
            self._look(server)
            self._closed.wait(self._settings.survey_interval.total_seconds())

    def _look(self, server: str) -> None:
        try:
            moment = self._looks[server]()
        except Exception as error:  # noqa: BLE001 - whatever it is, the next look must come
            self._outages[server].failed(reason_of(error))
            self._seen.pop(server, None)
            return
        self._outages[server].over()
        now = self._wall_clock()
        self._seen[server] = now
        if moment is not None:
            self._ahead[server] = timedelta(seconds=moment.timestamp() - now)

    def _look_at_database(self) -> datetime:
        with self._transaction() as connection:
            survey = collect_stats(connection, now=self._clock.now(connection))
            asked = self._clock.now(connection)
        self._began = self._began or survey.at
        interval = self._settings.sweep_interval
        found = figures.of_database(survey, sweep_interval=interval, since=self._began)
        self._shown.show(_POSTGRESQL, found)
        return asked

    def _look_at_redis(self) -> datetime | None:
        found = refused(self._redis)
        self._shown.show(_TRIAL, figures.of_trial(found))
        if found is Refused.WRONG_TYPE:  # there is no stream to survey
            self._shown.show(_REDIS, [])
            return None
        survey = survey_stream(self._redis)
        door = survey_queues(self._redis, {QUEUE: LISTS})
        self._shown.show(_REDIS, [*figures.of_stream(survey), *figures.of_queues("celery", door)])
        return survey.at

    def _look_at_queues(self) -> None:
        lengths = survey_queues(self._broker, self._queues)
        lost = figures.of_lost_messages(self._lost())
        self._shown.show(_BROKER, [*figures.of_queues("wakeup", lengths), *lost])

    def _lost(self) -> Mapping[str, int]:
        same = _place(self._settings.broker_url) == _place(self._settings.redis_url)
        lost = lost_messages(self._broker, holds_stream=same)
        if same:
            return lost
        try:  # backends know the stream's Redis alone, and forget the queue there
            beside = sum(waiting_in(self._redis, DEFAULT).values())
        except RedisError:  # its own look shows that it is away
            beside = 0
        return {**lost, DEFAULT: lost[DEFAULT] + beside}

    def _of_servers(self) -> list[figures.Family]:
        """Judge anew with each scrape: who hangs tells nobody."""
        oldest = self._wall_clock() - (self._settings.survey_interval + ANSWER_MAX).total_seconds()
        seen, ahead = dict(self._seen), dict(self._ahead)
        up = {server: seen.get(server, 0.0) > oldest for server in self._looks}
        families = figures.of_servers(up, seen)
        if {_POSTGRESQL, _REDIS} <= ahead.keys():
            families += figures.of_clocks(ahead[_REDIS] - ahead[_POSTGRESQL])
        return families


def _place(url: str) -> tuple[str | None, int | None, str]:
    """Say which database of which server a URL leads to, with any user."""
    parts = urlsplit(url)
    return parts.hostname, parts.port, parts.path
