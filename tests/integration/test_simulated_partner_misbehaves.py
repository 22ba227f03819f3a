"""Each way in which the simulated partner can misbehave, as a client sees it."""

import gzip
import http.client
import zlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest

from producers.simulation.partner import (
    CloseWithoutAnswer,
    Drip,
    Habit,
    Hang,
    HangAfterAccept,
    HangMidBody,
    HugeBody,
    Respond,
    Rule,
    SimulatedPartner,
)
from producers.simulation.partner.habits import INTERIM
from tests.support.partner_client import (
    SECRET,
    headers,
    line_to,
    notice,
    raw_exchange,
    read_until_silence,
    send,
)

# How a client gets the body of what these habits write.
UNPACKED: dict[Habit, Callable[[bytes], bytes]] = {
    Habit.GZIP: gzip.decompress,
    Habit.DEFLATE: zlib.decompress,
    Habit.TRAILERS: lambda body: body.removeprefix(b"b\r\n").partition(b"\r\n0\r\nX-Checksum: ")[0],
    Habit.BYTE_ORDER_MARK: lambda body: body.decode("utf-8-sig").encode(),
    Habit.UTF_16: lambda body: body.decode("utf-16").encode(),
}


@pytest.fixture
def partner() -> Iterator[SimulatedPartner]:
    with SimulatedPartner(secret=SECRET) as partner:
        yield partner


@pytest.fixture
def line(partner) -> Iterator[http.client.HTTPConnection]:
    with line_to(partner) as connection:
        yield connection


def test_a_chosen_status_is_answered_so_many_times(partner, line):
    partner.behave(
        Rule(Respond(503, headers=(("Retry-After", "7"),)), action="ticket_win", first=2)
    )

    body = notice()
    line.request("POST", "/", body, headers(body))
    response = line.getresponse()
    response.read()
    assert (response.status, response.headers["Retry-After"]) == (503, "7")
    assert send(line, notice("ticket_lost")) == 200
    assert [send(line, notice()) for _ in range(2)] == [503, 200]
    assert [entry.taken for entry in partner.ledger.entries()] == [False, True, False, True]


def test_the_first_n_can_be_counted_for_each_ticket(partner, line):
    partner.behave(Rule(Respond(500), first=1, per_ticket=True))

    statuses = [send(line, notice(ticket=ticket)) for ticket in ("1", "2", "1", "2")]
    assert statuses == [500, 500, 200, 200]


def test_one_ticket_can_be_treated_apart_and_the_newest_rule_applies(partner, line):
    partner.behave(Rule(Respond(500)))
    partner.behave(Rule(Respond(201), ticket_id="2"))

    assert [send(line, notice(ticket=ticket)) for ticket in ("1", "2")] == [500, 201]
    partner.behave_well()
    assert send(line, notice(ticket="1")) == 200


def test_a_rule_can_be_bound_to_a_time(line, partner):
    now = datetime.now(UTC)  # noqa: TID251 - the partner goes by the wall clock
    hour = timedelta(hours=1)
    partner.behave(Rule(Respond(500), until=now - hour))
    partner.behave(Rule(Respond(501), since=now + hour))
    partner.behave(Rule(Respond(418), since=now - hour, until=now + hour))

    assert send(line, notice()) == 418
    assert [rule.behaviour for rule in partner.rules()] == [
        Respond(418),
        Respond(501),
        Respond(500),
    ]


def test_a_delayed_answer_comes_late_and_the_notice_is_kept_at_once(partner):
    partner.behave(Rule(Respond(seconds=0.3)))
    with raw_exchange(partner, notice()) as connection:
        [entry] = partner.ledger.wait_until(lambda entries: len(entries) == 1, seconds=60)
        assert entry.status is None
        assert connection.recv(1000).startswith(b"HTTP/1.1 200 OK\r\n")

    [entry] = partner.ledger.entries()
    assert entry.answered_at is not None
    assert entry.answered_at - entry.received_at >= timedelta(seconds=0.29)


