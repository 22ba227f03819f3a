"""`slipway doctor` on a PostgreSQL that somebody changed: each test breaks one thing for real."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import Engine, make_url

from models.database.engine import open_engine
from models.settings.addresses import database_address
from tests.support.authority import Authority
from tests.support.command_line import CommandLine
from tests.support.databases import owner
from tests.support.delivery_setup import KEY
from worker.doctor.connections import check_database_files
from worker.doctor.database import SCHEMA, check_database
from worker.doctor.database_limits import check_other_sessions, check_room
from worker.doctor.finding import Finding, State
from worker.doctor.tables import check_tables

NOW = datetime.now(UTC)  # noqa: TID251 - the certificates are valid around it
CLERK = "doctors_clerk"  # a role as operations make it: owner of nothing
GRANTS = f"""
    GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {CLERK};
    GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {CLERK}"""


@dataclass(frozen=True)
class Office:
    """A database, whose owner changes it, and the clerk's address."""

    database: str
    clerk: str

    @property
    def plain(self) -> str:
        """The clerk's address as psycopg takes it."""
        return self.clerk.replace("+psycopg", "")

    def change(self, *statements: str) -> None:
        """Execute each statement as the owner, outside any transaction."""
        with owner(self.database) as connection:
            for statement in statements:
                connection.execute(statement.encode())

    def finds(self, check: Callable[[Engine], list[Finding]]) -> list[Finding]:
        """What a check finds as the clerk."""
        engine = open_engine(self.clerk, application_name="tests", pool_size=1)
        try:
            return check(engine)
        finally:
            engine.dispose()


@pytest.fixture
def clerk(servers, database) -> Iterator[str]:
    """The address of the test's database for the clerk, who may use its tables."""
    with owner(database) as connection:
        connection.execute(f"CREATE ROLE {CLERK} LOGIN PASSWORD 'writes'".encode())
        connection.execute(GRANTS.encode())
    url = make_url(database).set(username=CLERK, password="writes")
    yield url.render_as_string(hide_password=False)
    with owner(database) as connection:
        connection.execute(f"DROP OWNED BY {CLERK}".encode())
        connection.execute(f"DROP ROLE {CLERK}".encode())


@pytest.fixture
def office(database, clerk) -> Office:
    return Office(database, clerk)


def command_line(office, monkeypatch, capsys) -> CommandLine:
    """A terminal with the clerk's address; its Redis is unavailable: port 1 is nobody's."""
    line = CommandLine(monkeypatch, capsys)
    line.export(database_url=office.clerk, redis_url="redis://127.0.0.1:1/0", secret_key=KEY)
    return line


def tables(engine: Engine) -> list[Finding]:
    with engine.begin() as connection:
        return [*check_tables(connection)]


def room(engine: Engine) -> list[Finding]:
    with engine.begin() as connection:
        return [*check_room(connection, pooled=False)]


def room_behind_a_pooler(engine: Engine) -> list[Finding]:
    with engine.begin() as connection:
        return [*check_room(connection, pooled=True)]


def sessions(engine: Engine) -> list[Finding]:
    with engine.begin() as connection:
        return [*check_other_sessions(connection)]


def schema(engine: Engine) -> list[Finding]:
    with engine.begin() as connection:
        return [each for each in check_database(connection) if each.part == SCHEMA]


def test_what_the_migrations_made_is_as_it_should_be(office):
    assert office.finds(tables) == []
    assert office.finds(sessions) == []
    assert [finding.state for finding in office.finds(schema)] == [State.OK]


# --- tables ---


def test_row_level_security_that_hides_rows_is_named(office):
    office.change("ALTER TABLE ticket ENABLE ROW LEVEL SECURITY")

    (finding,) = office.finds(tables)

    assert finding.state is State.WRONG
    assert "hides rows of ticket from this role" in finding.detail
    assert "ALTER TABLE ticket DISABLE ROW LEVEL SECURITY" in str(finding.remedy)


def test_a_table_that_a_crash_would_empty_is_named(office):
    office.change("ALTER TABLE rejected_input SET UNLOGGED")

    (finding,) = office.finds(tables)

    assert finding.state is State.WRONG
    assert "unlogged: rejected_input" in finding.detail
    assert "ALTER TABLE rejected_input SET LOGGED" in str(finding.remedy)


