"""The session with PostgreSQL has the settings we ask for, or is refused with the reason."""

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from urllib.parse import quote

import pytest
from cryptography.fernet import Fernet
from sqlalchemy import make_url, text
from sqlalchemy.exc import OperationalError

from models.database.engine import open_engine
from models.database.errors import Blame, blame
from models.database.session import UnusableDatabase
from models.migrations.runner import upgrade
from tests.support import databases
from tests.support.closed_port import closed_port
from tests.support.command_line import CommandLine
from tests.support.harness import CLOSE_DELAY, Harness

ROLE = "odd"
DEFAULTS = {
    "default_transaction_isolation": "'repeatable read'",
    "timezone": "'Europe/Berlin'",
    "datestyle": "'German'",
    "intervalstyle": "'sql_standard'",
    "bytea_output": "'escape'",
    "extra_float_digits": "-15",
    "standard_conforming_strings": "off",
    "synchronous_commit": "off",
    "client_encoding": "'LATIN1'",
    "statement_timeout": "'1ms'",
    "lock_timeout": "'1ms'",
}

NEEDED = {"timezone": "UTC", "statement_timeout": "10s", "enable_seqscan": "off"}


def options_of(url: str, *names: str) -> list[str]:
    engine = open_engine(url, application_name="tests", pool_size=1)
    with engine.connect() as connection:
        values = [connection.execute(text(f"SHOW {name}")).scalar_one() for name in names]
    engine.dispose()
    return values


@pytest.fixture
def odd_role(database) -> Iterator[None]:
    """The role has defaults that nothing of ours is written for."""
    with databases.owner(database) as person:
        name = make_url(database).username
        for option, value in DEFAULTS.items():
            person.execute(f'ALTER ROLE "{name}" SET {option} = {value}'.encode())
        yield
        person.execute(f'ALTER ROLE "{name}" RESET ALL'.encode())


@pytest.mark.usefixtures("odd_role")
def test_the_defaults_of_a_role_change_nothing_of_a_session(database):
    assert options_of(database, *DEFAULTS) == [
        "read committed",
        "UTC",
        "ISO, MDY",
        "postgres",
        "hex",
        "1",
        "on",
        "on",
        "UTF8",
        "10s",
        "3s",
    ]


@pytest.mark.usefixtures("odd_role")
def test_a_ticket_lives_as_ever_under_such_a_role(database, clock):
    engine = open_engine(database, application_name="odd", pool_size=2)
    harness = Harness(engine, clock)
    harness.add_operator()
    harness.say("ticket_win", "T€1", player_id="Łukasz 😀".replace(" ", "_"))
    assert harness.deliver() == [("T€1", "ticket_win")]
    harness.wait(CLOSE_DELAY)

    assert harness.close_due() == 1
    engine.dispose()


def refusal_of(url: str) -> str:
    """Why an engine of ours does not work with what *url* leads to."""
    engine = open_engine(url, application_name="tests", pool_size=1)
    with pytest.raises(OperationalError) as refusal, engine.connect():
        pass
    engine.dispose()
    assert isinstance(refusal.value.orig, UnusableDatabase)
    assert blame(refusal.value) is Blame.SERVER
    return str(refusal.value.orig)


def test_a_database_that_is_not_utf8_is_refused(latin_database):
    """`€` and emoji would become poison there."""
    assert "encoding LATIN1" in refusal_of(latin_database)
    with pytest.raises(OperationalError, match="TEMPLATE template0"):
        upgrade(latin_database)


def test_migrate_and_the_doctor_refuse_it_in_words(latin_database, monkeypatch, capsys):
    slipway = CommandLine(monkeypatch, capsys)
    slipway.export(
        database_url=latin_database,
        redis_url=f"redis://127.0.0.1:{closed_port()}/0",
        secret_key=Fernet.generate_key().decode(),
    )

    migrated, examined = slipway("migrate"), slipway("doctor")

    assert (migrated.code, examined.code) == (2, 1)
    assert "encoding LATIN1" in migrated.err
    assert "✗ PostgreSQL: the database" in examined.out
    assert "ENCODING 'UTF8'" in examined.out
    assert databases.ask(
        latin_database, "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"
    ) == (0,)


def test_on_a_line_that_drops_start_up_options_each_transaction_sets_them(database):
    with line_without_options(database) as url:
        assert options_of(url, *NEEDED) == list(NEEDED.values())


def test_a_migration_refuses_a_line_that_drops_start_up_options(database):
    with (
        line_without_options(database) as url,
        pytest.raises(OperationalError, match="lock_timeout is '0' instead of '3000'"),
    ):
        upgrade(url)


@contextmanager
def line_without_options(server_url: str) -> Iterator[str]:
    """A way to the server on which the first packet loses its `options`, and nothing else."""
    server = make_url(server_url)
    ear = socket.create_server(("127.0.0.1", 0))

    def carry() -> None:
        with suppress(OSError):
            near, _ = ear.accept()
            with (
                closing(near),
                closing(socket.create_connection((server.host or "", server.port or 0))) as far,
            ):
                far.sendall(without_options(first_packet(near)))
                back = threading.Thread(target=pump, args=(far, near), daemon=True)
                back.start()
                pump(near, far)
                back.join()

    thread = threading.Thread(target=carry, daemon=True)
    thread.start()
    plain = server.set(host="127.0.0.1", port=ear.getsockname()[1])
    try:
        yield plain.update_query_dict(
            {"sslmode": "disable", "gssencmode": "disable"}
        ).render_as_string(hide_password=False)
    finally:
        ear.close()
        thread.join(60)


def first_packet(near: socket.socket) -> bytes:
    head = near.recv(4, socket.MSG_WAITALL)
    return head + near.recv(struct.unpack("!I", head)[0] - 4, socket.MSG_WAITALL)


def without_options(packet: bytes) -> bytes:
    fields = packet[8:].split(b"\0")
    pairs = dict(zip(fields[::2], fields[1::2], strict=False))
    del pairs[b"options"]
    remaining = b"".join(name + b"\0" + value + b"\0" for name, value in pairs.items() if name)
    body = packet[4:8] + remaining + b"\0"
    return struct.pack("!I", len(body) + 4) + body


def pump(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(1 << 16):
            target.sendall(data)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)


@pytest.mark.parametrize("written", ["-c search_path=odd,public", "--search_path=odd,public"])
def test_the_search_path_of_the_url_is_kept_beside_our_settings(database, written):
    url = f"{database}{'&' if '?' in database else '?'}options={quote(written)}"

    assert options_of(url, "search_path", "timezone", "enable_seqscan") == [
        *("odd,public", "UTC", "off")
    ]


def test_of_two_hosts_the_one_that_answers_is_used(database):
    there = make_url(database)
    hosts = f"127.0.0.1:1,{there.host}:{there.port}"
    url = f"postgresql://{there.username}:{quote(there.password or '')}@{hosts}/{there.database}"

    assert options_of(url, "timezone") == ["UTC"]
