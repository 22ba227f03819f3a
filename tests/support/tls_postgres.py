"""A real PostgreSQL that speaks TLS: Debian's, since the embedded one is built without it."""

import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlencode

import psycopg
import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from tests.support.authority import Authority, Issued
from tests.support.server_folders import passable_folder, roomy_memory
from tests.support.wait import eventually
from worker.doctor.certificate import SSL_REQUEST
from worker.local.servers.binaries import Binaries, find_binaries
from worker.local.servers.data_folder import DataFolder, data_folder, give_to
from worker.local.servers.postgres import PostgresServer

OURS: Final = "ours.pem"  # the authority that clients trust
_CERTIFICATE, _KEY = "server.pem", "server.key"
_PLACES: Final = sorted(Path("/usr/lib/postgresql").glob("*/bin"))


class _OverTls(PostgresServer):
    """Debian's server, with the settings of ours that it knows."""

    def _command(self, port: int) -> list[str]:
        room = self._home.room("tls")
        ours = [word for word in super()._command(port) if not word.startswith("--io_method=")]
        files = (f"--ssl_cert_file={room / _CERTIFICATE}", f"--ssl_key_file={room / _KEY}")
        return [*ours, "--ssl=on", *files]


@dataclass(slots=True)
class TlsPostgres:
    """A running server, and the folder with the authority that its clients trust."""

    home: DataFolder
    server: PostgresServer
    trusted: Path

    def url(self, *, host: str = "127.0.0.1", **parameters: str) -> str:
        """Its address; *parameters* besides or instead of those that verify it."""
        given = {"sslmode": "verify-full", "sslrootcert": str(self.trusted / OURS), **parameters}
        query = urlencode({name: value for name, value in given.items() if value})
        return (
            f"postgresql://slipway:{self.home.password}@{host}:{self.server.port}/postgres?{query}"
        )

    def show(self, certificate: Issued) -> None:
        """Have the server prove itself by *certificate* from now on, in every new connection."""
        _write(self.home, certificate)
        with psycopg.connect(self.url(sslmode="require", sslrootcert="")) as connection:
            connection.execute("SELECT pg_reload_conf()")
        wanted = certificate.certificate.public_bytes(Encoding.DER)
        eventually(lambda: self._shown() == wanted)

    def _shown(self) -> bytes | None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with socket.create_connection(("127.0.0.1", self.server.port)) as plain:
            plain.sendall(SSL_REQUEST)
            assert plain.recv(1) == b"S", "it speaks TLS"
            with context.wrap_socket(plain) as line:
                return line.getpeercert(binary_form=True)


@contextmanager
def tls_postgres(authority: Authority) -> Iterator[TlsPostgres]:
    """Run it with a certificate of *authority*, or skip the test where there is none."""
    if not _PLACES:
        pytest.skip("PostgreSQL is not installed: apt-get install postgresql")
    with (
        data_folder(None, within=roomy_memory()) as home,
        passable_folder() as trusted,
    ):
        (trusted / OURS).write_bytes(authority.pem)
        _write(home, authority.issue("postgresql"))
        installed = Binaries(
            _PLACES[-1] / "initdb", _PLACES[-1] / "postgres", find_binaries(home).valkey
        )
        server = _OverTls(home, installed, durable=True)  # older: it knows not all of the options
        try:
            server.start()
            yield TlsPostgres(home, server, trusted)
        finally:
            server.stop()


def _write(home: DataFolder, certificate: Issued) -> None:
    for path in certificate.write(home.room("tls"), Path(_CERTIFICATE).stem):
        path.chmod(0o600)  # the server refuses a key that others may read
        give_to(path, home.account)