def test_an_index_that_somebody_dropped_is_named(office):
    office.change("DROP INDEX ticket_event_window_end")

    (finding,) = office.finds(tables)

    assert finding.state is State.WRONG
    assert "missing indexes: ticket_event_window_end" in finding.detail
    assert "CREATE INDEX CONCURRENTLY" in str(finding.remedy)


def test_an_index_whose_building_failed_is_named(office):
    office.change(
        "DROP INDEX ticket_event_window_end",
        "CREATE TABLE elsewhere (number int)",
        "INSERT INTO elsewhere VALUES (1), (1)",
    )
    with pytest.raises(psycopg.errors.UniqueViolation):
        office.change(
            "CREATE UNIQUE INDEX CONCURRENTLY ticket_event_window_end ON elsewhere (number)"
        )

    (finding,) = office.finds(tables)

    assert "invalid indexes, which no statement uses: ticket_event_window_end" in finding.detail
    assert finding.remedy == "REINDEX INDEX CONCURRENTLY ticket_event_window_end"


def test_a_trigger_that_is_not_ours_is_doubtful(office):
    office.change(
        "CREATE FUNCTION watch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
        "CREATE TRIGGER watching BEFORE INSERT ON ticket FOR EACH ROW EXECUTE FUNCTION watch()",
    )

    (finding,) = office.finds(tables)
    office.change("ALTER TABLE ticket DISABLE TRIGGER watching")

    assert finding.state is State.DOUBTFUL
    assert "watching on ticket" in finding.detail
    assert office.finds(tables) == []


def test_a_table_without_autovacuum_is_doubtful(office):
    office.change("ALTER TABLE notice SET (autovacuum_enabled = false)")

    (finding,) = office.finds(tables)

    assert finding.state is State.DOUBTFUL
    assert finding.remedy == "ALTER TABLE notice RESET (autovacuum_enabled)"


# --- connections and sessions ---


def test_a_role_with_fewer_connections_than_one_of_each_process_has_is_doubtful(office):
    office.change(f"ALTER ROLE {CLERK} CONNECTION LIMIT 20")

    (finding,) = office.finds(room)

    assert f"the role {CLERK} may have 20" in finding.detail
    assert f'ALTER ROLE "{CLERK}" CONNECTION LIMIT' in str(finding.remedy)
    assert office.finds(room_behind_a_pooler) == []


def test_a_role_that_has_nearly_all_its_connections_is_doubtful(office):
    office.change(f"ALTER ROLE {CLERK} CONNECTION LIMIT 1")

    (finding,) = office.finds(room_behind_a_pooler)

    assert f"the role {CLERK} has 1 of 1" in finding.detail


def test_a_database_with_too_few_connections_is_doubtful(office):
    name = make_url(office.database).database
    office.change(f"ALTER DATABASE {name} CONNECTION LIMIT 30")

    (finding,) = office.finds(room)

    assert f"the database {name} may have 30" in finding.detail
    assert f'ALTER DATABASE "{name}" CONNECTION LIMIT' in str(finding.remedy)


def test_no_connection_left_is_told_from_an_outage(office, monkeypatch, capsys):
    office.change(f"ALTER ROLE {CLERK} CONNECTION LIMIT 1")
    slipway = command_line(office, monkeypatch, capsys)

    with psycopg.connect(office.plain):
        document = slipway("doctor", "--json").document()

    (finding,) = [each for each in document["findings"] if each["part"] == "PostgreSQL"]
    assert "too many connections for role" in finding["detail"]
    assert "CONNECTION LIMIT" in finding["remedy"]
    assert "writes" not in str(finding)


@pytest.mark.parametrize("name", ["idle_session_timeout", "transaction_timeout"])
def test_a_limit_that_ends_our_sessions_is_named(office, name):
    with owner(office.database) as connection:
        if name == "transaction_timeout" and connection.info.server_version < 170_000:
            pytest.skip("PostgreSQL 17 and later have it")
    office.change(f"ALTER ROLE {CLERK} SET {name} = '45s'")

    (finding,) = office.finds(sessions)

    assert f"{name} is 45000 ms" in finding.detail
    assert f"SET {name} = 0" in str(finding.remedy)


