"""What a partner can do to a call, over real sockets, and how the result describes it."""

import gzip
import zlib

import pytest

from tests.support.certificates import identity
from tests.support.http_clients import BYTES_MAX, LONG, SHORT, open_client, post_with
from tests.support.raw_server import OK, Line, raw_server, say, sending, then
from worker.delivery.http.exchange import HttpCall, HttpResponse, NoResponse
from worker.delivery.http.problems import describe_error


def test_of_a_huge_response_the_beginning_is_read_and_the_status_counts(post):
    def pour(line: Line) -> None:
        line.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10737418240\r\n\r\n")
        while True:
            line.send(b"x" * 65536)

    with raw_server(then(pour)) as server:
        result = post(server.url)

    assert result == HttpResponse(200, b"x" * BYTES_MAX, truncated=True)


def test_endless_headers_are_not_read_indefinitely(post):
    def pour(line: Line) -> None:
        line.send(b"HTTP/1.1 200 OK\r\n")
        while True:
            line.send(b"x-filler: " + b"x" * 8000 + b"\r\n")

    with raw_server(then(pour)) as server:
        assert isinstance(post(server.url), NoResponse)


@pytest.mark.parametrize(
    ("converse", "problem"),
    [
        (then(Line.keep_silent), "timed out"),
        (then(sending(OK[:-2]), Line.keep_silent), "began to answer 200"),
        (then(sending(OK[:20]), Line.keep_silent), "timed out"),
        (then(), "Empty reply"),
        (then(Line.reset), "reset by peer"),
        (then(sending(OK[:-1])), "began to answer 200"),
        (then(sending(b"SSH-2.0-OpenSSH_9\r\n")), "not HTTP/1.1"),
    ],
    ids=["silence", "half a body", "half a head", "hangs up", "resets", "breaks off", "not HTTP"],
)
def test_once_the_body_was_sent_any_broken_response_leaves_it_open(post, converse, problem):
    with raw_server(converse) as server:
        result = post(server.url, timeout=SHORT)

    assert isinstance(result, NoResponse)
    assert problem in result.problem


SETTINGS = b"\0\0\x06\4\0\0\0\0\0\0\3\0\0\0\x64"
GO_AWAY = b"\0\0\x08\7\0\0\0\0\0\0\0\0\0\0\0\0\1"


@pytest.mark.parametrize("early", [True, False])
@pytest.mark.parametrize("encrypted", [True, False])
def test_a_partner_that_responds_in_http_2_is_named_as_such(early, encrypted, tmp_path):
    """Whether it sends first or only responds, and whatever it offered by ALPN."""

    def converse(line: Line) -> None:
        if early:
            line.send(SETTINGS)
        line.request()
        line.send(GO_AWAY if early else SETTINGS + GO_AWAY)

    tls = identity(tmp_path) if encrypted else None
    authorities = str(tmp_path / "partner.pem") if encrypted else None
    with raw_server(converse, tls=tls) as server, open_client(authorities=authorities) as client:
        result = post_with(client, server.url)

    assert result == NoResponse(
        "answered in HTTP/2: the partner accepts HTTP/2 only; Slipway calls over HTTP/1.1"
    )


