"""nginx as it stands before the console: ends TLS, adds headers, and may strip a path prefix."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.faults.front_end import TEMPORARY, nginx
from tests.support.tls_front_ends import server_running
from worker.local.servers.ports import LOOPBACK


@contextmanager
def tls_proxy(
    folder: Path, *, port: int, location: str, target: str, headers: str = ""
) -> Iterator[None]:
    """Serve *location* at https://127.0.0.1:*port* from *target*, with `partner.pem` of *folder*.

    Skips the test where nginx is not installed.
    """
    program = nginx()
    if program is None:
        pytest.skip("nginx is not installed")
    temporary = "".join(f"{name}_temp_path {folder}/{name};" for name in TEMPORARY)
    (folder / "nginx.conf").write_text(
        f"daemon off; worker_processes 1; pid {folder}/pid;"
        f"{' user root;' if os.geteuid() == 0 else ''} events {{ }}"
        f" http {{ access_log off; {temporary}"
        f" server {{ listen {LOOPBACK}:{port} ssl; ssl_certificate {folder}/partner.pem;"
        f" ssl_certificate_key {folder}/partner.key; location {location} {{"
        f" proxy_pass {target}; proxy_http_version 1.1; proxy_set_header Host $http_host;"
        " proxy_set_header X-Forwarded-Proto https;"
        f' proxy_set_header X-Forwarded-For "203.0.113.9, $remote_addr"; {headers}'
        " } } }\n",
        encoding="utf-8",
    )
    command = [program, "-p", str(folder), "-e", str(folder / "error.log")]
    with server_running([*command, "-c", str(folder / "nginx.conf")], port):
        yield