def test_a_transaction_that_somebody_forgot_is_named(office, engine):
    def forgotten(clerk: Engine) -> list[Finding]:
        with clerk.begin() as connection:
            return [*check_other_sessions(connection, longest=timedelta())]

    with psycopg.connect(office.plain, application_name="a notebook") as connection:
        connection.execute("SELECT 1")
        (finding,) = office.finds(forgotten)
        pid = connection.info.backend_pid

    assert f"a transaction of a notebook (pid {pid}) is open" in finding.detail
    assert f"pg_terminate_backend({pid})" in str(finding.remedy)


def test_a_process_of_another_version_is_named(office):
    with psycopg.connect(office.plain, application_name="slipway intake 0.0.1"):
        (finding,) = office.finds(sessions)

    assert "slipway intake 0.0.1" in finding.detail
    assert "restart what was left behind" in str(finding.remedy)


# --- the schema and its rights ---


def test_a_role_that_may_not_enter_the_schema_is_told_so(office):
    office.change("REVOKE USAGE ON SCHEMA public FROM PUBLIC")

    (finding,) = office.finds(schema)

    assert f"{CLERK} may not use the schema public, which has the tables" in finding.detail
    assert f'GRANT USAGE ON SCHEMA "public" TO "{CLERK}"' in str(finding.remedy)


def test_tables_that_the_search_path_does_not_reach_are_found(office):
    office.change(
        "CREATE SCHEMA elsewhere",
        f"GRANT USAGE ON SCHEMA elsewhere TO {CLERK}",
        f"ALTER ROLE {CLERK} SET search_path = elsewhere",
    )

    (finding,) = office.finds(schema)

    assert finding.detail == "the tables are in the schema public, and search_path is elsewhere"
    assert "?options=-c%20search_path%3Dpublic" in str(finding.remedy)


def test_a_role_that_may_create_no_tables_is_told_so_before_it_migrates(office, empty_database):
    clerk = make_url(office.clerk).set(database=make_url(empty_database).database)
    empty = Office(empty_database, clerk.render_as_string(hide_password=False))

    (finding,) = empty.finds(schema)

    assert f"there are no tables, and {CLERK} may create none in public" in finding.detail
    assert f'GRANT CREATE ON SCHEMA public TO "{CLERK}"' in str(finding.remedy)


# --- files, and everything in one report ---


def test_a_certificate_in_the_database_url_that_expires_soon_is_named(tmp_path: Path):
    authority = Authority("ours")
    (tmp_path / "ca.pem").write_bytes(authority.pem)
    chain, key = authority.issue("slipway", host=None).write(tmp_path, "client")
    address = database_address(
        f"postgresql://slipway@db/x?sslmode=verify-full&sslrootcert={tmp_path}/ca.pem"
        f"&sslcert={chain}&sslkey={key}"
    )

    (finding,) = check_database_files(address, now=NOW)

    assert finding.state is State.DOUBTFUL
    assert f"{chain} (sslcert) expires at" in finding.detail
    assert "no restart is needed" in str(finding.remedy)
    assert [*check_database_files("postgresql+psycopg://slipway@db/x", now=NOW)] == []


def test_doctor_reports_all_of_it(office, engine, monkeypatch, capsys):
    office.change(
        f"ALTER ROLE {CLERK} CONNECTION LIMIT 20",
        f"ALTER ROLE {CLERK} SET idle_session_timeout = '45s'",
        "ALTER TABLE ticket ENABLE ROW LEVEL SECURITY",
    )
    slipway = command_line(office, monkeypatch, capsys)
    monkeypatch.setenv("PGTARGETSESSIONATTRS", "any")

    document = slipway("doctor", "--json").document()

    by_part = {finding["part"]: finding for finding in document["findings"]}
    assert by_part["tables"]["state"] == "wrong"
    assert by_part["PostgreSQL connections"]["state"] == "doubtful"
    assert by_part["PostgreSQL sessions"]["state"] == "doubtful"
    assert "PGTARGETSESSIONATTRS" in by_part["this machine"]["detail"]
    assert all(finding["remedy"] for finding in by_part.values() if finding["state"] == "wrong")
