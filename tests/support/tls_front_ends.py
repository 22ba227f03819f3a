"""Front ends that ask for a client certificate: nginx, and stunnel before a simulated partner."""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from tests.faults.front_end import ENDING_SECONDS_MAX, PLACES, TEMPORARY, listens, nginx
from tests.support.authority import Authority, Issued
from tests.support.free_port import free_port
from tests.support.wait import eventually
from worker.local.servers.ports import LOOPBACK

# Names the client certificate, and whether TLS was resumed.
WHO_CALLS: Final = 'return 200 "$ssl_client_s_dn|$ssl_session_reused|$connection_requests";'


@contextmanager
def nginx_for(
    folder: Path,
    server: Issued,
    *,
    clients: Authority | None = None,
    revoked: bytes | None = None,
    location: str = WHO_CALLS,
) -> Iterator[str]:
    """Run nginx at an https address, which is yielded. *clients*: whose certificates it asks for.

    *location*: what its configuration says of all paths.
    """
    program = nginx()
    if program is None:
        pytest.skip("nginx is not installed")
    port = free_port()
    chain, key = server.write(folder, "server")
    tls = f"ssl_certificate {chain}; ssl_certificate_key {key}; ssl_session_cache shared:s:1m;"
    if clients is not None:
        (folder / "clients.pem").write_bytes(clients.pem)
        tls += f" ssl_verify_client on; ssl_client_certificate {folder}/clients.pem;"
    if revoked is not None:
        (folder / "revoked.pem").write_bytes(revoked)
        tls += f" ssl_crl {folder}/revoked.pem;"
    temporary = "".join(f"{name}_temp_path {folder}/{name};" for name in TEMPORARY)
    (folder / "nginx.conf").write_text(
        f"daemon off; worker_processes 1; pid {folder}/pid;"
        f"{' user root;' if os.geteuid() == 0 else ''} events {{ }}"
        f" http {{ access_log off; {temporary}"
        f" server {{ listen {LOOPBACK}:{port} ssl; {tls}"
        f" location / {{ {location} }} }} }}\n",
        encoding="utf-8",
    )
    command = [program, "-p", str(folder), "-e", str(folder / "error.log")]
    with server_running([*command, "-c", str(folder / "nginx.conf")], port):
        yield f"https://{LOOPBACK}:{port}/"


@contextmanager
def stunnel_for(
    folder: Path, server: Issued, *, clients: Authority, behind: int, revoked: bytes | None = None
) -> Iterator[str]:
    """Run stunnel at an https address before the port *behind*; it wants a certificate."""
    program = shutil.which("stunnel", path=PLACES)
    if program is None:
        pytest.skip("stunnel is not installed")
    port = free_port()
    chain, key = server.write(folder, "stunnel")
    (folder / "known.pem").write_bytes(clients.pem)
    lists = ""
    if revoked is not None:
        (folder / "gone.pem").write_bytes(revoked)
        lists = f"CRLfile = {folder}/gone.pem\n"
    configuration = folder / "stunnel.conf"
    configuration.write_text(
        f"foreground = yes\npid =\ndebug = 3\n[partner]\naccept = {LOOPBACK}:{port}\n"
        f"connect = {LOOPBACK}:{behind}\ncert = {chain}\nkey = {key}\n"
        f"CAfile = {folder}/known.pem\n{lists}verifyChain = yes\nrequireCert = yes\n",
        encoding="utf-8",
    )
    with server_running([program, str(configuration)], port):
        yield f"https://{LOOPBACK}:{port}/"


@contextmanager
def server_running(
    command: list[str], port: int, *, farewell: signal.Signals = signal.SIGTERM
) -> Iterator[None]:
    """Run a server until the end of the block, which begins once it listens at *port*."""
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        try:
            eventually(lambda: listens(process, port))
            yield
        finally:
            process.send_signal(farewell)
            try:
                process.wait(ENDING_SECONDS_MAX)
            except subprocess.TimeoutExpired:
                process.kill()
