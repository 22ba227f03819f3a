"""Opening PostgreSQL where no server runs, and which errors mean that the batch is tried again."""

import psycopg
import pytest
from psycopg import errors
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError, InterfaceError, StatementError
from sqlalchemy.exc import TimeoutError as PoolIsExhausted
from sqlalchemy.pool import QueuePool

from models.database.engine import open_engine
from models.database.errors import Blame, blame, is_transient
from models.settings.addresses import (
    database_address,
    database_hosts,
    shown_database,
    with_host,
)

NO_SERVER = "postgresql://slipway:hidden@127.0.0.1:1/slipway"  # nothing listens on port 1


def wrapped(error: psycopg.Error, *, invalidated: bool = False) -> DBAPIError:
    """Wrap a driver's error as SQLAlchemy does."""
    return DBAPIError("SELECT 1", {}, error, connection_invalidated=invalidated)


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param(errors.ConnectionFailure, id="08006"),
        pytest.param(errors.TransactionResolutionUnknown, id="08007"),
        pytest.param(errors.SerializationFailure, id="40001"),
        pytest.param(errors.DeadlockDetected, id="40P01"),
        pytest.param(errors.DiskFull, id="53100"),
        pytest.param(errors.OutOfMemory, id="53200"),
        pytest.param(errors.TooManyConnections, id="53300"),
        pytest.param(errors.ObjectInUse, id="55006"),
        pytest.param(errors.LockNotAvailable, id="55P03"),
        pytest.param(errors.QueryCanceled, id="57014"),
        pytest.param(errors.AdminShutdown, id="57P01"),
        pytest.param(errors.CannotConnectNow, id="57P03"),
        pytest.param(errors.IoError, id="58030"),
        pytest.param(errors.ReadOnlySqlTransaction, id="25006"),
        pytest.param(errors.IdleInTransactionSessionTimeout, id="25P03"),
        pytest.param(psycopg.OperationalError, id="the server closed the connection"),
        pytest.param(errors.ConnectionTimeout, id="no answer to connecting"),
    ],
)
def test_a_failure_of_the_server_means_the_whole_batch_again(kind: type[psycopg.Error]) -> None:
    """Rule 21."""
    assert is_transient(kind("trouble"))
    assert is_transient(wrapped(kind("trouble")))


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param(errors.CardinalityViolation, id="21000"),
        pytest.param(errors.NumericValueOutOfRange, id="22003"),
        pytest.param(errors.UntranslatableCharacter, id="22P05"),
        pytest.param(errors.CheckViolation, id="23514"),
        pytest.param(errors.UniqueViolation, id="23505"),
        pytest.param(psycopg.DataError, id="a NUL, refused before it is sent"),
    ],
)
def test_what_a_row_can_cause_means_splitting(kind: type[psycopg.Error]) -> None:
    """Rule 21."""
    assert blame(kind("poison")) is Blame.CONTENT
    assert not is_transient(wrapped(kind("poison")))


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param(errors.NoActiveSqlTransaction, id="25P01"),
        pytest.param(errors.InFailedSqlTransaction, id="25P02"),
        pytest.param(errors.InvalidSqlStatementName, id="26000"),
        pytest.param(errors.InvalidCursorName, id="34000"),
        pytest.param(errors.ProgramLimitExceeded, id="54000"),
        pytest.param(errors.RaiseException, id="P0001"),
        pytest.param(errors.InternalError_, id="XX000"),
        pytest.param(errors.DataCorrupted, id="XX001"),
        pytest.param(errors.IndexCorrupted, id="XX002"),
        pytest.param(psycopg.ProgrammingError, id="a parameter that cannot be adapted"),
        pytest.param(psycopg.InterfaceError, id="the cursor is closed"),
    ],
)
def test_what_no_row_can_cause_blames_no_row(kind: type[psycopg.Error]) -> None:
    """Nor is it known to pass: of neither list, so it is waited for, within limits."""
    assert blame(kind("sick")) is Blame.UNCLEAR
    assert blame(wrapped(kind("sick"))) is Blame.UNCLEAR


