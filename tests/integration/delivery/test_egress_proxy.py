"""Calls through an egress proxy: tunnels, credentials, refusals, addresses, kept connections."""

from ipaddress import ip_network

import pytest

from models.settings.egress import parse_direct_hosts, parse_proxy
from tests.support.certificates import identity
from tests.support.closed_port import closed_port
from tests.support.connect_proxy import ConnectProxy, connect_proxy
from tests.support.http_clients import LONG, LOOPBACK, SHORT, open_client, post_with
from tests.support.raw_server import OK, Line, raw_server, say, sending
from worker.delivery.http.client import HttpClient
from worker.delivery.http.egress import Egress
from worker.delivery.http.exchange import (
    FinishedCall,
    HttpCall,
    HttpResponse,
    NoResponse,
    NotReached,
)

GOOD = HttpResponse(200, b"ok")
PASSWORD = "p:w/ü-7788"
USER = "slipway-user"
QUOTED = "slipway-user:p%3Aw%2F%C3%BC-7788"


def through(proxy: ConnectProxy, *, as_user: bool = False, direct: str = "") -> Egress:
    """The way through *proxy*, which is on this machine."""
    address = proxy.address.replace("//", f"//{QUOTED}@") if as_user else proxy.address
    return Egress(
        parse_proxy(address), parse_direct_hosts([direct] if direct else []), networks=LOOPBACK
    )


def call(client: HttpClient, url: str, *, alone: bool = False) -> FinishedCall:
    """Make one call."""
    client.start(
        HttpCall(1, url, {"X-Api-Key": "for-the-partner"}, b"{}", LONG, own_connection=alone)
    )
    (finished,) = client.finished(LONG)
    return finished


def test_a_name_is_resolved_by_the_proxy_and_the_proxy_sees_nothing_of_the_call():
    """Not even over http: it is a tunnel. The address is the proxy's, and said to be so."""
    with raw_server(say(OK)) as server, connect_proxy() as proxy:
        proxy.names["partner.invalid"] = "127.0.0.1"
        with open_client(networks=(), egress=through(proxy)) as client:
            finished = call(client, f"http://partner.invalid:{server.port}/x")

    assert finished.result == GOOD
    assert (finished.by_proxy, finished.remote_address) == (True, "127.0.0.1")
    (head,) = proxy.heads
    assert head.startswith(f"CONNECT partner.invalid:{server.port} HTTP/1.1\r\n")
    assert "for-the-partner" not in head
    assert b"POST /x HTTP/1.1\r\nHost: partner.invalid" in proxy.passed
    assert b"Proxy-" not in proxy.passed


def test_the_partner_s_certificate_is_verified_through_the_tunnel(tmp_path):
    tls = identity(tmp_path)
    authorities = str(tmp_path / "partner.pem")
    with raw_server(say(OK), tls=tls) as server, connect_proxy() as proxy:
        with open_client(egress=through(proxy), authorities=authorities) as client:
            assert call(client, server.url).result == GOOD
        with open_client(egress=through(proxy)) as client:
            untrusted = call(client, server.url).result

    assert isinstance(untrusted, NotReached)
    assert untrusted.problem.startswith("the partner's certificate is from no authority")


def test_the_proxy_itself_may_be_reached_over_tls(tmp_path):
    authorities = str(tmp_path / "partner.pem")
    with raw_server(say(OK)) as server, connect_proxy(tls=identity(tmp_path)) as proxy:
        with open_client(egress=through(proxy), authorities=authorities) as client:
            assert call(client, server.url).result == GOOD
        with open_client(egress=through(proxy)) as client:
            untrusted = call(client, server.url).result

    assert isinstance(untrusted, NotReached)
    assert f"the proxy {proxy.address} has a certificate that is not trusted" in untrusted.problem
    assert "SLIPWAY_PARTNER_CA_FILE" in untrusted.problem


