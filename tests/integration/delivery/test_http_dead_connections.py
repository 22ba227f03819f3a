"""Connections that the partner closed carry no request, and no create is lost to them."""

import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

import pytest

from tests.support.certificates import identity
from tests.support.free_port import free_port
from tests.support.http_clients import LONG, open_client
from tests.support.raw_server import OK, Line, raw_server, say, then
from tests.support.wait import eventually
from worker.delivery.http.client import HttpClient
from worker.delivery.http.exchange import CallResult, HttpCall, HttpResponse, NoResponse

CALLS = 8
GOOD = HttpResponse(200, b"ok")
LATE = b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
LAST_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"


def post_alone(client: HttpClient, url: str) -> CallResult:
    """Make a call that is sent once, and wait for its result."""
    client.start(HttpCall(1, url, {}, b"{}", LONG, own_connection=True))
    (call,) = client.finished(LONG)
    return call.result


def post_many(client: HttpClient, url: str) -> list[CallResult]:
    """Make calls all at once, and wait for their results."""
    for call_id in range(CALLS):
        client.start(HttpCall(call_id, url, {}, b"{}", LONG))
    results: list[CallResult] = []
    while len(results) < CALLS:
        results += [call.result for call in client.finished(LONG)]
    return results


def close(line: Line) -> None:
    with suppress(OSError):  # the client was quicker
        line.connection.shutdown(socket.SHUT_RDWR)


def half_close(line: Line) -> None:
    line.connection.shutdown(socket.SHUT_WR)


def reset(line: Line) -> None:
    threading.Event().wait(0.01)  # a reset overtakes the answer that was not read yet
    line.reset()
    line.connection.close()


def say_late(line: Line) -> None:
    line.send(LATE)


def take_leave(line: Line) -> None:
    """Send close_notify, then close the connection."""
    assert isinstance(line.connection, ssl.SSLSocket)
    line.connection.settimeout(0.01)
    with suppress(OSError):
        line.connection.unwrap()
    close(line)


class Closing:
    """A partner that responds to one request per connection, then does something to it."""

    def __init__(self, act: Callable[[Line], object]) -> None:
        self.act = act
        self.requests = 0
        self.acted = 0

    def __call__(self, line: Line) -> None:
        assert line.request() is not None
        self.requests += 1
        line.send(OK)
        self.act(line)
        self.acted += 1
        line.keep_silent()

    def wait_for(self, number: int) -> None:
        """Wait until it has acted *number* times."""
        eventually(lambda: self.acted == number)


@pytest.mark.parametrize("act", [close, half_close, reset, say_late])
def test_a_connection_that_the_partner_closed_carries_no_request(post, act):
    """Rule 15: it is not an attempt at all. The call goes out on a new one, at once."""
    partner = Closing(act)
    with raw_server(partner) as server:
        for number in range(1, 6):
            assert post(server.url) == GOOD
            partner.wait_for(number)

        assert (partner.requests, server.connections) == (5, 5)


@pytest.mark.parametrize("act", [close, take_leave])
def test_nor_does_one_over_tls(tmp_path, act):
    partner = Closing(act)
    authorities = str(tmp_path / "partner.pem")
    with (
        raw_server(partner, tls=identity(tmp_path)) as server,
        open_client(authorities=authorities) as trusting,
    ):
        for number in range(1, 4):
            trusting.start(HttpCall(1, server.url, {}, b"{}", LONG))
            (call,) = trusting.finished(LONG)
            assert call.result == GOOD
            partner.wait_for(number)

        assert (partner.requests, server.connections) == (3, 3)


def test_a_partner_that_says_it_will_close_costs_nothing(post):
    with raw_server(then(lambda line: line.send(LAST_ANSWER))) as server:
        assert [post(server.url) for _ in range(5)] == [GOOD] * 5

        assert server.connections == 5