def test_every_sqlstate_outside_the_three_classes_of_rows_blames_no_row() -> None:
    """All that psycopg knows, so that none is forgotten."""
    known = [kind for kind in vars(errors).values() if isinstance(kind, type)]
    kinds = [kind for kind in known if issubclass(kind, psycopg.Error) and kind.sqlstate]
    blamed = {str(kind.sqlstate)[:2] for kind in kinds if not is_transient(kind("any"))}

    assert len(kinds) > 200, "it finds them"
    assert blamed == {"21", "22", "23"}


@pytest.mark.parametrize(
    ("value", "encoding", "whose"),
    [
        pytest.param("\ud800", "utf-8", Blame.CONTENT, id="half a character"),
        pytest.param("5 €", "iso8859-1", Blame.UNCLEAR, id="a database that is not UTF8"),
        pytest.param("é", "ascii", Blame.UNCLEAR, id="a locale without encoding"),
    ],
)
def test_a_text_that_cannot_be_encoded_blames_the_row_in_utf_8_alone(
    value: str, encoding: str, whose: Blame
) -> None:
    with pytest.raises(UnicodeEncodeError) as refusal:
        value.encode(encoding)

    assert blame(refusal.value) is whose


def test_a_connection_that_was_given_up_is_transient_whatever_was_said() -> None:
    gone = psycopg.InterfaceError("the cursor is closed")

    assert is_transient(wrapped(gone, invalidated=True))
    assert blame(wrapped(gone, invalidated=True)) is Blame.SERVER
    assert blame(InterfaceError("SELECT 1", {}, gone)) is Blame.UNCLEAR


def test_a_pool_without_a_free_connection_is_transient() -> None:
    assert is_transient(PoolIsExhausted())


def test_an_error_of_our_program_is_the_contents() -> None:
    assert not is_transient(ValueError("ours"))
    assert not is_transient(KeyError("ours"))
    assert not is_transient(StatementError("ours", "SELECT 1", {}, TypeError("a bind value")))


@pytest.mark.parametrize("error", [MemoryError(), OSError(24, "Too many open files")])
def test_a_machine_that_lacks_something_blames_no_row(error: Exception) -> None:
    assert blame(error) is Blame.UNCLEAR


@pytest.fixture
def engine() -> Engine:
    """Open an engine; that queries no server."""
    return open_engine(NO_SERVER, application_name="slipway intake", pool_size=3)


def test_an_engine_connects_only_when_it_is_used(engine: Engine) -> None:
    assert isinstance(engine.pool, QueuePool)
    assert engine.pool.checkedin() == 0
    assert engine.pool.size() == 3
    assert engine.driver == "psycopg"


def test_a_server_that_is_not_there_is_transient_and_names_no_password(engine: Engine) -> None:
    with pytest.raises(DBAPIError) as refusal, engine.connect():
        pass

    assert is_transient(refusal.value)
    assert "hidden" not in f"{refusal.value}{engine!r}"


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg", "POSTGRES"])
def test_every_usual_postgresql_url_is_taken(scheme: str) -> None:
    url = f"{scheme}://user:p%40ss@host:5432/name?sslmode=require"

    assert database_address(url) == (
        "postgresql+psycopg://user:p%40ss@host:5432/name?sslmode=require"
    )


@pytest.mark.parametrize(
    ("hosts", "parameters"),
    [
        ("a:1,b:2/name", "host=a,b&port=1,2&target_session_attrs=read-write"),
        (
            "a,b:2/name?sslmode=require",
            "sslmode=require&host=a,b&port=5432,2&target_session_attrs=read-write",
        ),
        (
            "a,b/name?target_session_attrs=any&sslmode=require",
            "sslmode=require&host=a,b&port=5432,5432&target_session_attrs=any",
        ),
        ("[::1]:1,[::2]/name", "host=::1,::2&port=1,5432&target_session_attrs=read-write"),
        ("/name?host=a,b&port=7", "host=a,b&port=7,7&target_session_attrs=read-write"),
        ("/name?host=a:1&host=b:2", "host=a,b&port=1,2&target_session_attrs=read-write"),
    ],
)
def test_of_several_hosts_the_one_that_takes_writes_is_used(hosts: str, parameters: str) -> None:
    address = database_address(f"postgresql://u:p@{hosts}")

    assert address == f"postgresql+psycopg://u:p@/name?{parameters}"
    assert database_address(address) == address


