"""Opening PostgreSQL without a server in sight, and which errors mean "the same again, later"."""

import psycopg
import pytest
from psycopg import errors
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError, InterfaceError
from sqlalchemy.exc import TimeoutError as PoolIsExhausted
from sqlalchemy.pool import QueuePool

from models.addresses import database_address
from models.database import is_transient, open_engine

NOBODY = "postgresql://slipway:hidden@127.0.0.1:1/slipway"  # port 1: nobody listens there


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
def test_the_servers_trouble_means_the_whole_chunk_again(kind: type[psycopg.Error]) -> None:
    """protocol.md rule 21."""
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
        pytest.param(errors.InFailedSqlTransaction, id="25P02"),
        pytest.param(errors.ProgramLimitExceeded, id="54000"),
        pytest.param(psycopg.DataError, id="a NUL, refused before it is sent"),
        pytest.param(psycopg.ProgrammingError, id="a parameter that cannot be adapted"),
    ],
)
def test_what_a_row_can_cause_means_splitting(kind: type[psycopg.Error]) -> None:
    """protocol.md rule 21."""
    assert not is_transient(kind("poison"))
    assert not is_transient(wrapped(kind("poison")))


def test_a_connection_that_was_given_up_is_transient_whatever_was_said() -> None:
    gone = psycopg.InterfaceError("the cursor is closed")

    assert is_transient(wrapped(gone, invalidated=True))
    assert not is_transient(InterfaceError("SELECT 1", {}, gone))


def test_a_pool_without_a_free_connection_is_transient() -> None:
    assert is_transient(PoolIsExhausted())


def test_an_error_of_another_kind_is_not_transient() -> None:
    assert not is_transient(ValueError("ours"))
    assert not is_transient(TimeoutError("a partner's, not the database's"))


@pytest.fixture
def engine() -> Engine:
    """Open an engine; nobody is asked for anything by that."""
    return open_engine(NOBODY, application_name="slipway intake", pool_size=3)


def test_an_engine_connects_only_when_it_is_used(engine: Engine) -> None:
    assert isinstance(engine.pool, QueuePool)
    assert engine.pool.checkedin() == 0
    assert engine.pool.size() == 3
    assert engine.dialect.driver == "psycopg"


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
    "url",
    [
        "",
        "host:5432",
        "mysql://u:hidden@host/name",
        "postgresql+asyncpg://u:hidden@host/name",
        "postgresql://u:hid/den@host/name",
        "postgresql://u:hidden@host:port/name",
    ],
)
def test_another_database_url_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(ValueError, match="URL") as refusal:
        database_address(url)

    assert "hid" not in str(refusal.value)