def test_delayed_answers_come_at_once_when_told_the_oldest_first(partner):
    partner.behave(Rule(Respond(seconds=60)))
    with raw_exchange(partner, notice()) as first, raw_exchange(partner, notice()) as second:
        partner.ledger.wait_until(lambda entries: len(entries) == 2, seconds=60)

        partner.answer_now()
        assert first.recv(1000).startswith(b"HTTP/1.1 200 OK\r\n")
        assert [entry.status for entry in partner.ledger.entries()] == [200, None]
        partner.answer_now()
        assert second.recv(1000).startswith(b"HTTP/1.1 200 OK\r\n")


@pytest.mark.parametrize("behaviour", [Hang(), HangAfterAccept()])
def test_hanging_answers_nothing_and_keeps_the_connection(partner, behaviour):
    partner.behave(Rule(behaviour))
    with raw_exchange(partner, notice()) as connection:
        assert read_until_silence(connection) == (b"", False)

    assert not any(entry.taken for entry in partner.ledger.entries())


def test_hanging_in_the_body_sends_half_of_it(partner):
    partner.behave(Rule(HangMidBody(length=100)))
    with raw_exchange(partner, notice()) as connection:
        answer, closed = read_until_silence(connection)

    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert answer.endswith(b"\r\n\r\n" + b" " * 50)
    assert b"Content-Length: 100\r\n" in answer
    assert not closed


@pytest.mark.parametrize("taken", [False, True])
def test_closing_without_an_answer_hangs_up_whether_the_notice_was_taken_or_not(partner, taken):
    partner.behave(Rule(CloseWithoutAnswer(taken=taken)))
    with raw_exchange(partner, notice()) as connection:
        assert read_until_silence(connection) == (b"", True)

    [entry] = partner.ledger.entries()
    assert (entry.taken, entry.status) == (taken, None)


def test_answering_and_closing_does_not_announce_the_close(partner):
    partner.behave(Rule(Respond(then_close=True)))
    with raw_exchange(partner, notice()) as connection:
        answer, closed = read_until_silence(connection)

    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"close" not in answer.lower()
    assert closed


def test_a_huge_body_goes_on_for_as_long_as_the_client_reads(partner):
    partner.behave(Rule(HugeBody()))
    received = 0
    with raw_exchange(partner, notice()) as connection:
        head = connection.recv(65536)
        while received < 8 * 1024 * 1024:
            received += len(connection.recv(65536))

    assert b"Content-Length: 10737418240\r\n" in head


def test_a_dripping_body_comes_byte_by_byte(partner):
    partner.behave(Rule(Drip(length=3, seconds=0.01)))
    with raw_exchange(partner, notice()) as connection:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += connection.recv(1)
        assert [connection.recv(1000) for _ in range(3)] == [b" ", b" ", b" "]


@pytest.mark.parametrize("habit", Habit)
def test_a_habit_changes_the_form_of_a_response_and_nothing_else(partner, habit):
    """As a client reads it that knows HTTP: the same body, and that is one notice taken."""
    partner.behave(Rule(Respond(body=b'{"ok":true}', habit=habit)))
    with raw_exchange(partner, notice()) as connection:
        answer, closed = read_until_silence(connection)

    head, _, body = answer.removeprefix(INTERIM).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.0 200" if habit is Habit.HTTP_1_0 else b"HTTP/1.1 200")
    assert UNPACKED.get(habit, bytes)(body) == b'{"ok":true}'
    assert closed == (habit in {Habit.HTTP_1_0, Habit.FRAMED_BY_CLOSE})
    assert (b"Content-Length" in head) == (habit is not Habit.TRAILERS and not closed)
    assert answer.startswith(INTERIM) == (habit is Habit.INTERIM)
    assert [entry.taken for entry in partner.ledger.entries()] == [True]


def test_a_204_says_nothing_of_a_body(partner):
    partner.behave(Rule(Respond(204)))
    with raw_exchange(partner, notice()) as connection:
        assert read_until_silence(connection) == (b"HTTP/1.1 204 No Content\r\n\r\n", False)
