"""The small backup: pg_dump and pg_restore, as deploy/BACKUP.md describes them."""

from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from models.database.engine import open_engine
from models.migrations.runner import upgrade
from tests.support import databases
from tests.support.backups import commands, run
from tests.support.delivery_setup import delivery_setup_on
from tests.support.manual_clock import ManualClock
from tests.support.tombstones import leave_tombstone
from worker.local.servers import Servers

TABLES = "SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY tablename"


def test_a_dump_brings_back_every_row_and_what_comes_next(
    servers: Servers, database: str, tmp_path: Path
):
    plain = database.replace("+psycopg", "")
    engine = open_engine(database, application_name="tests")
    with delivery_setup_on(engine, ManualClock()) as delivery:
        delivery.operator("acme", "http://127.0.0.1:9/")
        delivery.publish("acme", ("ticket_win", "T1"), ("ticket_rollback", "T1"))
        leave_tombstone(engine, "acme", "T0")

        run(commands("dump", tmp_path), DATABASE_URL=plain)
    engine.dispose()
    restored = databases.create(servers.database_url, "restored")
    try:
        run(commands("restore-dump", tmp_path), RESTORED_URL=restored.replace("+psycopg", ""))
        upgrade(restored)

        assert rows(restored) == rows(database)
        engine = open_engine(restored, application_name="tests")
        with delivery_setup_on(engine, ManualClock()) as delivery:
            delivery.operator("another", "http://127.0.0.1:9/")
            delivery.publish("acme", ("ticket_win", "T2"))
        engine.dispose()
    finally:
        databases.drop(servers.database_url, "restored")


def rows(url: str) -> dict[str, list[tuple[Any, ...]]]:
    """What each table holds."""
    with psycopg.connect(url.replace("+psycopg", "")) as connection:
        return {
            table: sorted(connection.execute(sql.SQL("TABLE {}").format(sql.Identifier(table))))
            for (table,) in connection.execute(TABLES).fetchall()
        }
