"""Servers that answer, and say no: each act breaks one of them on entry and repairs it on exit.

Only real refusals of the real servers; processes and load are the caller's. While a block lasts
others may speak to the servers, and may be refused as well. Killing a server, and cutting its
connections once, need no act: `Servers` has handles for that.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Final, LiteralString

import psycopg
from redis import Redis

from tests.faults.foreign_sessions import again_and_again, cheap_login, fill, with_triggers
from tests.faults.spare_valkey import Member, password_of, spare_of
from tests.support.closed_port import closed_port
from tests.support.databases import owner
from worker.local.servers import Servers

# Statement triggers, so that they cost a row nothing; a quarter of the statements fail, since a
# batch of several that never got through would prove an outage, not a conflict.
CONFLICT: Final = """
CREATE OR REPLACE FUNCTION conflict() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF random() < 0.25 THEN
        RAISE EXCEPTION 'on purpose' USING ERRCODE =
            (ARRAY['serialization_failure', 'deadlock_detected'])[1 + floor(random() * 2)::int];
    END IF;
    RETURN NULL;
END $$"""
DAWDLE: Final = """
CREATE OR REPLACE FUNCTION dawdle() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_sleep(0.3);
    RETURN NULL;
END $$"""
# What a damaged index, a full tablespace's file or a flaw of an extension makes it say.
SICKEN: Final = """
CREATE OR REPLACE FUNCTION sicken() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'on purpose' USING ERRCODE =
        (ARRAY['XX000', 'XX001', 'XX002'])[1 + floor(random() * 3)::int];
END $$"""
REPLICAS_NEVER_THERE: Final = 9
# The processes' sessions, not the harness'.
CANCEL: Final[LiteralString] = (
    "SELECT pg_cancel_backend(pid) FROM pg_stat_activity"
    " WHERE state = 'active' AND application_name LIKE 'slipway%'"
)
END: Final[LiteralString] = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    " WHERE pid <> pg_backend_pid() AND application_name LIKE 'slipway%'"
)


# --- Valkey ---


@contextmanager
def valkey_out_of_memory(servers: Servers) -> Iterator[None]:
    """`noeviction` and full: what needs room is refused (OOM), reading and XDEL go on."""
    with _admin(servers) as valkey:
        used = int(valkey.info("memory")["used_memory"])
        valkey.config_set("maxmemory", used // 2)  # well below: what is read makes no room
        try:
            yield
        finally:
            valkey.config_set("maxmemory", 0)


@contextmanager
def valkey_read_only(servers: Servers) -> Iterator[None]:
    """The primary becomes the replica of a dead server: writes are refused (READONLY)."""
    with _admin(servers) as valkey:
        valkey.replicaof("127.0.0.1", str(closed_port()))
        try:
            yield
        finally:
            valkey.replicaof("NO", "ONE")


@contextmanager
def valkey_lacks_replicas(servers: Servers) -> Iterator[None]:
    """`min-replicas-to-write` and too few replicas: writes are refused (NOREPLICAS)."""
    with _admin(servers) as valkey:
        before = valkey.config_get("min-replicas-to-write")["min-replicas-to-write"]
        valkey.config_set("min-replicas-to-write", REPLICAS_NEVER_THERE)
        try:
            yield
        finally:
            valkey.config_set("min-replicas-to-write", before or 0)


@contextmanager
def valkey_keys_of_another_type(servers: Servers) -> Iterator[None]:
    """What should be the lists of wakeups, and kombu's tables of them, is text (WRONGTYPE)."""
    keys = ("deliver", "sweep", "intake", "slipway.wakeups", "unacked", "unacked_index")
    with _admin(servers) as valkey:
        valkey.mset(dict.fromkeys(keys, "no list"))
        try:
            yield
        finally:
            valkey.delete(*keys)


@contextmanager
def valkey_fails_over(servers: Servers) -> Iterator[None]:
    """Two failovers to a replica that has all the data; each takes over the primary's address.

    On entry in good order, as for maintenance: who is connected stays connected to the old
    primary, which is a read-only replica now. On exit without warning: the new primary is killed,
    and the old one takes its place again. So the server that `servers` knows is back at the end.
    """
    address = servers.valkey.port
    original = Member(address, password_of(servers))
    with spare_of(servers) as (server, spare):
        try:
            spare.follow(original)
            original.hand_over(spare)
            yield
            spare.wait_until_replicated()
        finally:
            server.kill()
            original.become_primary(address)