def test_user_and_password_are_for_the_proxy_alone():
    with raw_server(say(OK)) as server, connect_proxy() as proxy:
        proxy.credentials = f"{USER}:{PASSWORD}"
        with open_client(egress=through(proxy, as_user=True)) as client:
            assert call(client, server.url).result == GOOD

    assert b"uthorization" not in proxy.passed


@pytest.mark.parametrize("as_user", [True, False])
def test_a_wrong_password_or_none_is_named_and_never_shown(as_user):
    with raw_server(say(OK)) as server, connect_proxy() as proxy:
        proxy.credentials = "another:one"
        egress = through(proxy, as_user=as_user)
        with open_client(egress=egress) as client:
            result = call(client, server.url).result

        assert server.connections == 0
    assert result == NotReached(
        f"the proxy {proxy.address} answered 407: it does not accept the user or the password;"
        " correct them in SLIPWAY_PARTNER_PROXY"
    )
    for text in (repr(egress), repr(result), str(egress.proxy)):
        assert "7788" not in text
        assert USER not in text


@pytest.mark.parametrize(
    ("status", "problem"),
    [
        ("403 Forbidden", "answered 403: it does not allow this partner"),
        ("405 Not Allowed", "answered 405: it opens no connections"),
        ("503 Unavailable", "answered 503: it cannot reach the partner"),
        ("302 Found\r\nLocation: http://elsewhere.invalid/", "answered 302"),
    ],
)
def test_a_proxy_that_refuses_is_named_with_its_status_and_nothing_was_sent(status, problem):
    with raw_server(say(OK)) as server, connect_proxy() as proxy:
        proxy.status = status
        with open_client(egress=through(proxy)) as client:
            result = call(client, server.url).result
            alone = call(client, server.url, alone=True).result

        assert server.connections == 0
    assert isinstance(result, NotReached)
    assert result.problem.startswith(f"the proxy {proxy.address} {problem}")
    assert alone == result


def end_at_once(_line: Line) -> None:
    pass


@pytest.mark.parametrize(
    "act", [end_at_once, Line.reset, Line.keep_silent, sending(b"SSH-2.0\r\n\r\n")]
)
def test_a_proxy_that_ends_at_once_or_is_none_is_no_attempt(act):
    def converse(line: Line) -> None:
        line.connection.recv(1000)
        act(line)

    with raw_server(converse) as odd:
        egress = Egress(parse_proxy(odd.url), networks=LOOPBACK)
        with open_client(egress=egress, connect_timeout=SHORT) as client:
            result = call(client, "http://partner.invalid/").result

    assert isinstance(result, NotReached)
    assert result.problem.startswith(f"the proxy {odd.url[:-1]} opens no connection: ")


def test_a_proxy_that_is_not_there_is_named():
    egress = Egress(parse_proxy(f"http://127.0.0.1:{closed_port()}"), networks=LOOPBACK)
    nowhere = Egress(parse_proxy("http://proxy.invalid:3128"))
    with open_client(egress=egress) as client, open_client(egress=nowhere) as lost:
        refused = call(client, "http://partner.invalid/").result
        unknown = call(lost, "http://partner.invalid/").result

    assert isinstance(refused, NotReached)
    assert refused.problem.endswith("opens no connection: it accepts no connection")
    assert unknown == NotReached(
        "the proxy http://proxy.invalid:3128 opens no connection: its host has no address"
    )


def test_the_address_of_the_proxy_is_checked_against_its_own_networks():
    """Those of partners do not count for it, nor its own for partners."""
    with raw_server(say(OK)) as server, connect_proxy() as proxy:
        inside = Egress(parse_proxy(proxy.address))
        with open_client(networks=LOOPBACK, egress=inside) as client:
            result = call(client, server.url).result
        with open_client(networks=(), egress=through(proxy, direct="127.0.0.1")) as client:
            direct = call(client, server.url).result

        assert proxy.heads == []
    assert isinstance(result, NotReached)
    assert "127.0.0.1, which is not public" in result.problem
    assert "SLIPWAY_PARTNER_PROXY_NETWORKS" in result.problem
    assert isinstance(direct, NotReached)
    assert "in SLIPWAY_PARTNER_NETWORKS" in direct.problem


