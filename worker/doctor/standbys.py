"""Checks what a failover of PostgreSQL would keep: the hosts, the standbys, who waits for them."""

from collections.abc import Iterator
from itertools import starmap
from typing import Final

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from models.database.connection_failures import describe_failures
from models.database.engine import open_engine
from models.monitoring.replication import Standbys
from models.settings.addresses import Host, database_hosts, with_host
from models.settings.listening import host_and_port
from models.settings.settings import Settings
from worker.doctor.finding import Finding, doubtful, ok, wrong
from worker.doctor.pooler import Place, place_of

HOSTS: Final = "PostgreSQL hosts"
STANDBYS: Final = "PostgreSQL standbys"
COMMITS: Final = "PostgreSQL commits"
_NAME: Final = "slipway doctor"
_ADDRESS: Final = "SLIPWAY_DATABASE_URL"
_USER: Final = text("SELECT session_user")
_FOLLOWS: Final = text("SELECT pg_is_in_recovery()")
# What ALTER ROLE or ALTER DATABASE sets for our user here; our own sessions override it.
WEAKENED: Final = text("""
    SELECT DISTINCT session_user AS login, split_part(config, '=', 2) AS value
      FROM pg_db_role_setting s CROSS JOIN LATERAL unnest(s.setconfig) AS config
     WHERE config ~* '^synchronous_commit=(off|false|no|0|local|remote_write)$'
       AND s.setrole IN (0, (SELECT oid FROM pg_roles WHERE rolname = session_user))
       AND s.setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))
     LIMIT 1""")


def check_hosts(settings: Settings) -> Iterator[Finding]:
    """Ask each of several hosts of the database URL what it is; there is nothing to say of one.

    One after the other, 5 s at most for each.
    """
    hosts = database_hosts(settings.database_url)
    if len(hosts) == 1:
        return
    primaries: dict[Place, list[Host]] = {}
    standbys, silent = list[Host](), list[str]()
    for host in hosts:
        url = with_host(settings.database_url, host)
        engine = open_engine(url, pool_size=1, application_name=_NAME)
        try:
            with engine.connect() as connection:
                if connection.execute(_FOLLOWS).scalar_one():
                    standbys.append(host)
                else:
                    primaries.setdefault(place_of(connection), []).append(host)
        except DBAPIError as error:
            silent.append(describe_failures(error.orig or error, url))
        finally:
            engine.dispose()
    yield _judged_hosts(primaries, standbys, silent)


def _judged_hosts(
    primaries: dict[Place, list[Host]], standbys: list[Host], silent: list[str]
) -> Finding:
    writable = ", ".join(host_and_port(*host) for hosts in primaries.values() for host in hosts)
    if len(primaries) > 1:
        return wrong(
            HOSTS,
            f"{writable} are servers of their own, and each accepts writes: what one takes the"
            " other does not have",
            remedy="stop the one that was the primary before, at once, and make it a standby of the"
            " other; deploy/BACKUP.md says what to publish again",
        )
    if silent:
        return doubtful(
            HOSTS,
            f"the primary is {writable or 'unknown'}; {'; '.join(silent)}",
            remedy=f"bring it back, or correct {_ADDRESS}: no failover can lead there",
        )
    follow = ", ".join(starmap(host_and_port, standbys))
    return ok(HOSTS, f"the primary is {writable}" + (f"; {follow} follows" if follow else ""))


def check_commits(connection: Connection, standbys: Standbys) -> Iterator[Finding]:
    """Report whether what is committed reaches a standby, and a disk, before it counts."""
    yield from check_standbys(standbys, user=connection.execute(_USER).scalar_one())
    weakened = connection.execute(WEAKENED).one_or_none()
    if weakened is not None:
        yield doubtful(
            COMMITS,
            f"synchronous_commit = {weakened.value} is the default of {weakened.login} or of the"
            " database: Slipway's own sessions set it to on, but what is written with this user by"
            " other means may be lost",
            remedy=f'ALTER ROLE "{weakened.login}" RESET synchronous_commit; the same with ALTER'
            " DATABASE, and with IN DATABASE, if it was set there",
        )


def check_standbys(standbys: Standbys, *, user: str) -> Iterator[Finding]:
    """Report whether commits reach a standby before they count, as far as *user* may see that."""
    if standbys.stalled:
        yield wrong(
            STANDBYS,
            f"each commit waits for {standbys.required} synchronous standby, and"
            f" {standbys.missing or 1} is missing: nothing is applied, sent or closed",
            remedy="start the standby; if it is lost, decide whether to go on without it"
            " (deploy/RUNBOOK.md, SlipwayNoSynchronousStandby)",
        )
    elif standbys.required and standbys.hidden:
        yield doubtful(
            STANDBYS,
            f"each commit waits for {standbys.required} synchronous standby; {user} may not see"
            " whether one is there",
            remedy=f'let it see the states of replication: GRANT pg_monitor TO "{user}"',
        )
    elif standbys.required:
        yield ok(
            STANDBYS,
            f"each commit waits for {standbys.required} synchronous standby, and"
            f" {standbys.synchronous} of {standbys.senders} that follow are",
        )
    elif standbys.senders:
        yield ok(
            STANDBYS,
            f"{standbys.senders} follow, none of them synchronously: a failover loses what they had"
            " not received (deploy/BACKUP.md)",
        )
