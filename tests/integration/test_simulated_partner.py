"""The simulated partner over real sockets: what it takes, refuses and keeps."""

import asyncio
import gc
import http.client
import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack, suppress

import pytest

from producers.simulation.partner import (
    Hang,
    Rule,
    SimulatedPartner,
)
from producers.simulation.partner.behaviour import Script
from producers.simulation.partner.connection import PartnerHost
from producers.simulation.partner.ledger import Ledger, LedgerEntry
from producers.simulation.partner.pam import SimulatedPam
from producers.simulation.partner.server import serve
from producers.wall_clock import utc_now
from tests.support.partner_client import (
    SECRET,
    headers,
    line_to,
    notice,
    raw_exchange,
    raw_request,
    read_until_silence,
    send,
)


@pytest.fixture
def partner() -> Iterator[SimulatedPartner]:
    with SimulatedPartner(secret=SECRET) as partner:
        yield partner


@pytest.fixture
def line(partner) -> Iterator[http.client.HTTPConnection]:
    with line_to(partner) as connection:
        yield connection


def test_a_signed_notice_is_taken_and_kept_as_it_came(partner, line):
    body = notice()

    assert send(line, body, key="operator-code/1/ticket_win/1") == 200

    [entry] = partner.ledger.entries()
    assert (entry.body, entry.signature_ok, entry.taken, entry.status) == (body, True, True, 200)
    assert (entry.action, entry.operator) == ("ticket_win", "operator-code")
    assert entry.idempotency_key == "operator-code/1/ticket_win/1"
    assert ("idempotency-key", "operator-code/1/ticket_win/1") in entry.headers
    assert entry.answered_at is not None
    assert entry.received_at <= entry.answered_at


@pytest.mark.parametrize(
    "forged",
    [
        {"signature": "0" * 64},
        {"signature": ""},
        {"timestamp": "1706191612"},  # years ago
        {"timestamp": "soon"},
        headers(notice(), secret="another"),
    ],
)
def test_a_bad_signature_is_answered_403_and_never_taken(partner, line, forged):
    body = notice()
    line.request("POST", "/", body, headers(body) | forged)
    response = line.getresponse()

    assert response.status == 403
    assert json.loads(response.read())["code"] == 403
    [entry] = partner.ledger.entries()
    assert (entry.signature_ok, entry.taken, entry.status) == (False, False, 403)


def test_a_ping_needs_no_signature(line):
    line.request("POST", "/", b'{"action":"ping"}')

    assert line.getresponse().status == 200


def test_identify_is_answered_with_a_player(line):
    """Contracts 1.6."""
    body = b'{"action":"identify","data":{"operator":"operator-code","token":"t"}}'
    line.request("POST", "/", body, headers(body))

    player = json.loads(line.getresponse().read())
    assert set(player) == {"player_id", "lang", "balance", "currency", "feature_flags"}


def test_one_connection_carries_many_notices(partner, line):
    line.connect()
    address = line.sock.getsockname()
    for number in range(50):
        assert send(line, notice(ticket=str(number))) == 200

    assert line.sock.getsockname() == address
    tickets = [entry.ticket_id for entry in partner.ledger.entries()]
    assert tickets == [str(number) for number in range(50)]


def test_a_body_that_is_no_action_is_answered_400(partner, line):
    assert send(line, b"[1,2]") == 400
    assert send(line, b'{"data":{}}') == 400
    assert send(line, b"[" * 100_000) == 400
    assert not any(entry.taken for entry in partner.ledger.entries())