@pytest.mark.parametrize(
    ("place", "shown"),
    [
        ("host:6000/name", "host:6000/name"),
        ("host/name?sslmode=require", "host:5432/name"),
        ("a:1,b:2/name", "a:1,b:2/name"),
        ("[::1]:1,[::2]/name", "[::1]:1,[::2]:5432/name"),
        ("/name?host=/var/run/postgresql&port=6000", "/var/run/postgresql:6000/name"),
        ("/name", "localhost:5432/name"),
    ],
)
def test_a_person_is_shown_every_host_and_the_database(place: str, shown: str) -> None:
    address = database_address(f"postgresql://u:hidden@{place}")

    assert shown_database(address) == shown
    for each in database_hosts(address):
        (own,) = database_hosts(database_address(with_host(address, each)))
        assert own == each


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("a:port,b:2/name", "the port of a in the database URL is no number from 1 to 65535"),
        ("a:1,b:99999/name", "the port of b in the database URL is no number from 1 to 65535"),
        ("a:0/name", "the port of a in the database URL is no number from 1 to 65535"),
        ("a:1,,b:2/name", "host 2 of 3 in the database URL is empty; expected: postgresql://"),
        ("a:1,b:2,/name", "host 3 of 3 in the database URL is empty"),
        ("a:1,b%2F:2/name", "host 2 of 2 in the database URL is neither a name nor an address"),
        (
            "/name?host=a,b&port=1,2,3",
            r"names 2 hosts \(a, b\) and 3 ports; expected: one port for each host, or one for",
        ),
        ("a:1,b:2/name?port=3", "names hosts and ports in one place"),
        ("a:1,b:2/name?host=c", "names hosts and ports in one place"),
        ("a,b/name?target_session_attrs=standby", "must lead to a server that takes writes"),
        ("a,b/name?target_session_attrs=readwrite", "expected: read-write"),
        ("a/name?sslmode=verify", "sslmode in the database URL is unknown; expected: disable"),
        ("a/name?sslrootcrt=FILE", "libpq does not know; the nearest one is sslrootcert"),
    ],
)
def test_hosts_and_parameters_that_cannot_work_are_named(place: str, message: str) -> None:
    with pytest.raises(ValueError, match=message) as refusal:
        database_address(f"postgresql://user:hidden@{place}")

    assert "hidden" not in str(refusal.value)


def test_every_parameter_of_libpq_is_known() -> None:
    names = {option.keyword.decode() for option in psycopg.pq.Conninfo.get_defaults()}

    unknown = [name for name in names if not _is_known(name)]

    assert unknown == []
    assert not _is_known("sslrootcrt")


def _is_known(name: str) -> bool:
    value = {"sslmode": "require", "target_session_attrs": "any", "port": "1"}.get(name, "")
    try:
        database_address(f"postgresql://u:p@host/name?{name}={value}")
    except ValueError as refusal:
        return "libpq does not know" not in str(refusal)
    return True


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("connect_timeout=3", "connect_timeout in the database URL: Slipway sets it itself"),
        ("application_name=", "application_name in the database URL"),
        ("options=-c%20statement_timeout%3D0", "may set search_path and nothing else"),
        ("options=-c%20search_path%3Da%20-c%20timezone%3DUTC", "may set search_path and nothing"),
    ],
)
def test_what_would_be_overwritten_in_the_url_is_refused(query: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        database_address(f"postgresql://u:p@host/name?{query}")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "host:5432",
        "mysql://u:hidden@host/name",
        "postgresql+asyncpg://u:hidden@host/name",
        "postgresql://u:hid/den@host/name",
        "postgresql://u:hidden@host:port/name",
        "postgresql://u:1@hidden@host/name",
        "postgresql://u:1/hidden@host/name",
        "postgresql://u:1?hidden@host/name",
        "postgresql://u:1#hidden@host/name",
        "postgresql://u:hid den@host/name",
        "postgresql://u:hid\nden@host/name",
        "postgresql://host/name?password=hidden",
        "postgresql://u:hidden@[::1:1,[::2]:2/name",
        "postgresql://u:hid@den@a:1,b:2/name",
    ],
)
def test_another_database_url_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(ValueError, match="URL") as refusal:
        database_address(url)

    assert "hid" not in str(refusal.value)