@pytest.mark.parametrize("lines", [1, 100], ids=["one line", "many"])
def test_headers_that_are_too_large_are_called_so(post, lines):
    filler = b"".join(b"x-%d: %s\r\n" % (n, b"x" * (400_000 // lines)) for n in range(lines))
    large = b"HTTP/1.1 200 OK\r\n" + filler + b"Content-Length: 0\r\n\r\n"
    with raw_server(then(sending(large))) as server:
        result = post(server.url)

    assert isinstance(result, NoResponse)
    assert result.problem.startswith("began to answer 200, then: ")
    assert "headers" in result.problem
    assert "large" in result.problem


def test_an_error_without_words_has_its_number():
    assert describe_error(77, "") == "libcurl gave up with its error 77"


BODY = b'{"status":{"code":0}}'


@pytest.mark.parametrize(
    ("response", "result"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\n" + BODY, HttpResponse(200, BODY, unverified_end=True)),
        (
            b"HTTP/1.0 503 Busy\r\nRetry-After: 7\r\n\r\n",
            HttpResponse(503, b"", "7", unverified_end=True),
        ),
        (
            b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\n\r\nx",
            HttpResponse(200, b"x", unverified_end=True),
        ),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 21\r\n\r\n" + BODY, HttpResponse(200, BODY)),
    ],
    ids=["body", "no body", "interim", "length"],
)
def test_tls_without_close_notify_ends_a_response_without_a_length(tmp_path, response, result):
    """No close_notify: the status counts; whether the body is whole, its reader must check."""
    with (
        raw_server(then(sending(response)), tls=identity(tmp_path)) as server,
        open_client(authorities=str(tmp_path / "partner.pem")) as trusting,
    ):
        assert post_with(trusting, server.url) == result


@pytest.mark.parametrize(
    "response",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 30\r\n\r\n" + BODY,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n15\r\n" + BODY + b"\r\n",
        b"HTTP/1.1 200 OK\r\nX-Half: a he",
        b"HTTP/1.1 103 Early Hints\r\n\r\n",
        b"",
    ],
    ids=["length", "transfer-encoding", "head", "interim", "nothing"],
)
def test_what_is_cut_off_there_is_no_response(tmp_path, response):
    with (
        raw_server(then(sending(response)), tls=identity(tmp_path)) as server,
        open_client(authorities=str(tmp_path / "partner.pem")) as trusting,
    ):
        assert isinstance(post_with(trusting, server.url), NoResponse)


def test_how_a_response_is_compressed_is_returned(post):
    packed = b"HTTP/1.1 200 OK\r\ncontent-Encoding:  gzip\r\nContent-Length: 2\r\n\r\n\x1f\x8b"
    with raw_server(say(packed)) as server:
        assert post(server.url) == HttpResponse(200, b"\x1f\x8b", encoding="gzip")


def test_a_slow_drip_does_not_outlast_the_total_timeout(client):
    def drip(line: Line) -> None:
        line.request()
        line.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        while not line.over.wait(0.02):
            line.send(b"x")

    with raw_server(drip) as server:
        client.start(HttpCall(1, server.url, {}, b"{}", SHORT))
        (call,) = client.finished(LONG)

    assert isinstance(call.result, NoResponse)
    assert SHORT <= call.took < LONG / 2  # the whole drip takes 20 s


@pytest.mark.parametrize("ending", [[], [Line.reset]], ids=["closes", "resets"])
def test_a_request_is_never_sent_again_when_a_kept_connection_dies(post, ending):
    """Rule 10 and rule 15: libcurl on its own would repeat it on a new connection."""
    requests = []

    def converse(line: Line) -> None:
        requests.append(line.request())
        line.send(OK)
        requests.append(line.request())
        for act in ending:
            act(line)

    with raw_server(converse) as server:
        assert post(server.url) == HttpResponse(200, b"ok")
        assert isinstance(post(server.url), NoResponse)

        assert len(requests) == 2
        assert server.connections == 1


def test_after_a_failure_the_next_call_is_fine(post):
    """A handle that failed is not used again: libcurl remembers a refused rewind."""
    with raw_server(say(OK)) as good, raw_server(then(Line.reset)) as bad:
        for _ in range(3):
            assert isinstance(post(bad.url), NoResponse)
            assert post(good.url) == HttpResponse(200, b"ok")


GZIPPED = gzip.compress(BODY, mtime=0)


@pytest.mark.parametrize(
    ("head", "body"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\n", BODY),
        (b"HTTP/1.0 200 OK\r\n\r\n", BODY),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n", GZIPPED),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: deflate\r\n\r\n", zlib.compress(BODY)),
    ],
    ids=["HTTP/1.1", "HTTP/1.0", "gzip", "deflate"],
)
def test_a_body_may_end_with_the_connection(post, head, body):
    with raw_server(then(sending(head + body))) as server:
        assert post(server.url) == HttpResponse(200, BODY)


@pytest.mark.parametrize(
    ("response", "result"),
    [
        (
            b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok",
            HttpResponse(200, b"ok"),
        ),
        (
            b"HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + OK,
            HttpResponse(200, b"ok"),
        ),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + OK, HttpResponse(200, b"ok")),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n"
            b"15;name=value\r\n" + BODY + b"\r\n0\r\nX-Sum: 1\r\n\r\n",
            HttpResponse(200, BODY),
        ),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
            b'15;a="b;c"\r\n' + BODY + b"\r\n0;end\r\n"
            b"Content-Encoding: gzip\r\nRetry-After: 7000\r\n\r\n",
            HttpResponse(200, BODY),
        ),
        (
            b"HTTP/1.1 103 Early Hints\r\nContent-Encoding: br\r\nRetry-After: 7000\r\n\r\n" + OK,
            HttpResponse(200, b"ok"),
        ),
        (
            b"HTTP/1.1 103 Early Hints\r\nContent-Length: 5\r\n\r\nHTTP/1.1 205 Reset\r\n\r\n",
            HttpResponse(205, b""),
        ),
        (b"HTTP/1.1 102 Processing\r\n\r\n" * 1000 + OK, HttpResponse(200, b"ok")),
        (b"HTTP/1.1 204 No Content\r\n\r\n", HttpResponse(204, b"")),
        (b"HTTP/1.1 205 Reset Content\r\n\r\n", HttpResponse(205, b"")),
        (b"HTTP/1.1 205 Reset Content\r\nContent-Length: 0\r\n\r\n", HttpResponse(205, b"")),
        (
            b"HTTP/1.1 205 Reset Content\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            HttpResponse(205, b""),
        ),
        (b"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok", HttpResponse(200, b"ok")),
        (b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok", HttpResponse(200, b"ok")),
        (
            b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%s"
            % (len(GZIPPED), GZIPPED),
            HttpResponse(200, BODY),
        ),
        (
            b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\nok",
            HttpResponse(200, b"ok"),
        ),
        (
            b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 0\r\n\r\n",
            HttpResponse(200, b""),
        ),
        (
            b"http/1.1 200 OK\r\nretry-after: 7\r\ncontent-length: 2\r\n\r\nok",
            HttpResponse(200, b"ok", "7"),
        ),
    ],
    ids=[
        *("HTTP/1.0 kept", "interim", "100", "trailers", "trailers about the body"),
        *("interim about a body", "interim length", "many interim", "204", "205 alone"),
        *("205 length", "205 in pieces", "no reason", "bare newlines", "gzip", "text called gzip"),
        *("nothing called gzip", "lower case"),
    ],
)
def test_an_odd_but_lawful_response_ends_where_it_says(post, response, result):
    """The connection stays open: what waited for its end would time out."""
    with raw_server(then(sending(response), Line.keep_silent)) as server:
        assert post(server.url, timeout=LONG / 5) == result


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_of_a_body_that_unpacks_to_gigabytes_no_more_is_read_than_of_any_other(post, encoding):
    packer = zlib.compressobj(wbits=31 if encoding == "gzip" else zlib.MAX_WBITS)
    bomb = packer.compress(b"x" * 20_000_000) + packer.flush()
    head = f"HTTP/1.1 200 OK\r\nContent-Encoding: {encoding}\r\nContent-Length: {len(bomb)}\r\n\r\n"
    with raw_server(say(head.encode() + bomb)) as server:
        assert post(server.url) == HttpResponse(200, b"x" * BYTES_MAX, truncated=True)
