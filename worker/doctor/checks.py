"""Runs all checks in order; a check that depends on something broken is reported as unknown."""

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import combinations
from typing import Final

from celery import Celery
from redis import Redis
from redis.exceptions import RedisError
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError, OperationalError

from models.database.engine import open_engine
from models.database.pooler import is_pooled
from models.monitoring.replication import read_standbys
from models.monitoring.stream_losses import SHOWN_FOR, losses_since
from models.platform.clock import DatabaseClock
from models.platform.encryption import Vault
from models.settings.errors import InvalidSettings
from models.settings.redis_address import cluster_address, redis_database, sentinel_address
from models.settings.settings import Settings, read_settings
from models.sweeps.heartbeat import last_round
from worker.celery.configuration import configuration
from worker.delivery.http.egress import Egress
from worker.delivery.http.limits import TransferLimits
from worker.doctor.access import CheckedAccess, check_accesses, read_accesses
from worker.doctor.cluster import check_cluster
from worker.doctor.connections import (
    check_database_files,
    check_database_session,
    check_redis_protection,
)
from worker.doctor.database import (
    SCHEMA,
    check_database,
    check_session,
    check_writing,
    refused,
)
from worker.doctor.database import unreachable as database_unreachable
from worker.doctor.database_limits import check_other_sessions, check_room
from worker.doctor.egress import AUTHORITIES, PROXY, check_egress
from worker.doctor.finding import Finding, State, ok, unknown, wrong
from worker.doctor.machine import check_machine
from worker.doctor.misplaced_messages import check_misplaced_messages
from worker.doctor.partners import (
    CheckedOperator,
    check_partners,
    check_secrets,
    check_terms,
    read_operators,
)
from worker.doctor.pooler import check_migration_address, check_pooler, place_of
from worker.doctor.processes import check_rounds, check_workers, consumers
from worker.doctor.publishing import check_publishing
from worker.doctor.redis_limits import check_redis_limits
from worker.doctor.redis_rights import BROKER_COMMANDS, check_rights, stream_commands
from worker.doctor.redis_server import (
    BROKER_KEYS,
    check_keys,
    check_redis,
    check_stream,
    check_stream_life,
    stream_types,
)
from worker.doctor.redis_server import unreachable as redis_unreachable
from worker.doctor.sentinels import check_sentinels
from worker.doctor.sign_in import check_sign_in
from worker.doctor.standbys import check_commits, check_hosts
from worker.doctor.stray_entries import (
    check_broker_entries,
    check_other_databases,
    check_passed_over,
)
from worker.doctor.stream_losses import check_stream_losses
from worker.doctor.tables import check_tables
from worker.doctor.tokens import TokenCheck
from worker.process.queues import SWEEP_QUEUE
from worker.process.redis_client import open_redis
from worker.process.stream_keys import StreamKeys

_REDIS: Final = "Redis"
_BROKER: Final = "broker"
_THIS: Final = "this machine"
CLOCKS: Final = "clocks"
ACLOCKS_MAX: Final = timedelta(seconds=2)
_BEHIND_DATABASE: Final = "secrets, access, operators, stream losses, sweep rounds"


def check_all(*, now: datetime) -> Iterator[Finding]:
    """Check everything, the settings first; return each finding as soon as it is made."""
    try:
        settings = read_settings()
    except InvalidSettings as error:
        for problem in error.problems:
            yield wrong("settings", problem, remedy="fix this variable; see models/SETTINGS.md")
        yield unknown("all the rest", "fix the settings first")
        return
    yield ok("settings", "all are valid, and none contradicts another")
    yield from check_installation(settings, now=now)


def check_installation(
    settings: Settings, *, now: datetime, fetches_tokens: bool = True
) -> Iterator[Finding]:
    """Check what *settings* lead to; return each finding as soon as it is made.

    Blocks for some seconds, so a web process calls it in a thread, one at a time: it opens one
    connection at a time to PostgreSQL, as deploy/README.md counts (two through a pooler). Every
    wait has a limit: 5 s for each response of Redis and for a connection to PostgreSQL, the
    session's own limits for its statements, 1.5 s for the workers, 10 s for all partners together,
    and as much for all token endpoints. *now* is the time of this machine, which is compared with
    the servers' clocks. Without *fetches_tokens* no token is fetched: some providers count them.
    """
    yield from _Checks(settings, now, fetches_tokens=fetches_tokens).run()


