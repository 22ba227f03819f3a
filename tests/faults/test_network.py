"""What the trials do to lines and clocks is what they say: else they would prove nothing."""

import asyncio
import ctypes
import os
import select
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import timedelta

import pytest

from tests.faults.clocks import WRONG, clock_of
from tests.faults.network import LATENCY_SECONDS, Network
from tests.faults.proxy import Relay
from tests.faults.relays import Line
from tests.faults.schedule import Place
from tests.support import shifted_clock
from tests.support.raw_server import Line as ServerLine
from tests.support.raw_server import raw_server
from worker.local.servers.ports import LOOPBACK

LINE: Line = ("intake0", Place.VALKEY)
NOTHING_COMES_SECONDS = 0.2
COMES_SECONDS_MAX = 60.0
# A server, and its client, which connects to the port that it reads from standard input.
BOTH_ENDS = """
import socket, sys
server = socket.create_server(("127.0.0.1", 0))
print(server.getsockname()[1], flush=True)
near = socket.create_connection(("127.0.0.1", int(sys.stdin.readline())))
far, _ = server.accept()
near.sendall(b"hello")
far.sendall(far.recv(5))
print(near.recv(5).decode(), flush=True)
"""
TURNS = 50  # of the event loop: a connection that waits is let in within a few


@pytest.fixture(scope="module")
def network() -> Iterator[Network]:
    with Network() as network:
        yield network


@pytest.fixture
def port(network) -> Iterator[int]:
    """The near end of a line to a server that says everything back."""
    with raw_server(say_back) as server:
        yield network.lay(LINE, LOOPBACK, server.port)


def say_back(line: ServerLine) -> None:
    while received := line.connection.recv(1000):
        line.send(received)


def dial(port: int, *, seconds: float = COMES_SECONDS_MAX) -> socket.socket:
    client = socket.create_connection((LOOPBACK, port), timeout=seconds)
    client.settimeout(COMES_SECONDS_MAX)
    return client


def is_silent(client: socket.socket) -> bool:
    client.settimeout(NOTHING_COMES_SECONDS)
    try:
        client.recv(1)
    except TimeoutError:
        return True
    finally:
        client.settimeout(COMES_SECONDS_MAX)
    return False


def test_a_partition_lets_nobody_in_and_holds_what_was_said_until_it_is_over(network, port):
    with dial(port) as client:
        with network.partition([LINE]):
            client.sendall(b"hello")
            assert is_silent(client)
            with pytest.raises(TimeoutError):
                dial(port, seconds=NOTHING_COMES_SECONDS)

        assert client.recv(5) == b"hello"
        with dial(port) as another:
            another.sendall(b"again")
            assert another.recv(5) == b"again"


def test_a_half_open_connection_stays_open_and_silent_and_a_later_one_works(network, port):
    with dial(port) as before:
        before.sendall(b"hello")
        assert before.recv(5) == b"hello"
        with network.half_open([LINE]), dial(port) as during:
            during.sendall(b"hello")
            assert is_silent(during)

        before.sendall(b"hello")
        assert is_silent(before)
        with dial(port) as after:
            after.sendall(b"again")
            assert after.recv(5) == b"again"


def test_latency_makes_an_answer_late_and_nothing_else(network, port):
    with dial(port) as client, network.latency([LINE]):
        began = time.monotonic()
        client.sendall(b"hello")
        answer = client.recv(5)

        assert answer == b"hello"
        assert time.monotonic() - began >= LATENCY_SECONDS


class Polled(ctypes.Structure):
    _fields_ = (("fd", ctypes.c_int), ("events", ctypes.c_short), ("revents", ctypes.c_short))


def test_a_line_carries_while_the_python_of_the_trial_is_held(network):
    with subprocess.Popen(
        [sys.executable, "-c", BOTH_ENDS],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        bufsize=0,
    ) as ends:
        assert ends.stdin is not None
        assert ends.stdout is not None
        port = network.lay(LINE, LOOPBACK, int(ends.stdout.readline()))
        ends.stdin.write(b"%d\n" % port)
        awaited = Polled(ends.stdout.fileno(), select.POLLIN, 0)
        # Unlike CDLL, it lets no other thread of this process run meanwhile.
        ready = ctypes.PyDLL(None).poll(ctypes.byref(awaited), 1, int(1000 * COMES_SECONDS_MAX))
        ends.kill()
        assert ready == 1
        assert ends.stdout.read(5) == b"hello"


def test_connections_are_reset_again_and_again(network, port):
    with network.resets([LINE]):
        for _ in range(2):
            with dial(port) as client, pytest.raises(ConnectionResetError):
                client.recv(1)


def test_a_connection_that_is_reset_before_anything_passed_is_closed_on_both_sides():
    async def reset_at_once() -> Relay:
        relay = Relay((LOOPBACK, 1))
        relay.open()
        with dial(relay.port) as client:
            for _ in range(TURNS):  # in one of them there is a link whose task did not begin yet
                relay.reset()
                await asyncio.sleep(0)
            with pytest.raises(ConnectionResetError):
                client.recv(1)
        await relay.close()
        return relay

    relay = asyncio.run(reset_at_once())

    assert relay.links == set()


def test_the_clock_of_some_processes_is_wrong_and_what_measures_a_while_is_right(open_folder):
    library = shifted_clock.build(open_folder)
    if library is None:
        pytest.skip("no C compiler")
    program = "import time; m = time.monotonic(); time.sleep(0.1); print(time.time(), m)"
    for name in ("intake1", "deliver1"):
        clock = {**os.environ, **clock_of(name, library)}
        with subprocess.Popen(
            [sys.executable, "-c", program], env=clock, stdout=subprocess.PIPE, text=True
        ) as process:
            output, _ = process.communicate(timeout=COMES_SECONDS_MAX)

        wall_seconds, measured = map(float, output.split())
        assert abs(timedelta(seconds=wall_seconds - time.time()) - WRONG[name]) < timedelta(
            minutes=1
        )
        assert abs(measured - time.monotonic()) < timedelta(minutes=1).total_seconds()