def test_of_many_kept_connections_the_dead_ones_are_passed_over(client):
    """As many calls at once as connections, every second of which the partner closed."""
    numbers, together = count(), threading.Barrier(CALLS)
    requests: list[bytes] = []
    closed: list[int] = []

    def converse(line: Line) -> None:
        number = next(numbers)
        while (request := line.request()) is not None:
            requests.append(request)
            if len(requests) <= CALLS:
                together.wait(LONG.total_seconds())  # so that each call has its own connection
            line.send(OK)
            if number < CALLS and number % 2:
                close(line)
                closed.append(number)
                return

    with raw_server(converse) as server:
        assert post_many(client, server.url) == [GOOD] * CALLS
        eventually(lambda: len(closed) == CALLS // 2)
        assert post_many(client, server.url) == [GOOD] * CALLS

        assert len(requests) == 2 * CALLS


def test_a_call_that_is_sent_once_has_a_connection_of_its_own(client, post):
    """Rule 10: a kept connection may be dead, however it looks. Other calls keep theirs."""
    with raw_server(say(OK)) as server:
        assert post(server.url) == GOOD
        assert [post_alone(client, server.url) for _ in range(3)] == [GOOD] * 3
        assert server.connections == 4

        assert [post(server.url) for _ in range(3)] == [GOOD] * 3
        assert server.connections == 4


def test_what_is_in_flight_when_the_partner_closes_may_have_reached_it(post):
    """The request was on its way, so it may have been read."""

    def converse(line: Line) -> None:
        line.request()
        line.send(OK)
        line.request()

    with raw_server(converse) as server:
        assert post(server.url) == GOOD
        assert isinstance(post(server.url), NoResponse)


# --- front ends as they are in the world ----------------------------------------------------------

HAPROXY = """
defaults
  mode http
  timeout connect 5s
  timeout client 5s
  timeout server 5s
  timeout http-keep-alive 20ms
frontend partner
  bind 127.0.0.1:{port}
  http-request return status 200 content-type text/plain string ok
"""
NGINX = """
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
worker_processes 1;
events {{ worker_connections 64; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  server {{ listen 127.0.0.1:{port}; location / {{ return 200 ok; }} }}
}}
"""


@contextmanager
def front_end(program: str, text: str, folder: Path, *more: str) -> Iterator[tuple[str, int]]:
    """Run *program* with the configuration *text*: its path, and the port it listens at."""
    path = shutil.which(program, path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
    if path is None:
        pytest.skip(f"{program} is not installed: its part is played by raw sockets above")
    port = free_port()
    configuration = folder / f"{program}.conf"
    configuration.write_text(text.format(port=port, folder=folder))
    with (folder / f"{program}.log").open("wb") as log:
        running = subprocess.Popen(
            [path, *more, str(configuration)], stdout=log, stderr=subprocess.STDOUT
        )
        try:
            eventually(lambda: _listens(port))
            yield path, port
        finally:
            running.terminate()
            running.wait(LONG.total_seconds())


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def test_no_create_is_lost_to_haproxy_s_keep_alive(client, post, tmp_path):
    """It closes connections idle for 20 ms, just when the next call comes."""
    with front_end("haproxy", HAPROXY, tmp_path, "-db", "-f") as (_, port):
        url = f"http://127.0.0.1:{port}/"
        results = []
        for number in range(60):
            post(url)  # leaves a kept connection behind, about to be closed
            threading.Event().wait(0.018 + number % 5 / 1000)
            results.append(post_alone(client, url))

    assert {result.status for result in results if isinstance(result, HttpResponse)} == {200}
    assert not [result for result in results if not isinstance(result, HttpResponse)]


def test_no_create_is_lost_to_an_nginx_that_reloads(client, tmp_path):
    with front_end("nginx", NGINX, tmp_path, "-p", str(tmp_path), "-c") as (nginx, port):
        url = f"http://127.0.0.1:{port}/"
        results = []
        for number in range(40):
            if number % 10 == 5:
                reload = [nginx, "-p", str(tmp_path), "-c", str(tmp_path / "nginx.conf")]
                subprocess.run([*reload, "-s", "reload"], check=True, capture_output=True)
            results.append(post_alone(client, url))
            threading.Event().wait(0.02)

    assert {result.status for result in results if isinstance(result, HttpResponse)} == {200}
    assert not [result for result in results if not isinstance(result, HttpResponse)]
