"""The cause of an open circuit is read from problems that the HTTP client really reports."""

import pytest

from models.outbox.causes import Cause, cause_of
from tests.support.certificates import identity
from tests.support.closed_port import closed_port
from tests.support.http_clients import SHORT, open_client, post_with
from tests.support.raw_server import OK, Line, raw_server, say, sending, then
from worker.delivery.http.exchange import HttpResponse


def cause_at(post, url: str) -> Cause:
    result = post(url, timeout=SHORT)
    assert not isinstance(result, HttpResponse)
    return cause_of(result.problem)


@pytest.mark.parametrize(
    ("url", "cause"),
    [
        ("http://nobody.invalid/", Cause.NAME),
        ("https://ssl-certificate-timeout.invalid/", Cause.NAME),
        ("http://10.0.0.1/", Cause.PRIVATE_ADDRESS),
        ("ftp://127.0.0.1/", Cause.URL),
        ("http://exa mple/", Cause.URL),
        ("http://127.0.0.1/\x00", Cause.URL),
    ],
)
def test_of_an_address_that_leads_nowhere(post, url, cause):
    assert cause_at(post, url) is cause


def test_of_a_port_where_nothing_listens(post):
    assert cause_at(post, f"http://127.0.0.1:{closed_port()}/") is Cause.NOT_CONNECTED


@pytest.mark.parametrize(
    ("converse", "cause"),
    [
        (then(Line.keep_silent), Cause.TIMEOUT),
        (then(sending(OK[:-2]), Line.keep_silent), Cause.TIMEOUT),
        (then(), Cause.CUT_OFF),
        (then(Line.reset), Cause.CUT_OFF),
        (then(sending(OK[:-1])), Cause.CUT_OFF),
        (then(sending(b"SSH-2.0-OpenSSH_9\r\n")), Cause.UNREADABLE),
        (then(sending(b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n")), Cause.UNREADABLE),
    ],
    ids=["silence", "half a body", "hangs up", "resets", "breaks off", "not HTTP", "no length"],
)
def test_of_what_is_no_whole_answer(post, converse, cause):
    with raw_server(converse) as server:
        assert cause_at(post, server.url) is cause


def test_of_a_certificate_that_is_not_trusted(post, tmp_path):
    with raw_server(say(OK), tls=identity(tmp_path)) as server:
        assert cause_at(post, server.url) is Cause.CERTIFICATE


def test_of_a_certificate_for_another_host(tmp_path):
    tls = identity(tmp_path, host="timeout.example")
    authorities = str(tmp_path / "partner.pem")
    with raw_server(say(OK), tls=tls) as server, open_client(authorities=authorities) as client:
        result = post_with(client, server.url)

    assert not isinstance(result, HttpResponse)
    assert cause_of(result.problem) is Cause.CERTIFICATE


def test_of_a_port_without_tls(post):
    with raw_server(sending(b"HTTP/1.1 400 Bad Request\r\n\r\n")) as server:
        assert cause_at(post, server.url.replace("http:", "https:")) is Cause.TLS
