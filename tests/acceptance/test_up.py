"""`slipway up`: all processes from nothing installed, a second terminal, a clean stop; twice."""

import json
import signal
import socket
import stat
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.fork_server import Popen
from tests.support.processes import processes_of
from tests.support.processes_by_environment import inheritors_of
from tests.support.running_slipway import running_slipway
from tests.support.server_folders import passable_folder
from worker.local.servers.ports import LOOPBACK

pytestmark = pytest.mark.slow(seconds=15)


@dataclass(frozen=True, slots=True)
class Start:
    """One start, what a second terminal saw, and the end by SIGTERM."""

    environment: str
    gateway: str
    redis: str
    listed: str
    running: str
    code: int
    screen: str
    left: tuple[list[int], list[str]]  # of processes that were executed

    @property
    def port(self) -> int:
        """Where its gateway listened."""
        return int(self.gateway.rpartition(":")[2])


@dataclass(frozen=True, slots=True)
class Starts:
    """Two with the same data; before the second one another program took the gateway's port."""

    first: Start
    second: Start
    names: set[str]  # of what is in the folder
    modes: dict[str, int]  # of what is in the data


def started(folder: Path, start: "type[subprocess.Popen[bytes]]") -> Start:
    with running_slipway(folder, start) as slipway:
        environment = (slipway.data / "environment").read_text()
        gateway, redis = slipway.gateway_url(), slipway.redis_url()
        listed = slipway.command("operators list --json")
        running = " ".join(inheritors_of(folder))
        slipway.process.send_signal(signal.SIGTERM)
        code = slipway.process.wait()
    left = processes_of(folder), inheritors_of(folder)
    screen = slipway.screen.read_text()
    return Start(environment, gateway, redis, listed, running, code, screen, left)


@pytest.fixture(scope="module")
def starts() -> Iterator[Starts]:
    with passable_folder() as folder:
        first = started(folder, subprocess.Popen)
        with socket.socket() as another:
            another.bind((LOOPBACK, first.port))
            another.listen()
            second = started(folder, Popen)
        yield Starts(
            first,
            second,
            {path.name for path in folder.iterdir()},
            {path.name: stat.S_IMODE(path.stat().st_mode) for path in (folder / "data").iterdir()},
        )


def test_up_serves_a_second_terminal(starts):
    first = starts.first

    assert json.loads(first.listed) == []
    processes = ("uvicorn", "intake@", "deliver@", "sweep@", "beat")
    assert all(name in first.running for name in processes)


def test_sigterm_stops_it_cleanly(starts):
    for start in (starts.first, starts.second):
        assert start.code == 0, start.screen
    assert starts.first.left == ([], [])
    assert starts.names == {"data", "screen"}


def test_what_is_secret_is_for_its_user_alone(starts):
    assert {starts.modes["environment"], starts.modes["secret-key"]} == {0o600}


def test_the_addresses_of_the_first_start_hold_for_the_next_one(starts):
    """What another terminal read is still right; a port that is taken is named with the new one."""
    first, second = starts.first, starts.second

    assert second.environment == first.environment
    assert first.redis.startswith("redis://default:")
    assert f"SLIPWAY_GATEWAY_PORT: port {first.port} of the last start is taken" in second.screen
    assert f"using {second.port} instead" in second.screen
