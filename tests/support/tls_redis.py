"""A real Redis that speaks TLS alone: Debian's, since the embedded Valkey is built without it."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pytest

from tests.faults.front_end import PLACES
from tests.support.authority import Authority, Issued
from tests.support.free_port import free_port
from tests.support.tls_front_ends import server_running
from worker.local.servers.ports import LOOPBACK

USER, PASSWORD = "slipway-worker", "kept-secret"
OURS: Final = "ours.pem"  # the authority that clients trust
CLIENT: Final = "client"


@dataclass(slots=True)
class TlsRedis:
    """Where it listens, and the folder with the files of its clients."""

    port: int
    folder: Path
    options: dict[str, str] = field(default_factory=dict)

    def url(self, **options: str) -> str:
        """Its address, with *options* besides or instead of the usual ones."""
        given = {**self.options, **options}
        query = "&".join(f"{name}={value}" for name, value in given.items() if value)
        return f"rediss://{USER}:{PASSWORD}@{LOOPBACK}:{self.port}/0?{query}"


def redis_program(name: str = "redis-server") -> str:
    """Debian's program; the test is skipped without it."""
    program = shutil.which(name, path=PLACES)
    if program is None:
        pytest.skip(f"{name} is not installed")
    return program


def write_client(folder: Path, authority: Authority) -> dict[str, str]:
    """Write what a client needs; return the options that name it."""
    (folder / OURS).write_bytes(authority.pem)
    chain, key = authority.issue("slipway", host=None).write(folder, CLIENT)
    return {
        "ssl_ca_certs": str(folder / OURS),
        "ssl_certfile": str(chain),
        "ssl_keyfile": str(key),
    }


@contextmanager
def tls_redis(
    folder: Path, authority: Authority, *, server: Issued | None = None, demands: bool = True
) -> Iterator[TlsRedis]:
    """Run it with a certificate of *authority*, or *server*'s; *demands*: it wants the client's."""
    program, port = redis_program(), free_port()
    options = write_client(folder, authority)
    chain, key = (server or authority.issue("redis")).write(folder, "redis")
    configuration = folder / "redis.conf"
    lines = (
        f"bind {LOOPBACK}",
        "port 0",
        f"tls-port {port}",
        f"tls-cert-file {chain}",
        f"tls-key-file {key}",
        f"tls-ca-cert-file {folder / OURS}",
        f"tls-auth-clients {'yes' if demands else 'no'}",
        f"dir {folder}",
        f"logfile {folder / 'redis.log'}",
        "save ''",
        "appendonly yes",
        "maxmemory-policy noeviction",
        f"user {USER} on >{PASSWORD} ~* &* +@all",
        "user default off",
    )
    configuration.write_text("\n".join(lines), encoding="utf-8")
    with server_running([program, str(configuration)], port):
        yield TlsRedis(port, folder, options)
