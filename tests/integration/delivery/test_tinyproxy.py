"""Calls through tinyproxy: let in, with a password, and refused. The rest: test_egress_proxy.py."""

import pytest

from models.settings.egress import parse_proxy
from tests.support.certificates import identity
from tests.support.closed_port import closed_port
from tests.support.http_clients import LOOPBACK, open_client, post_with
from tests.support.raw_server import OK, raw_server, say
from tests.support.tinyproxy import tinyproxy
from worker.delivery.http.egress import Egress
from worker.delivery.http.exchange import HttpResponse, NotReached

GOOD = HttpResponse(200, b"ok")
PASSWORD = "tiny-password-4711"


@pytest.mark.parametrize("is_tls", [False, True])
def test_a_partner_is_called_through_it_and_the_tunnel_is_kept(tmp_path, is_tls):
    tls = identity(tmp_path) if is_tls else None
    authorities = str(tmp_path / "partner.pem") if is_tls else None
    with (
        raw_server(say(OK), tls=tls) as server,
        tinyproxy(tmp_path, ports=str(server.port)) as address,
        open_client(
            egress=Egress(parse_proxy(address), networks=LOOPBACK), authorities=authorities
        ) as client,
    ):
        assert [post_with(client, server.url) for _ in range(3)] == [GOOD] * 3
        assert server.connections == 1


def test_it_asks_for_a_password(tmp_path):
    with (
        raw_server(say(OK)) as server,
        tinyproxy(tmp_path, credentials=f"slipway {PASSWORD}", ports=str(server.port)) as address,
    ):
        results = []
        for password in (f"slipway:{PASSWORD}@", "slipway:wrong-password@", ""):
            proxy = parse_proxy(address.replace("//", f"//{password}"))
            with open_client(egress=Egress(proxy, networks=LOOPBACK)) as client:
                results.append(post_with(client, server.url))

    let_in, *refused = results
    assert let_in == GOOD
    for result in refused:
        assert isinstance(result, NotReached)
        assert result.problem.startswith(f"the proxy {address} answered 4")
        assert "-password" not in result.problem


def test_it_refuses_a_port_and_cannot_reach_a_partner(tmp_path):
    with raw_server(say(OK)) as server, tinyproxy(tmp_path, ports="443") as address:
        with open_client(egress=Egress(parse_proxy(address), networks=LOOPBACK)) as client:
            refused = post_with(client, server.url)
        assert server.connections == 0
    nowhere = closed_port()
    with (
        tinyproxy(tmp_path, ports=str(nowhere)) as address,
        open_client(egress=Egress(parse_proxy(address), networks=LOOPBACK)) as client,
    ):
        unreachable = post_with(client, f"http://127.0.0.1:{nowhere}/")

    assert isinstance(refused, NotReached)
    assert "answered 403: it does not allow this partner" in refused.problem
    assert isinstance(unreachable, NotReached)
    assert "answered 5" in unreachable.problem