class _Checks:
    """The checks that need valid settings, and what one of them tells the next."""

    def __init__(self, settings: Settings, now: datetime, *, fetches_tokens: bool) -> None:
        self._settings = settings
        self._keys = StreamKeys.of(settings)
        self._fetches_tokens = fetches_tokens
        self._began = time.monotonic()
        self._clocks = {_THIS: (now, timedelta())}
        self._unavailable: set[str] = set()
        self._sweepers = False

    def run(self) -> Iterator[Finding]:
        """Check one part after the other."""
        same = self._settings.broker_url == self._settings.redis_url
        commands = (*stream_commands(self._keys), *(BROKER_COMMANDS if same else ()))
        keys = {**stream_types(self._keys), **(BROKER_KEYS if same else {})}
        yield from self._redis(_REDIS, self._settings.redis_url, commands, keys)
        if not same:
            url = self._settings.broker_url
            yield from self._redis(_BROKER, url, BROKER_COMMANDS, BROKER_KEYS)
        yield from self._workers(_REDIS if same else _BROKER)
        yield from check_machine(self._settings, os.environ)
        yield from check_egress(self._settings, now=self._clocks[_THIS][0])
        yield from check_sign_in(self._settings)
        yield from self._database()
        yield from check_clocks(self._clocks)

    def _redis(
        self, part: str, url: str, commands: Sequence[Sequence[str]], keys: Mapping[str, str]
    ) -> Iterator[Finding]:
        variable = f"SLIPWAY_{part.upper()}_URL"
        if (address := sentinel_address(url)) is not None:
            yield from check_sentinels(address, part=part, variable=variable)
        if (cluster := cluster_address(url)) is not None:
            yield from check_cluster(cluster, part=part, variable=variable, keys=self._keys)
        client = open_redis(url, retries=0, name="slipway-doctor", stream=self._keys.stream)
        try:
            with client:
                yield from check_rights(client, commands, variable=variable)
                by_provider = self._settings.redis_durability == "provider"
                yield from check_redis(client, part=part, kept_by_provider=by_provider)
                yield from check_redis_limits(client, part=part, kept_by_provider=by_provider)
                yield from check_keys(client, keys)
                yield check_redis_protection(
                    url, part=part, variable=variable, now=self._clocks[_THIS][0]
                )
                if cluster is None:  # nobody can send to a queue on a cluster
                    yield from check_misplaced_messages(
                        client,
                        holds_stream=part == _REDIS,
                        is_broker="unacked" in keys,  # one of Celery's own keys
                    )
                if part == _REDIS:
                    yield from self._stream(client)
                    seconds, microseconds = client.time()
                    moment = datetime.fromtimestamp(seconds, UTC)
                    self._note_clock(part, moment + timedelta(microseconds=microseconds))
                elif redis_database(url) != redis_database(self._settings.redis_url):
                    yield from check_broker_entries(client, stream=self._keys.stream)
        except RedisError as error:
            self._unavailable.add(part)
            yield redis_unreachable(part, variable, error, url)

    def _stream(self, client: Redis) -> Iterator[Finding]:
        stream = self._keys.stream
        yield from check_stream(client, self._keys)
        yield from check_passed_over(client, stream=stream)
        if not self._keys.on_cluster:
            _, database = redis_database(self._settings.redis_url)
            own = database.rpartition("/")[2]
            yield from check_other_databases(client, stream=stream, own=own)
        yield from check_publishing(client, stream=stream, waitaof_ms=self._settings.waitaof)
        yield from check_stream_life(client, self._keys)

    def _workers(self, broker: str) -> Iterator[Finding]:
        if broker in self._unavailable:
            yield unknown("workers", f"fix {broker} first")
            return
        # Not the workers' own application: that one is configured when it is first imported.
        app = Celery("doctor", set_as_current=False)
        app.conf.update(configuration(self._settings))
        try:
            workers = consumers(app)
        except Exception as error:  # noqa: BLE001 - whatever kombu raises, the other checks must run
            yield wrong(
                "workers",
                f"the broker does not accept a message ({type(error).__name__})",
                remedy="fix what is wrong above; Celery needs a broker that it can write to",
            )
            return
        finally:
            app.close()
        self._sweepers = bool(workers[SWEEP_QUEUE])
        yield from check_workers(workers)

    def _database(self) -> Iterator[Finding]:
        try:
            with self._transaction() as connection:
                now = DatabaseClock().now(connection)
                self._note_clock("PostgreSQL", now)
                findings = [*check_database(connection)]
                schema_fits = not any(
                    finding.part == SCHEMA and finding.state is State.WRONG for finding in findings
                )
                operators = read_operators(connection) if schema_fits else []
                accesses = read_accesses(connection, now=now) if schema_fits else []
                last = last_round(connection) if schema_fits else None
                losses = losses_since(connection, now - SHOWN_FOR) if schema_fits else []
                protection = check_database_session(connection)
                session = check_session(connection)
                pooled, place = is_pooled(connection), place_of(connection)
                around = [*check_room(connection, pooled=pooled), *check_other_sessions(connection)]
                if schema_fits:
                    around += check_tables(connection)
                standbys = read_standbys(connection)
                commits = [*check_commits(connection, standbys)]
            hosts = [*check_hosts(self._settings)]
            pooler = [check_pooler(self._settings)] if pooled else []
            writing = [*check_writing(self._transaction, standbys)] if schema_fits else []
        except DBAPIError as error:
            yield (
                database_unreachable(error, url=self._settings.database_url)
                if isinstance(error, OperationalError)
                else refused(error)
            )
            yield unknown(_BEHIND_DATABASE, "fix PostgreSQL first")
            return
        yield from [*findings, session, *pooler, protection, *hosts, *commits, *around]
        yield from check_database_files(self._settings.database_url, now=self._clocks[_THIS][0])
        yield from check_migration_address(self._settings, pooled=pooled, place=place)
        yield from writing
        if not schema_fits:
            yield unknown(_BEHIND_DATABASE, "fix the schema first")
            return
        vault = Vault.with_keys(self._settings.secret_key)
        yield from check_secrets(operators, vault=vault, now=now)
        yield from check_terms(operators, self._settings)
        yield from self._partners(operators, accesses, vault=vault, now=now)
        yield from check_stream_losses(losses)
        yield check_rounds(
            last, now=now, interval=self._settings.sweep_interval, sweepers=self._sweepers
        )

    def _partners(
        self,
        operators: Sequence[CheckedOperator],
        accesses: Sequence[CheckedAccess],
        *,
        vault: Vault,
        now: datetime,
    ) -> Iterator[Finding]:
        try:
            egress = Egress.of(self._settings)
        except InvalidSettings:
            yield unknown("access, operators", f"fix the {PROXY} first")
            return
        try:
            limits = TransferLimits.of(self._settings)
        except InvalidSettings:
            yield unknown("access", f"fix the {AUTHORITIES} first")
        else:
            tokens = TokenCheck(limits, self._settings.partner_timeout, self._fetches_tokens)
            yield from check_accesses(accesses, vault=vault, now=now, tokens=tokens)
        networks = self._settings.partner_networks
        yield from check_partners(operators, networks=networks, egress=egress)

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        engine = open_engine(
            self._settings.database_url, pool_size=1, application_name="slipway doctor"
        )
        try:
            with engine.begin() as connection:
                yield connection
        finally:
            engine.dispose()

    def _note_clock(self, clock: str, moment: datetime) -> None:
        self._clocks[clock] = (moment, timedelta(seconds=time.monotonic() - self._began))


def check_clocks(clocks: Mapping[str, tuple[datetime, timedelta]]) -> Iterator[Finding]:
    """Compare the clocks: how far each is ahead of a common one.

    *clocks* has for each its time, and how long after the common beginning it was read.
    """
    ahead = {name: moment - after for name, (moment, after) in clocks.items()}
    apart = [
        f"{name} is {abs(ahead[name] - ahead[other]).total_seconds():.1f} s"
        f" {'ahead of' if ahead[name] > ahead[other] else 'behind'} {other}"
        for name, other in combinations(ahead, 2)
        if abs(ahead[name] - ahead[other]) > ACLOCKS_MAX
    ]
    if apart:
        yield wrong(
            CLOCKS,
            "; ".join(apart),
            remedy="synchronise all clocks with NTP (chrony, systemd-timesyncd): signatures and"
            " closings depend on them",
        )
    else:
        yield ok(CLOCKS, f"{', '.join(ahead)} agree to within {ACLOCKS_MAX.total_seconds():g} s")