# --- PostgreSQL ---


@contextmanager
def postgres_table_locked(servers: Servers) -> Iterator[None]:
    """A session holds the table of tickets: statements fail with 55P03 after `lock_timeout`."""
    with owner(servers.database_url) as session, session.transaction():
        session.execute("LOCK TABLE ticket IN ACCESS EXCLUSIVE MODE")
        yield


@contextmanager
def postgres_rows_locked(servers: Servers) -> Iterator[None]:
    """A session holds the newest tickets' rows and does not commit: 55P03 where one is needed."""
    with owner(servers.database_url) as session, session.transaction():
        session.execute(
            "SELECT 1 FROM ticket WHERE id > (SELECT max(id) - 2000 FROM ticket)"
            " ORDER BY id FOR UPDATE"  # in the order of all others: to wait, and not to deadlock
        )
        yield


@contextmanager
def postgres_deadlocks(servers: Servers) -> Iterator[None]:
    """A foreign session locks the newest tickets one by one, against the order of ours: 40P01.

    Who waits for one of them falls behind, and comes back with more tickets at once: after a
    second or two the two of them wait for each other.
    """
    newest = "SELECT id FROM ticket ORDER BY id DESC LIMIT 60"

    def lock_backwards(session: psycopg.Connection) -> None:
        with suppress(psycopg.errors.DeadlockDetected), session.transaction():
            for (ticket,) in session.execute(newest).fetchall():
                session.execute("SELECT 1 FROM ticket WHERE id = %s FOR UPDATE", [ticket])
                session.execute("SELECT pg_sleep(0.005)")

    with again_and_again(servers, lock_backwards, every=0.01):
        yield


@contextmanager
def postgres_conflicts(servers: Servers) -> Iterator[None]:
    """A quarter of the statements that write fail with 40001 or 40P01."""
    with with_triggers(servers, "conflict", CONFLICT):
        yield


@contextmanager
def postgres_internal_errors(servers: Servers) -> Iterator[None]:
    """Every statement that writes fails with XX000, XX001 or XX002: no event can help it."""
    with with_triggers(servers, "sicken", SICKEN):
        yield


@contextmanager
def postgres_statements_cancelled(servers: Servers) -> Iterator[None]:
    """Whatever writes is slow, and is cancelled as by `statement_timeout`: 57014."""
    with (
        with_triggers(servers, "dawdle", DAWDLE),
        again_and_again(servers, lambda session: session.execute(CANCEL), every=0.1),
    ):
        yield


@contextmanager
def postgres_sessions_ended(servers: Servers) -> Iterator[None]:
    """All sessions of the processes are ended, five times a second: 57P01, or no answer."""
    with again_and_again(servers, lambda session: session.execute(END), every=0.2):
        yield


@contextmanager
def postgres_read_only(servers: Servers) -> Iterator[None]:
    """Every transaction is read-only, as on a standby: writes are refused (25006)."""
    with owner(servers.database_url) as session:
        session.execute("SET default_transaction_read_only = off")
        session.execute("ALTER SYSTEM SET default_transaction_read_only = on")
        session.execute("SELECT pg_reload_conf()")
        try:
            yield
        finally:
            session.execute("ALTER SYSTEM RESET default_transaction_read_only")
            session.execute("SELECT pg_reload_conf()")


@contextmanager
def postgres_full(servers: Servers) -> Iterator[None]:
    """Foreign sessions hold all connections, reserved ones too; new ones are refused (53300)."""
    with ExitStack() as fillers:
        address = cheap_login(servers, fillers)
        session = fillers.enter_context(owner(servers.database_url))
        fill(address, fillers)
        session.execute(END)
        fill(address, fillers)
        yield


@contextmanager
def _admin(servers: Servers) -> Iterator[Redis]:
    with Redis.from_url(servers.redis_url, socket_timeout=5, decode_responses=True) as valkey:
        yield valkey