@pytest.mark.parametrize(
    ("request_head", "status"),
    [
        (b"GET  / HTTP/1.1\r\n\r\n", b"400"),
        (b"POST / HTTP/1.0\r\n\r\n", b"400"),
        (b"POST / HTTP/1.1\r\n\r\n", b"400"),  # no Host
        (b"POST / HTTP/1.1\nHost: a\r\n\nA: b\r\n\r\n", b"400"),
        (b"POST / HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n", b"400"),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", b"400"),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", b"400"),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", b"501"),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1048577\r\n\r\n", b"413"),
        (b"POST / HTTP/1.1\r\nHost: a\r\n" + b"A: b\r\n" * 64 + b"\r\n", b"431"),
        (b"POST / HTTP/1.1\r\nHost: a\r\nA: " + b"b" * 20_000 + b"\r\n\r\n", b"431"),
    ],
)
def test_what_is_no_plain_request_is_refused_and_the_connection_closed(
    partner, request_head, status
):
    with socket.create_connection(("127.0.0.1", partner.port), timeout=30) as connection:
        connection.sendall(request_head)
        answer, closed = read_until_silence(connection)

    assert answer.startswith(b"HTTP/1.1 " + status)
    assert closed
    assert partner.ledger.entries() == ()


def test_a_partner_that_deduplicates_takes_each_key_once():
    with SimulatedPartner(secret=SECRET, deduplicate=True) as partner:
        line = http.client.HTTPConnection("127.0.0.1", partner.port, timeout=30)
        assert [send(line, notice(), key=key) for key in ("a", "a", "b")] == [200, 200, 200]
        line.close()

    entries = partner.ledger.entries()
    assert [entry.taken for entry in entries] == [True, False, True]
    assert [entry.repeats for entry in entries] == [False, True, False]


def test_a_partner_keeps_only_so_many_entries_and_says_so():
    with SimulatedPartner(secret=SECRET, entries_max=2) as partner:
        line = http.client.HTTPConnection("127.0.0.1", partner.port, timeout=30)
        for ticket in ("1", "2", "3"):
            send(line, notice(ticket=ticket), key=ticket)
        line.close()

    assert [entry.ticket_id for entry in partner.ledger.entries()] == ["2", "3"]
    assert partner.ledger.forgotten == 1


def test_a_taken_port_is_an_error_where_the_partner_is_started(partner):
    with pytest.raises(OSError, match="address already in use"):  # noqa: SIM117 - one statement
        with SimulatedPartner(secret=SECRET, port=partner.port):
            pass


def test_a_partner_stops_at_once_whatever_it_is_doing():
    with SimulatedPartner(secret=SECRET) as partner:
        partner.behave(Rule(Hang()))
        with raw_exchange(partner, notice()) as connection:
            partner.ledger.wait_until(lambda entries: len(entries) == 1, seconds=60)
            partner.stop()
            assert connection.recv(1) == b""


def test_a_partner_that_was_unavailable_comes_back_on_its_port_with_its_ledger(partner, line):
    send(line, notice(ticket="1"))
    partner.stop()
    line.close()
    with pytest.raises(ConnectionRefusedError):
        send(line, notice(ticket="2"))
    line.close()

    partner.start()

    assert send(line, notice(ticket="3")) == 200
    assert [entry.ticket_id for entry in partner.ledger.entries()] == ["1", "3"]


def test_the_secret_is_not_in_what_can_be_printed(partner):
    assert SECRET not in repr(vars(partner))


def test_who_comes_while_it_stops_is_hung_up_on_too():
    """Accepted, and not yet a conversation: the connection must not stay half open."""
    with ExitStack() as ends:
        callers: list[socket.socket] = []

        def call(port: int) -> socket.socket:
            caller = socket.create_connection(("127.0.0.1", port), timeout=30)
            callers.append(ends.enter_context(caller))
            return caller

        async def live() -> None:
            stop = asyncio.Event()

            def crowd(_: LedgerEntry) -> None:
                for _number in range(20):
                    call(callers[0].getpeername()[1])
                asyncio.get_running_loop().call_soon(stop.set)

            host = PartnerHost(
                SimulatedPam(SECRET),
                utc_now,
                Ledger(),
                Script(),
                deduplicate=False,
                on_request=crowd,
            )
            await serve(
                host,
                host="127.0.0.1",
                port=0,
                ready=lambda port: call(port).sendall(raw_request(notice())),
                stop=stop,
            )

        asyncio.run(live())

        for caller in callers[1:]:
            with suppress(ConnectionResetError):
                assert caller.recv(1) == b""
    gc.collect()  # what was forgotten warns of it now, and a warning is an error
