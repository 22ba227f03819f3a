"""A test finds its database as new, whatever the test before did to it."""

from collections.abc import Iterator

import psycopg
import pytest

from tests.support import databases
from tests.support.reused_databases import USES_MAX, ReusedDatabases

ADD = """INSERT INTO operator (code, protocol, url, secret, agent, close_delay, announces_tickets)
         VALUES ('acme', 'pam', 'https://partner.example/', 'sealed', 'agent', '1 day', false)"""
REFUSED = ADD.replace("'pam'", "'no protocol'")
UNDONE = f"DO $$ BEGIN {REFUSED}; EXCEPTION WHEN check_violation THEN END $$"
OF_DATABASE = "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I {}', current_database()); END $$"
ROWS = [ADD, f"BEGIN; {ADD}; ANALYZE operator; ROLLBACK", UNDONE]
MORE = [
    f"{ADD}; ANALYZE",
    "BEGIN; ANALYZE; ROLLBACK",
    "CREATE TABLE elsewhere ()",
    "CREATE FUNCTION nothing() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "ALTER TABLE ticket ADD CHECK (id > 0)",
    "ALTER TABLE ticket ENABLE ROW LEVEL SECURITY",
    "ALTER TABLE rejected_input RENAME TO elsewhere",
    "ALTER TABLE rejected_input SET UNLOGGED",
    "ALTER TABLE notice SET (autovacuum_enabled = false)",
    "ALTER TABLE ticket ALTER COLUMN sequence TYPE numeric",
    "DROP INDEX ticket_event_window_end",
    "GRANT SELECT ON ticket TO PUBLIC",
    "UPDATE alembic_version SET version_num = '0001'",
    OF_DATABASE.format("SET work_mem = 64"),
    OF_DATABASE.format("CONNECTION LIMIT 9"),
]
FACTS = """
    SELECT ARRAY(SELECT (relname, relkind, relacl, relpersistence, relrowsecurity, reloptions,
                         CASE relkind WHEN 'r' THEN reltuples END,
                         CASE relkind WHEN 'r' THEN pg_relation_size(oid) END)::text
                   FROM pg_class WHERE relnamespace = 'public'::regnamespace ORDER BY oid),
           ARRAY(SELECT (seqrelid::regclass, pg_sequence_last_value(seqrelid))::text
                   FROM pg_sequence ORDER BY 1),
           ARRAY(SELECT (attrelid::regclass, attname, atttypid::regtype)::text
                   FROM pg_attribute WHERE attnum > 0 AND attrelid > 16383 ORDER BY 1),
           ARRAY(SELECT pg_get_constraintdef(oid) FROM pg_constraint ORDER BY 1),
           ARRAY(SELECT version_num FROM alembic_version),
           ARRAY(SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace),
           (SELECT count(*) FROM pg_statistic s WHERE s.starelid > 16383),
           (SELECT count(*) FROM pg_db_role_setting),
           (SELECT datconnlimit FROM pg_database WHERE datname = current_database())"""


@pytest.fixture
def lender(servers, template, database_names) -> Iterator[ReusedDatabases]:
    made = ReusedDatabases(servers.database_url, template=template, names=database_names)
    yield made
    made.close()


def change(url: str, statements: str) -> None:
    with databases.owner(url) as person:
        person.execute(statements.encode())


@pytest.mark.parametrize("statements", ROWS)
def test_rows_are_removed_and_numbers_begin_again(lender, statements):
    with lender.lent() as first:
        new = databases.ask(first, FACTS)
        change(first, statements)
        assert databases.ask(first, FACTS) != new

    with lender.lent() as second:
        assert databases.ask(second, FACTS) == new
    assert first == second


@pytest.mark.parametrize("statements", MORE)
def test_what_is_more_than_rows_is_left_to_nobody(lender, statements):
    with lender.lent() as first:
        new = databases.ask(first, FACTS)
        change(first, statements)
        assert databases.ask(first, FACTS) != new

    with lender.lent() as second:
        assert databases.ask(second, FACTS) == new
    assert first != second


def test_who_is_still_in_a_transaction_is_ended_and_that_database_goes(lender):
    with lender.lent() as first:
        forgotten = databases.connect(first)
        forgotten.execute(f"BEGIN; {ADD}".encode())

    with lender.lent() as second:
        assert databases.ask(second, "SELECT count(*) FROM operator") == (0,)
    assert first != second
    with pytest.raises(psycopg.OperationalError):
        forgotten.execute("COMMIT")
    forgotten.close()


def test_who_is_still_connected_is_ended_with_its_locks(lender):
    with lender.lent() as first:
        forgotten = databases.connect(first)
        forgotten.execute("SELECT pg_advisory_lock(1)")

    with lender.lent() as second:
        assert databases.ask(second, "SELECT pg_try_advisory_lock(1)") == (True,)
        assert first == second
    with pytest.raises(psycopg.OperationalError):
        forgotten.execute("SELECT")
    forgotten.close()


def test_two_at_once_are_two(lender):
    with lender.lent() as first, lender.lent() as second:
        assert first != second


def test_one_that_was_emptied_many_times_is_replaced(lender):
    addresses = []
    for _ in range(USES_MAX + 1):
        with lender.lent() as url:
            addresses.append(url)

    assert len(set(addresses)) == 2
