"""What a partner may do to a call, over real sockets, and what is told of it."""

import pytest

from tests.support.raw_server import OK, Line, raw_server, say, sending, then
from tests.support.wires import BYTES_MAX, LONG, SHORT
from worker.delivery.calls import Answer, Call, NoAnswer


def test_of_a_huge_answer_the_beginning_is_read_and_the_status_counts(post):
    def pour(line: Line) -> None:
        line.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10737418240\r\n\r\n")
        while True:
            line.send(b"x" * 65536)

    with raw_server(then(pour)) as server:
        reply = post(server.url)

    assert reply == Answer(200, b"x" * BYTES_MAX, cut=True)


def test_endless_headers_are_not_read_for_ever(post):
    def pour(line: Line) -> None:
        line.send(b"HTTP/1.1 200 OK\r\n")
        while True:
            line.send(b"x-filler: " + b"x" * 8000 + b"\r\n")

    with raw_server(then(pour)) as server:
        assert isinstance(post(server.url), NoAnswer)


@pytest.mark.parametrize(
    ("converse", "told"),
    [
        (then(Line.keep_silent), "timed out"),
        (then(sending(OK[:-2]), Line.keep_silent), "began to answer 200"),
        (then(sending(OK[:20]), Line.keep_silent), "timed out"),
        (then(), ""),
        (then(Line.reset), ""),
        (then(sending(OK[:-1])), "began to answer 200"),
        (then(sending(b"SSH-2.0-OpenSSH_9\r\n")), "HTTP/0.9"),
    ],
    ids=["silence", "half a body", "half a head", "hangs up", "resets", "breaks off", "not HTTP"],
)
def test_after_the_body_left_us_whatever_is_no_whole_answer_may_have_reached(post, converse, told):
    with raw_server(converse) as server:
        reply = post(server.url, timeout=SHORT)

    assert isinstance(reply, NoAnswer)
    assert told in reply.problem


def test_a_slow_drip_does_not_outlast_the_total_timeout(wire):
    def drip(line: Line) -> None:
        line.request()
        line.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        while not line.hung_up.wait(0.02):
            line.send(b"x")

    with raw_server(drip) as server:
        wire.start(Call(1, server.url, {}, b"{}", SHORT))
        (answered,) = wire.finished(LONG)

    assert isinstance(answered.reply, NoAnswer)
    assert SHORT <= answered.took < LONG / 2  # the whole drip takes 20 s


@pytest.mark.parametrize("ending", [[], [Line.reset]], ids=["closes", "resets"])
def test_a_request_is_never_sent_again_when_a_kept_connection_dies(post, ending):
    """protocol.md rules 10 and 15: libcurl on its own would repeat it on a new connection."""
    heard = []

    def converse(line: Line) -> None:
        heard.append(line.request())
        line.send(OK)
        heard.append(line.request())
        for act in ending:
            act(line)

    with raw_server(converse) as server:
        assert post(server.url) == Answer(200, b"ok")
        assert isinstance(post(server.url), NoAnswer)

        assert len(heard) == 2
        assert server.connections == 1


def test_after_a_failure_the_next_call_is_fine(post):
    """A handle that failed is not used again: libcurl remembers a refused rewind."""
    with raw_server(say(OK)) as good, raw_server(then(Line.reset)) as bad:
        for _ in range(3):
            assert isinstance(post(bad.url), NoAnswer)
            assert post(good.url) == Answer(200, b"ok")
