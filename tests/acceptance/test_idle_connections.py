"""What a load balancer may do: send a request over a connection that was idle for a while."""

import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from http.client import HTTPConnection

import pytest

from tests.support.celery_process import environment
from tests.support.free_port import free_port
from tests.support.procfile_processes import Running
from tests.support.wait import eventually, pause

IDLE = 1.0  # between two requests, while a balancer has nothing to send
KEPT = 4  # longer, so that a busy machine does not make it late
PAGES = {"gateway": "/healthz", "console": "/healthz", "flower": "/healthcheck"}


@dataclass(frozen=True, slots=True)
class Balancer:
    """A connection to each process that serves HTTP to others."""

    lines: dict[str, HTTPConnection]

    def is_kept(self, name: str) -> bool:
        """Send a request over the open connection, and return whether it stays open."""
        line = self.lines[name]
        before = line.sock
        line.request("GET", PAGES[name])
        response = line.getresponse()
        response.read()
        assert response.status == 200
        return before is not None and line.sock is before


@pytest.fixture
def balancer(database, redis_url, tmp_path) -> Iterator[Balancer]:
    ports = {name: free_port() for name in PAGES}
    env = environment(tmp_path, database_url=database, redis_url=redis_url) | {
        "SLIPWAY_KEEP_ALIVE_SECONDS": str(KEPT),
        **{f"SLIPWAY_{name.upper()}_PORT": str(port) for name, port in ports.items()},
    }
    with ExitStack() as closing:
        running = {name: Running(name, env=env, folder=tmp_path) for name in PAGES}
        for process in running.values():
            closing.callback(process.kill)
        lines = {
            name: HTTPConnection("127.0.0.1", port, timeout=30) for name, port in ports.items()
        }

        def connected(name: str) -> bool:
            running[name].must_live()
            try:
                lines[name].connect()
            except OSError:
                return False
            return True

        for name, line in lines.items():
            closing.callback(line.close)
            eventually(partial(connected, name))
        yield Balancer(lines)


@pytest.mark.slow
def test_a_connection_that_was_idle_takes_the_next_request(balancer):
    first = {name: balancer.is_kept(name) for name in PAGES}
    pause(IDLE)
    second = {name: balancer.is_kept(name) for name in PAGES}
    began = time.monotonic()
    ends = {name: balancer.lines[name].sock.recv(1) for name in ("gateway", "console")}
    kept = time.monotonic() - began

    assert first == second == dict.fromkeys(PAGES, True)
    assert ends == {"gateway": b"", "console": b""}
    assert KEPT - IDLE < kept < 60, "as long as it is set, not as long as by default"
    assert balancer.is_kept("flower"), "it keeps them for an hour"
