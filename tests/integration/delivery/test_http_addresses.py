"""Which addresses the HTTP client connects to, and which certificates it trusts."""

import socket
import threading
from ipaddress import ip_network

import pycurl
import pytest

from tests.support.certificates import identity
from tests.support.closed_port import closed_port
from tests.support.http_clients import LONG, SHORT, open_client, post_with
from tests.support.raw_server import OK, Line, raw_server, say, then
from worker.delivery.http.exchange import HttpCall, HttpResponse, NotReached


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("http://10.0.0.1/", "SLIPWAY_PARTNER_NETWORKS"),
        ("http://169.254.169.254/latest/meta-data/", "169.254.169.254 is not public"),
        ("http://[::ffff:10.0.0.1]/", "SLIPWAY_PARTNER_NETWORKS"),
        ("http://0/", "0.0.0.0 is not public"),
        ("http://nobody.invalid/", "resolve"),
        ("ftp://127.0.0.1/", "ftp"),
        ("file:///etc/passwd", "file"),
        ("http://exa mple/", "URL"),
        ("nonsense", ""),
        ("http://127.0.0.1/\x00", "character"),
    ],
)
def test_what_cannot_be_reached_was_never_sent(post, url, problem):
    result = post(url)

    assert isinstance(result, NotReached)
    assert problem in result.problem


def test_a_refused_connection_was_never_sent(post):
    assert isinstance(post(f"http://127.0.0.1:{closed_port()}/"), NotReached)


def test_a_name_is_checked_by_the_address_it_resolves_to():
    """DNS cannot get a partner past the check, nor an address spelled in another way."""
    with open_client(networks=()) as strict, raw_server(say(OK)) as server:
        for host in ("localhost", "127.1", "2130706433", "0x7f.1", "[::ffff:7f00:1]"):
            result = post_with(strict, f"http://{host}:{server.port}/")
            assert isinstance(result, NotReached), host
            assert "is not public" in result.problem

        assert server.connections == 0


TWO_ADDRESSES = "localhost"  # to libcurl: ::1 and 127.0.0.1, whatever the system's files say


def test_an_address_that_was_refused_does_not_hide_what_is_wrong_with_the_other(tmp_path):
    networks = [ip_network("127.0.0.0/8")]
    with (
        raw_server(say(OK), tls=identity(tmp_path)) as server,
        open_client(networks=networks) as v4,
    ):
        untrusted = post_with(v4, f"https://{TWO_ADDRESSES}:{server.port}/")
        closed = post_with(v4, f"http://{TWO_ADDRESSES}:{closed_port()}/")

    for result, fault in ((untrusted, "certificate"), (closed, "connect")):
        assert isinstance(result, NotReached)
        first, _, second = result.problem.partition(". Besides, ")
        assert fault in first
        assert "public" not in first
        assert second.startswith("the address ::1 is not public; if")


def test_where_all_addresses_are_refused_that_is_what_is_wrong():
    with open_client(networks=()) as strict:
        result = post_with(strict, f"http://{TWO_ADDRESSES}/")

    assert isinstance(result, NotReached)
    assert result.problem.startswith("the address ")
    assert "::1" in result.problem
    assert "127.0.0.1" in result.problem


def test_the_address_that_may_be_called_is_called():
    networks = [ip_network("127.0.0.0/8")]
    with raw_server(say(OK)) as server, open_client(networks=networks) as v4:
        assert post_with(v4, f"http://{TWO_ADDRESSES}:{server.port}/") == HttpResponse(200, b"ok")


def test_a_partner_on_ipv6_is_reached(post):
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as listener:
        port = listener.getsockname()[1]

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                line = Line(connection, threading.Event())
                line.request()
                line.send(OK)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        assert post(f"http://[::1]:{port}/") == HttpResponse(200, b"ok")
        thread.join()


def test_a_connection_that_is_never_accepted_is_given_up_early():
    with (
        open_client(connect_timeout=SHORT) as hasty,
        raw_server(then(Line.keep_silent)) as server,
    ):
        # a TLS handshake that nobody answers: connecting is not over
        hasty.start(HttpCall(1, server.url.replace("http:", "https:"), {}, b"{}", LONG))
        (call,) = hasty.finished(LONG)

    assert isinstance(call.result, NotReached)
    assert call.took < LONG / 2


def test_no_proxy_of_the_environment_is_used(post, monkeypatch):
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{closed_port()}/")
    monkeypatch.setenv("ALL_PROXY", f"http://127.0.0.1:{closed_port()}/")

    with raw_server(say(OK)) as server:
        assert post(server.url) == HttpResponse(200, b"ok")


def test_a_certificate_nobody_vouches_for_gets_no_byte(post, tmp_path):
    requests = []

    def converse(line: Line) -> None:
        requests.append(line.request())

    with raw_server(converse, tls=identity(tmp_path)) as server:
        result = post(server.url)

    assert isinstance(result, NotReached)
    assert "self-signed" in result.problem
    assert not any(requests)


def test_a_partner_that_understands_http_2_alone_is_called_so(tmp_path):
    """It ends the handshake, as no other protocol was offered (ALPN)."""
    tls = identity(tmp_path)
    tls.set_alpn_protocols(["h2"])
    authorities = str(tmp_path / "partner.pem")

    no_application_protocol = 120  # the alert of RFC 7301; Python has no name for it

    def refuse(*_: object) -> int:
        return no_application_protocol

    tls.sni_callback = refuse  # Python's server would go on without a protocol; others do this
    with open_client(authorities=authorities) as trusting, raw_server(say(OK), tls=tls) as server:
        result = post_with(trusting, f"https://127.0.0.1:{server.port}/")

    assert isinstance(result, NotReached)
    assert result.problem.startswith("the partner accepts HTTP/2 only; Slipway calls over HTTP/1.1")


def test_a_trusted_partner_is_called_over_tls(tmp_path):
    tls = identity(tmp_path)
    authorities = str(tmp_path / "partner.pem")
    with open_client(authorities=authorities) as trusting, raw_server(say(OK), tls=tls) as server:
        assert post_with(trusting, server.url) == HttpResponse(200, b"ok")
        assert post_with(trusting, server.url) == HttpResponse(200, b"ok")

        assert server.connections == 1


def test_libcurl_resolves_names_without_stopping_the_others():
    asynchronous_dns = 1 << 7  # CURL_VERSION_ASYNCHDNS

    assert pycurl.version_info()[4] & asynchronous_dns
