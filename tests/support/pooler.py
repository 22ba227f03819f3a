"""A real PgBouncer before the session's PostgreSQL, as people set it up; where it is installed."""

import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import make_url

from tests.support.free_port import free_port
from tests.support.sources import ROOT
from tests.support.wait import eventually

SHIPPED = ROOT / "deploy/kubernetes/components/pgbouncer/pgbouncer.ini"
INSTALLED = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")
needs_pgbouncer = pytest.mark.skipif(
    INSTALLED is None, reason="there is no pgbouncer here: apt-get install pgbouncer"
)


@contextmanager
def pgbouncer(
    server_url: str,
    folder: Path,
    *,
    mode: str,
    ignores: str = "",
    pool_size: int = 20,
    more: str = "",
) -> Iterator[str]:
    """Run one in *mode* that *ignores* start-up parameters; give the address that leads to it.

    It opens at most *pool_size* sessions of each database; *more* are further lines of its file.
    """
    server, port = make_url(server_url), free_port()
    users = folder / "users.txt"
    users.write_text(f'"{server.username}" "{server.password or ""}"\n')
    file = f"""[databases]
* = host={server.host} port={server.port}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
auth_type = plain
auth_file = {users}
unix_socket_dir =
pool_mode = {mode}
ignore_startup_parameters = {ignores}
default_pool_size = {pool_size}
{more}
"""
    with running_pgbouncer(file, folder):
        yield server.set(host="127.0.0.1", port=port).render_as_string(hide_password=False)


@contextmanager
def shipped_pgbouncer(server_url: str, folder: Path, *, more: str = "") -> Iterator[str]:
    """Run one with the file of deploy/, but for where things are; give the address it has.

    *more*: further lines of its file.
    """
    server, port = make_url(server_url), free_port()
    text = SHIPPED.read_text(encoding="utf-8")
    for there, here in {
        "/etc/pgbouncer/": f"{folder}/",
        "/run/pgbouncer/": f"{folder}/",
        "listen_addr = *": "listen_addr = 127.0.0.1",
        "listen_port = 6432": f"listen_port = {port}",
        "stats_users = slipway": f"stats_users = {server.username}",
    }.items():
        assert there in text
        text = text.replace(there, here)
    databases = f"[databases]\n* = host={server.host} port={server.port}\n"
    (folder / "server.ini").write_text(databases)
    (folder / "userlist.txt").write_text(f'"{server.username}" "{server.password}"\n')
    with running_pgbouncer(f"{text}{more}\n", folder):
        yield server.set(host="127.0.0.1", port=port).render_as_string(hide_password=False)


@contextmanager
def running_pgbouncer(file: str, folder: Path) -> Iterator[None]:
    """Run one with this configuration *file*, in a folder that it may read."""
    assert INSTALLED is not None, "asked before"
    config = folder / "pgbouncer.ini"
    config.write_text(file)
    command = [INSTALLED, str(config)]
    if os.geteuid() == 0:  # it refuses to run as root
        nobody = pwd.getpwnam("nobody")
        for path in (folder, *folder.iterdir()):
            os.chown(path, nobody.pw_uid, nobody.pw_gid)
        command = [*command, "-u", "nobody"]
    with (
        (folder / "log").open("wb") as log,
        # A session of its own, as servers have: Linux shares the CPU among sessions first.
        subprocess.Popen(command, stderr=log, start_new_session=True) as process,
    ):
        try:
            eventually(lambda: "listening on" in (folder / "log").read_text())
            yield
        finally:
            process.terminate()


def plain_address(url: str) -> str:
    """Return the address as psycopg takes it."""
    return make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)


def leave_settings_behind(url: str, settings: Mapping[str, str], *, sessions: int) -> None:
    """Let other clients of the pooler change settings in this many of its sessions."""
    clients = [psycopg.connect(plain_address(url), prepare_threshold=None) for _ in range(sessions)]
    for client in clients:  # each has a session of its own until all commit
        for name, value in settings.items():
            client.execute("SELECT set_config(%s, %s, false)", [name, value])
    for client in clients:
        client.commit()
        client.close()
