"""What the simulated partner reports and which orders it takes, over HTTP."""

import http.client
import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta

import pytest

from producers.simulation.partner import (
    CloseWithoutAnswer,
    Hang,
    HangAfterAccept,
    HangMidBody,
    SimulatedPartner,
)
from tests.support.partner_client import SECRET, ask, headers, line_to, notice, send


@pytest.fixture
def partner() -> Iterator[SimulatedPartner]:
    with SimulatedPartner(secret=SECRET) as partner:
        yield partner


@pytest.fixture
def line(partner) -> Iterator[http.client.HTTPConnection]:
    with line_to(partner) as connection:
        yield connection


@pytest.mark.parametrize(
    ("order", "status", "header"),
    [
        ({"behaviour": "status", "status": 429, "retry_after": "3"}, 429, ("Retry-After", "3")),
        ({"behaviour": "delay", "seconds": 0.01}, 200, ("Content-Length", "0")),
        ({"behaviour": "redirect_loop"}, 307, ("Location", "/redirected-here-again")),
        ({"behaviour": "wrong_content_type"}, 200, ("Content-Type", "text/html")),
        ({"behaviour": "odd_but_lawful", "habit": "gzip"}, 200, ("Content-Encoding", "gzip")),
        ({"behaviour": "odd_but_lawful", "status": 204}, 204, ("Content-Length", None)),
        ({"behaviour": "huge_body", "length": 100}, 200, ("Content-Length", "100")),
        ({"behaviour": "drip", "length": 2, "seconds": 0}, 200, ("Content-Length", "2")),
        ({"behaviour": "answer_then_close"}, 200, ("Content-Length", "0")),
    ],
)
def test_a_behaviour_can_be_ordered_over_http(line, order, status, header):
    assert json.loads(ask(line, "POST", "/_behave", order | {"action": "ticket_win"})) == {
        "rules": 1
    }
    body = notice()

    line.request("POST", "/", body, headers(body))
    response = line.getresponse()
    response.read()
    assert (response.status, response.headers[header[0]]) == (status, header[1])
    line.close()  # `answer_then_close` has done so already
    assert send(line, notice("ticket_lost")) == 200
    assert json.loads(ask(line, "DELETE", "/_behave")) == {"rules": 0}


@pytest.mark.parametrize(
    ("name", "behaviour"),
    [
        ("hang", Hang()),
        ("hang_after_accept", HangAfterAccept()),
        ("hang_mid_body", HangMidBody()),
        ("close_without_answer", CloseWithoutAnswer()),
        ("success_whose_answer_is_lost", CloseWithoutAnswer(taken=True)),
    ],
)
def test_a_behaviour_without_an_answer_has_a_name_too(partner, line, name, behaviour):
    ask(line, "POST", "/_behave", {"behaviour": name})

    assert [rule.behaviour for rule in partner.rules()] == [behaviour]


@pytest.mark.parametrize(
    ("order", "problem"),
    [
        ({"behaviour": "sulk"}, "behaviour: "),
        ({"behaviour": "delay", "secs": 1}, "secs: "),
        ({"behaviour": "hang_after_accept", "action": "ticket_win"}, "reads no request"),
        ({"behaviour": "hang", "per_ticket": True}, "give `first` as well"),
    ],
)
def test_an_order_that_makes_no_sense_is_refused_with_the_reason(partner, line, order, problem):
    line.request("POST", "/_behave", json.dumps(order))
    response = line.getresponse()

    assert response.status == 422
    assert problem in json.loads(response.read())["message"]
    assert partner.rules() == ()


def test_the_ledger_can_be_read_over_http(partner, line):
    for ticket in ("1", "2", "3"):
        send(line, notice(ticket=ticket))

    lines = [json.loads(text) for text in ask(line, "GET", "/_ledger").splitlines()]
    assert [entry["ticket_id"] for entry in lines] == ["1", "2", "3"]
    assert lines[0]["body"] == notice(ticket="1").decode()
    assert json.loads(ask(line, "GET", "/_ledger?after=1&limit=1&format=json")) == lines[1:2]
    assert json.loads(ask(line, "GET", "/_ledger?ticket_id=3")) == lines[2]
    assert len(partner.ledger.entries()) == 3


def test_the_verdict_can_be_asked_for_over_http(partner, line):
    for action in ("ticket_win", "ticket_closed", "ticket_rollback"):
        send(line, notice(action))

    verdict = json.loads(ask(line, "GET", "/_verdict?close_delay=3600"))
    assert (verdict["illegal"], verdict["early"], verdict["legal"]) == (1, 1, False)
    assert partner.verdict(close_delay=timedelta()).early == 0


PROGRAM = """
import sys
from producers.simulation.partner import run
run(port=0, secret=sys.argv[1], on_ready=print, on_request=lambda entry: print(entry.format_line()))
"""


def test_as_a_process_it_tells_each_request_until_it_is_ended():
    command = [sys.executable, "-u", "-c", PROGRAM, SECRET]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None, "it was asked for"
        try:
            port = int(process.stdout.readline().rstrip("/\n").rpartition(":")[2])
            line = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
            send(line, notice(ticket="7"))
            line.close()
            report = process.stdout.readline()
        finally:
            process.terminate()
        assert process.wait(timeout=60) == 0

    assert report.endswith(" ticket_win operator-code/7 -> 200\n")
