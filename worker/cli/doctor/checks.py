"""The whole examination: one part after the other, as far as what is wrong lets it come."""

import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from celery import Celery
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry
from sqlalchemy.exc import DBAPIError, OperationalError

from models.platform.clock import DatabaseClock
from models.platform.encryption import Vault
from models.settings.errors import InvalidSettings
from models.settings.settings import Settings, read_settings
from models.sweeps.heartbeat import last_round
from worker.celery.configuration import configuration
from worker.cli.database import transaction
from worker.cli.doctor.clocks import examine_clocks
from worker.cli.doctor.connections import examine_database_line, examine_redis_line
from worker.cli.doctor.database import SCHEMA, examine_database
from worker.cli.doctor.database import unreachable as database_unreachable
from worker.cli.doctor.finding import Finding, State, ok, unknown, wrong
from worker.cli.doctor.keys import (
    BROKER_KEYS,
    STREAM_KEYS,
    examine_keys,
    examine_publishing,
    examine_stream_life,
)
from worker.cli.doctor.lost_tasks import examine_lost_tasks
from worker.cli.doctor.partners import examine_partners, examine_secrets, read_operators
from worker.cli.doctor.processes import consumers, examine_rounds, examine_workers
from worker.cli.doctor.redis_server import (
    BROKER_COMMANDS,
    STREAM_COMMANDS,
    examine_redis,
    examine_rights,
)
from worker.cli.doctor.redis_server import unreachable as redis_unreachable
from worker.cli.doctor.stream import examine_stream
from worker.cli.doctor.write_test import examine_session, examine_writing, refused
from worker.process.queues import SWEEP_QUEUE

_ANSWER_SECONDS: Final = 5.0
_REDIS: Final = "Redis"
_BROKER: Final = "broker"
_BEHIND_DATABASE: Final = "secrets, operators, sweep rounds"


def examine() -> Iterator[Finding]:
    """Look at everything; each finding as soon as it is made."""
    try:
        settings = read_settings()
    except InvalidSettings as faults:
        for problem in faults.problems:
            yield wrong("settings", problem, mend="mend this variable; models/SETTINGS.md has all")
        yield unknown("all the rest", "the settings must be mended first")
        return
    yield ok("settings", "each can be used, and none contradicts another")
    yield from _Examination(settings).run()


class _Examination:
    """What was learned on the way."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._began = time.monotonic()
        self._told = {"this machine": (datetime.now(UTC), timedelta())}
        self._away: set[str] = set()
        self._sweepers = False

    def run(self) -> Iterator[Finding]:
        """Look at one part after the other."""
        same = self._settings.broker_url == self._settings.redis_url
        commands = (*STREAM_COMMANDS, *(BROKER_COMMANDS if same else ()))
        keys = {**STREAM_KEYS, **(BROKER_KEYS if same else {})}
        yield from self._redis(_REDIS, self._settings.redis_url, commands, keys)
        if not same:
            url = self._settings.broker_url
            yield from self._redis(_BROKER, url, BROKER_COMMANDS, BROKER_KEYS)
        yield from self._workers(_REDIS if same else _BROKER)
        yield from self._database()
        yield from examine_clocks(self._told)

    def _redis(
        self, part: str, url: str, commands: Sequence[Sequence[str]], keys: Mapping[str, str]
    ) -> Iterator[Finding]:
        variable = f"SLIPWAY_{part.upper()}_URL"
        client = Redis.from_url(
            url,
            socket_timeout=_ANSWER_SECONDS,
            socket_connect_timeout=_ANSWER_SECONDS,
            retry=Retry(NoBackoff(), 0),
        )
        try:
            with client:
                yield from examine_rights(client, commands, variable=variable)
                yield from examine_redis(client, part=part)
                yield from examine_keys(client, keys)
                yield examine_redis_line(url, part=part, variable=variable)
                yield from examine_lost_tasks(
                    client,
                    holds_stream=part == _REDIS,
                    is_broker="unacked" in keys,  # one of Celery's own keys
                )
                if part == _REDIS:
                    yield from examine_stream(client)
                    yield from examine_publishing(client, waitaof_ms=self._settings.waitaof)
                    yield from examine_stream_life(client)
                    seconds, microseconds = client.time()
                    moment = datetime.fromtimestamp(seconds, UTC)
                    self._tell(part, moment + timedelta(microseconds=microseconds))
        except RedisError as error:
            self._away.add(part)
            yield redis_unreachable(part, variable, error)

    def _workers(self, broker: str) -> Iterator[Finding]:
        if broker in self._away:
            yield unknown("workers", f"{broker} must be mended first")
            return
        # Not the workers' own application: that one is configured when it is first imported.
        app = Celery("doctor", set_as_current=False)
        app.conf.update(configuration(self._settings))
        try:
            found = consumers(app)
        except Exception as error:  # noqa: BLE001 - whatever kombu raises, the rest is to be seen
            yield wrong(
                "workers",
                f"the broker does not take the question ({type(error).__name__})",
                mend="mend what is wrong above; Celery needs a broker that it can write to",
            )
            return
        finally:
            app.close()
        self._sweepers = bool(found[SWEEP_QUEUE])
        yield from examine_workers(found)

    def _database(self) -> Iterator[Finding]:
        try:
            with transaction() as connection:
                now = DatabaseClock().now(connection)
                self._tell("PostgreSQL", now)
                found = [*examine_database(connection)]
                schema_fits = not any(
                    one.part == SCHEMA and one.state is State.WRONG for one in found
                )
                operators = read_operators(connection) if schema_fits else []
                last = last_round(connection) if schema_fits else None
                line = examine_database_line(connection)
                session = examine_session(connection)
            writing = [*examine_writing(transaction)] if schema_fits else []
        except DBAPIError as error:
            yield (
                database_unreachable(error)
                if isinstance(error, OperationalError)
                else refused(error)
            )
            yield unknown(_BEHIND_DATABASE, "PostgreSQL must be mended first")
            return
        yield from [*found, session, line, *writing]
        if not schema_fits:
            yield unknown(_BEHIND_DATABASE, "the schema must be mended first")
            return
        vault = Vault.with_keys(self._settings.secret_key)
        yield from examine_secrets(operators, vault=vault, now=now)
        yield from examine_partners(operators, networks=self._settings.partner_networks)
        yield examine_rounds(
            last, now=now, interval=self._settings.sweep_interval, sweepers=self._sweepers
        )

    def _tell(self, clock: str, moment: datetime) -> None:
        self._told[clock] = (moment, timedelta(seconds=time.monotonic() - self._began))