@pytest.mark.parametrize(
    "host",
    [
        *("10.0.0.1", "127.1", "2130706433", "0x7f.1", "0177.0.0.1", "127.0.0.1.", "0", "[::1]"),
        *("[::ffff:10.0.0.1]", "localhost", "LOCALHOST.", "a.localhost", "169.254.169.254"),
        *("127%2e0.0.1", "1.2.3.4.5", "a@b@127.0.0.1", "[fe80::1%25eth0]"),
    ],
)
def test_a_private_address_in_a_url_is_refused_before_the_proxy_is_asked(host):
    with connect_proxy() as proxy, open_client(networks=(), egress=through(proxy)) as client:
        result = call(client, f"http://{host}:81/").result

        assert proxy.heads == []
    assert isinstance(result, NotReached)
    assert "public" in result.problem or "the host in the URL" in result.problem


def test_a_private_address_that_partners_may_have_goes_to_the_proxy():
    with raw_server(say(OK)) as server, connect_proxy() as proxy:
        networks = [ip_network("127.0.0.0/8")]
        with open_client(networks=networks, egress=through(proxy)) as client:
            assert call(client, server.url).result == GOOD

        assert proxy.targets == [f"127.0.0.1:{server.port}"]


def test_who_is_excepted_is_called_directly_also_by_a_handle_that_used_the_proxy():
    with raw_server(say(OK)) as server, connect_proxy() as proxy:
        proxy.names["partner.invalid"] = "127.0.0.1"
        egress = through(proxy, direct="127.0.0.0/8")
        ways = []
        with open_client(egress=egress) as client:
            for host in ("partner.invalid", "127.0.0.1", "partner.invalid", "127.0.0.1"):
                finished = call(client, f"http://{host}:{server.port}/")
                assert finished.result == GOOD
                ways.append(finished.by_proxy)

        assert ways == [True, False, True, False]
        assert proxy.targets == [f"partner.invalid:{server.port}"]
        assert server.connections == 2


def test_the_environment_changes_nothing(monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setenv("NO_PROXY", "*")
    with (
        raw_server(say(OK)) as server,
        connect_proxy() as proxy,
        open_client(egress=through(proxy)) as client,
    ):
        assert call(client, server.url).by_proxy
        assert len(proxy.heads) == 1


def test_a_tunnel_is_kept_for_the_next_call_but_not_for_one_that_is_sent_once():
    with (
        raw_server(say(OK)) as server,
        connect_proxy() as proxy,
        open_client(egress=through(proxy)) as client,
    ):
        assert [call(client, server.url).result for _ in range(3)] == [GOOD] * 3
        assert len(proxy.heads) == 1
        assert call(client, server.url, alone=True).result == GOOD
        assert len(proxy.heads) == 2


def test_a_tunnel_that_was_closed_carries_no_request():
    """Rule 15: a closed one is no attempt; one that closes with the call under way leaves doubt."""
    requests = []

    def one_response(line: Line) -> None:
        requests.append(line.request())
        line.send(OK)

    def no_response(line: Line) -> None:
        requests.append(line.request())

    with (
        raw_server(one_response) as server,
        connect_proxy() as proxy,
        open_client(egress=through(proxy)) as client,
    ):
        for number in range(1, 6):
            assert call(client, server.url).result == GOOD
            proxy.wait_for_ends(number)
    assert len(requests) == 5

    with (
        raw_server(no_response) as server,
        connect_proxy() as proxy,
        open_client(egress=through(proxy)) as client,
    ):
        result = post_with(client, server.url)
    assert isinstance(result, NoResponse)
    assert len(requests) == 6
