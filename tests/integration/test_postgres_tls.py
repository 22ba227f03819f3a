"""PostgreSQL over TLS: one that does not prove itself is refused, with what to change."""

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

import pytest
from cryptography.fernet import Fernet
from sqlalchemy import text

from models.database.engine import open_engine
from models.migrations.runner import upgrade
from tests.support.authority import Authority
from tests.support.closed_port import closed_port
from tests.support.command_line import CommandLine
from tests.support.tls_postgres import TlsPostgres, tls_postgres

FAR = "postgresql.example.com"
AUTHORITIES = {"ours": Authority("ours"), "others": Authority("others")}
# What the server shows, what is found wrong with it, and what has to be changed.
CERTIFICATES: dict[str, tuple[str, Mapping[str, Any], str, str]] = {
    "of an authority that we do not trust": (
        "others",
        {},
        "certificate verify failed (unable to get local issuer certificate)",
        "must be valid now and of an authority in the file of sslrootcert",
    ),
    "for another host": (
        "ours",
        {"host": FAR},
        f'server certificate for "{FAR}" (and 1 other name) does not match host name "127.0.0.1"',
        "must name the server as its certificate does",
    ),
    "expired": (
        "ours",
        {"valid_for": timedelta(days=-1)},
        "certificate verify failed (certificate has expired)",
        "must be valid now and of an authority in the file of sslrootcert",
    ),
}


@pytest.fixture(scope="module")
def server() -> Iterator[TlsPostgres]:
    with tls_postgres(AUTHORITIES["ours"]) as running:
        upgrade(running.url())
        yield running


@pytest.fixture(autouse=True)
def proven(server: TlsPostgres) -> None:
    """Each test begins with a certificate that is right."""
    server.show(AUTHORITIES["ours"].issue("postgresql"))


@pytest.fixture
def slipway(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], server: TlsPostgres
) -> CommandLine:
    """A set-up whose Redis is unavailable, so that no test waits for workers to respond."""
    line = CommandLine(monkeypatch, capsys)
    line.export(
        database_url=server.url(),
        redis_url=f"redis://127.0.0.1:{closed_port()}/0",
        secret_key=Fernet.generate_key().decode(),
    )
    return line


def found(slipway: CommandLine, part: str) -> dict[str, Any]:
    """What the doctor says first of *part*."""
    findings = slipway("doctor", "--json").document()["findings"]
    finding: dict[str, Any] = next(each for each in findings if each["part"] == part)
    return finding


def test_a_server_that_proves_itself_is_used(slipway: CommandLine, server: TlsPostgres) -> None:
    engine = open_engine(server.url(), application_name="tests")
    with engine.begin() as connection:
        encrypted = connection.execute(
            text("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
        ).scalar_one()
    engine.dispose()

    finding = found(slipway, "PostgreSQL connection")

    assert encrypted
    assert finding["state"] == "ok"
    assert finding["detail"].endswith("and the server is verified")


@pytest.mark.parametrize(
    ("authority", "certificate", "detail", "remedy"), CERTIFICATES.values(), ids=CERTIFICATES
)
def test_one_that_does_not_is_refused_with_what_to_change(
    slipway: CommandLine,
    server: TlsPostgres,
    authority: str,
    certificate: Mapping[str, Any],
    detail: str,
    remedy: str,
) -> None:
    server.show(AUTHORITIES[authority].issue("postgresql", **certificate))

    finding = found(slipway, "PostgreSQL")
    command = slipway("operators", "list")

    assert finding["state"] == "wrong"
    assert f"127.0.0.1:{server.server.port}: " in finding["detail"]
    assert detail in finding["detail"]
    assert remedy in finding["remedy"]
    assert "SLIPWAY_DATABASE_URL" in finding["remedy"]
    assert remedy in command.err
    assert server.home.password not in f"{finding}{command.out}{command.err}"


@pytest.mark.parametrize("sslmode", ["prefer", "require", "verify-ca"])
def test_a_server_that_is_not_verified_is_doubtful(
    slipway: CommandLine, server: TlsPostgres, sslmode: str
) -> None:
    slipway.export(database_url=server.url(sslmode=sslmode))

    finding = found(slipway, "PostgreSQL connection")

    assert finding["state"] == "doubtful"
    assert f"sslmode={sslmode} does not verify that it is your server" in finding["detail"]
    assert "?sslmode=verify-full&sslrootcert=FILE" in finding["remedy"]


def test_a_server_without_tls_is_told_from_one_that_is_away(
    slipway: CommandLine, server: TlsPostgres, database: str
) -> None:
    """The embedded one is built without it."""
    slipway.export(
        database_url=f"{database}?sslmode=verify-full&sslrootcert={server.trusted}/ours.pem"
    )

    finding = found(slipway, "PostgreSQL")

    assert "server does not support SSL, but SSL was required" in finding["detail"]
    assert "set ssl = on in the server's postgresql.conf" in finding["remedy"]
