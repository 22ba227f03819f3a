"""Egress proxies as they are in the world: tinyproxy and squid. connect_proxy.py plays odd ones."""

import shutil
import signal
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from hashlib import md5
from pathlib import Path
from typing import Final, Protocol

import pytest

from tests.faults.front_end import PLACES
from tests.support.free_port import free_port
from tests.support.server_folders import passable_folder
from tests.support.tls_front_ends import server_running
from worker.local.servers.ports import LOOPBACK

_CHECKS_PASSWORDS: Final = Path("/usr/lib/squid/basic_ncsa_auth")


class RealProxy(Protocol):
    """How a test runs one."""

    def __call__(
        self, *, ports: str, user: str | None = None, password: str = ""
    ) -> AbstractContextManager[str]:
        """Run it at the address that is yielded, without *user* and *password*, which it asks for.

        *ports*: to which it opens connections. Skips the test where it is not installed.
        """


@contextmanager
def tinyproxy(*, ports: str, user: str | None = None, password: str = "") -> Iterator[str]:
    """Run tinyproxy: see `RealProxy`."""
    program = _installed("tinyproxy")
    port = free_port()
    asks = "" if user is None else f"BasicAuth {user} {password}\n"
    with passable_folder() as folder:
        configuration = folder / "tinyproxy.conf"
        configuration.write_text(
            f"Port {port}\nListen {LOOPBACK}\nTimeout 10\nMaxClients 32\nAllow {LOOPBACK}\n"
            f'LogFile "{folder}/tinyproxy.log"\nConnectPort {ports}\n{asks}',
            encoding="utf-8",
        )
        with server_running([program, "-d", "-c", str(configuration)], port):
            yield f"http://{LOOPBACK}:{port}"


@contextmanager
def squid(*, ports: str, user: str | None = None, password: str = "") -> Iterator[str]:
    """Run squid: see `RealProxy`. It drops root, so it logs to stderr alone."""
    program = _installed("squid")
    port = free_port()
    with passable_folder() as folder:
        rules = f"acl partners port {ports}\nhttp_access deny !partners\n"
        if user is not None:
            (folder / "users").write_text(f"{user}:{_hashed(password)}\n", encoding="utf-8")
            rules += (
                f"auth_param basic program {_CHECKS_PASSWORDS} {folder}/users\n"
                "auth_param basic children 1\nacl known proxy_auth REQUIRED\n"
                "http_access deny !known\n"
            )
        configuration = folder / "squid.conf"
        configuration.write_text(
            f"http_port {LOOPBACK}:{port}\n{rules}http_access allow all\nhttp_access deny all\n"
            "visible_hostname proxy.test\ncache deny all\naccess_log none\ncache_log /dev/null\n"
            f"pid_filename none\ncoredump_dir {folder}\npinger_enable off\n"
            "shutdown_lifetime 0 seconds\n",
            encoding="utf-8",
        )
        command = [program, "-N", "-f", str(configuration)]
        # It takes two seconds to end by itself, and has nothing to keep.
        with server_running(command, port, farewell=signal.SIGKILL):
            yield f"http://{LOOPBACK}:{port}"


def _hashed(password: str) -> str:
    """As basic_ncsa_auth reads it: the plain digest is the one kind that needs no salt."""
    return md5(password.encode(), usedforsecurity=False).hexdigest()


def _installed(name: str) -> str:
    program = shutil.which(name, path=PLACES)
    if program is None:
        pytest.skip(f"{name} is not installed: connect_proxy.py plays its part elsewhere")
    return program
