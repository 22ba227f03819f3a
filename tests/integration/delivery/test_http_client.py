"""The HTTP client on real sockets: what it sends and returns, and which call waits for which."""

import threading
from datetime import timedelta

import pytest

from models.platform.version import version
from tests.support.http_clients import BYTES_MAX, LONG, SHORT
from tests.support.raw_server import OK, Line, raw_server, say, sending, then
from worker.delivery.http.exchange import FinishedCall, HttpCall, HttpResponse, NoResponse


def test_a_call_is_one_post_with_exactly_its_headers_and_body(client):
    requests: list[bytes] = []

    def converse(line: Line) -> None:
        requests.append(line.request() or b"")
        line.send(OK)

    body = '{"action":"ticket_win","data":{"operator":"é"}}'.encode()
    headers = {"Content-Type": "application/json", "timestamp": "1706191612", "signature": "ab12"}
    with raw_server(converse) as server:
        client.start(HttpCall(7, server.url + "hook?x=1", headers, body, LONG))
        (call,) = client.finished(LONG)

    assert call.call_id == 7
    assert call.result == HttpResponse(200, b"ok")
    assert timedelta() < call.took < LONG
    head, _, sent = requests[0].partition(b"\r\n\r\n")
    assert sent == body
    assert head.decode().split("\r\n") == [
        "POST /hook?x=1 HTTP/1.1",
        f"Host: 127.0.0.1:{server.port}",
        f"User-Agent: Slipway/{version()}",
        "Accept: */*",
        "Content-Type: application/json",
        "timestamp: 1706191612",
        "signature: ab12",
        "Accept-Encoding: identity",
        f"Content-Length: {len(body)}",
    ]


def test_the_connection_is_kept_for_the_next_call(post):
    with raw_server(say(OK)) as server:
        for _ in range(3):
            assert post(server.url) == HttpResponse(200, b"ok")

        assert server.connections == 1


def test_nothing_of_a_call_remains_in_the_next(client):
    requests = []

    def converse(line: Line) -> None:
        while (request := line.request()) is not None:
            requests.append(request)
            line.send(
                OK if len(requests) > 1 else OK.replace(b"\r\n", b"\r\nRetry-After: 7\r\n", 1)
            )

    with raw_server(converse) as server:
        client.start(
            HttpCall(1, server.url, {"signature": "first", "only": "here"}, b"longer", LONG)
        )
        (first,) = client.finished(LONG)
        client.start(HttpCall(2, server.url, {"signature": "second"}, b"short", LONG))
        (second,) = client.finished(LONG)

    assert first.result == HttpResponse(200, b"ok", retry_after="7")
    assert second.result == HttpResponse(200, b"ok")
    assert b"first" not in requests[1]
    assert b"only" not in requests[1]
    assert requests[1].endswith(b"\r\n\r\nshort")


def test_a_large_body_is_sent_without_asking_first(post):
    """No `Expect: 100-continue`: where it is not understood it costs a second."""
    requests: list[bytes] = []

    def converse(line: Line) -> None:
        requests.append(line.request() or b"")
        line.send(OK)

    body = b"x" * 300_000
    with raw_server(converse) as server:
        assert post(server.url, body=body) == HttpResponse(200, b"ok")

    assert requests[0].endswith(b"\r\n\r\n" + body)
    assert b"expect" not in requests[0].partition(b"\r\n\r\n")[0].lower()


@pytest.mark.parametrize("status", [204, 302, 404, 503])
def test_every_status_is_an_answer_and_no_redirect_is_followed(post, status):
    answer = f"HTTP/1.1 {status} Said\r\nLocation: /other\r\nContent-Length: 0\r\n\r\n"
    with raw_server(say(answer.encode())) as server:
        assert post(server.url) == HttpResponse(status, b"")

        assert server.connections == 1


def test_retry_after_is_returned_as_it_came(post):
    late = b"HTTP/1.1 503 Busy\r\nrEtRy-AfTeR:  120 \r\nContent-Length: 0\r\n\r\n"
    with raw_server(say(late)) as server:
        assert post(server.url) == HttpResponse(503, b"", retry_after="120")


def test_an_answer_of_just_the_limit_is_whole(post):
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 65536\r\n\r\n" + b"x" * BYTES_MAX
    with raw_server(say(answer)) as server:
        assert post(server.url) == HttpResponse(200, b"x" * BYTES_MAX)


def test_an_answer_without_a_length_ends_with_its_connection(post):
    with raw_server(then(sending(b"HTTP/1.1 200 OK\r\n\r\nbye"))) as server:
        assert post(server.url) == HttpResponse(200, b"bye")


def test_calls_do_not_wait_for_each_other(client):
    with raw_server(then(Line.keep_silent)) as mute, raw_server(say(OK)) as swift:
        for call_id in range(1, 9):
            client.start(HttpCall(call_id, mute.url, {}, b"{}", LONG))
        for call_id in range(9, 49):
            client.start(HttpCall(call_id, swift.url, {}, b"{}", LONG))
        done: list[FinishedCall] = []
        while len(done) < 40:
            done += client.finished(LONG)

        assert {call.call_id for call in done} == set(range(9, 49))
        assert client.calls_open == 8


def test_an_answer_that_came_in_time_counts_however_late_it_is_fetched(client):
    """The delivery loop may be held up by the database for longer than a call may take."""
    responded = threading.Event()

    def converse(line: Line) -> None:
        line.request()
        line.send(OK)
        responded.set()
        line.keep_silent()

    with raw_server(converse) as server:
        client.start(HttpCall(1, server.url, {}, b"{}", SHORT))
        assert responded.wait(60)
        threading.Event().wait(SHORT.total_seconds() * 1.5)  # the time that a call has, and more

        assert [call.result for call in client.finished(LONG)] == [HttpResponse(200, b"ok")]


def test_waiting_ends_after_the_time_given(client):
    assert client.finished(timedelta(milliseconds=10)) == []


def test_an_interrupt_ends_the_wait(client):
    threading.Timer(0.05, client.interrupt).start()

    assert client.finished(LONG) == []


def test_closing_drops_what_is_open(client):
    with raw_server(then(Line.keep_silent)) as server:
        client.start(HttpCall(1, server.url, {}, b"{}", LONG))
        client.close()

        assert not [thread for thread in threading.enumerate() if thread.name == "http client"]


def test_a_loop_that_fails_returns_its_calls_and_starts_over(client, monkeypatch, caplog):
    """Every call returns exactly once, whatever happens in the thread."""
    with raw_server(then(Line.keep_silent)) as mute, raw_server(say(OK)) as swift:
        with monkeypatch.context() as patch:
            broken = threading.Event()

            def break_once(*_: object) -> None:
                if not broken.is_set():
                    broken.set()
                    raise RuntimeError("out of order")

            patch.setattr("worker.delivery.http.event_loop.EventLoop._collect", break_once)
            client.start(HttpCall(1, mute.url, {}, b"{}", LONG))
            (lost,) = client.finished(LONG)
        client.start(HttpCall(2, swift.url, {}, b"{}", LONG))
        (following,) = client.finished(LONG)

    assert lost.call_id == 1
    assert isinstance(lost.result, NoResponse)
    assert following == FinishedCall(2, HttpResponse(200, b"ok"), following.took)
    assert [record.message for record in caplog.records] == ["http_loop_failed"]
