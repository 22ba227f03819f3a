"""A PostgreSQL that is too old for the tables: refused when a process or command connects."""

import struct

import pytest

from models.database.engine import require_usable_database
from models.database.session import UnusableDatabase
from tests.support.command_line import CommandLine
from tests.support.delivery_setup import KEY
from tests.support.raw_server import HEARD_MAX, Line, raw_server
from worker.doctor.certificate import SSL_REQUEST

PASSWORD = "s3cret"
GSS_REQUEST = struct.pack("!ii", 8, 80877104)


def test_a_server_that_is_too_old_is_not_used(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    slipway = CommandLine(monkeypatch, capsys)
    slipway.export(redis_url="redis://127.0.0.1:1/0", secret_key=KEY)
    with raw_server(speak_postgres_14) as old:
        url = f"postgresql://slipway:{PASSWORD}@127.0.0.1:{old.port}/slipway"
        slipway.export(database_url=url)
        with pytest.raises(UnusableDatabase) as refusal:
            require_usable_database(url, application_name="tests")
        ended = [slipway("migrate"), slipway("operators", "list")]

    for text in (str(refusal.value), *(each.err for each in ended)):
        assert f"127.0.0.1:{old.port} is PostgreSQL 14" in text
        assert "Upgrade it to PostgreSQL 15 or later" in text
        assert PASSWORD not in text
    assert [each.code for each in ended] == [2, 2]


def speak_postgres_14(line: Line) -> None:
    """Let a client in, and tell it the version."""
    startup = line.connection.recv(HEARD_MAX)
    if startup[4:8] in {SSL_REQUEST[4:], GSS_REQUEST[4:]}:
        line.send(b"N")
        line.connection.recv(HEARD_MAX)
    status = {"server_version": "14.9", "server_encoding": "UTF8", "client_encoding": "UTF8"}
    parameters = [f"{name}\0{value}\0".encode() for name, value in status.items()]
    messages = [(b"R", bytes(4)), *((b"S", each) for each in parameters), (b"Z", b"I")]
    line.send(b"".join(kind + struct.pack("!i", len(body) + 4) + body for kind, body in messages))
    line.connection.recv(HEARD_MAX)
