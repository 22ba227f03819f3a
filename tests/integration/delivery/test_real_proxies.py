"""Calls through tinyproxy and squid: let in, with a password, and refused.

The rest is in test_egress_proxy.py.
"""

import pytest

from models.outbox.causes import Cause, cause_of
from models.settings.egress import parse_proxy
from tests.support.certificates import identity
from tests.support.closed_port import closed_port
from tests.support.http_clients import LOOPBACK, open_client, post_with
from tests.support.raw_server import OK, raw_server, say
from tests.support.real_proxies import RealProxy, squid, tinyproxy
from worker.delivery.http.egress import Egress
from worker.delivery.http.exchange import CallResult, HttpResponse, NotReached

GOOD = HttpResponse(200, b"ok")
PASSWORD = "tiny-password-4711"
PROXIES = {"tinyproxy": tinyproxy, "squid": squid}


@pytest.fixture(params=PROXIES)
def proxy(request: pytest.FixtureRequest) -> RealProxy:
    return PROXIES[request.param]


def call_through(address: str, url: str, *, as_user: str = "") -> CallResult:
    """Make one call through the proxy at *address*."""
    egress = Egress(parse_proxy(address.replace("//", f"//{as_user}")), networks=LOOPBACK)
    with open_client(egress=egress) as client:
        return post_with(client, url)


@pytest.mark.parametrize("is_tls", [False, True])
def test_a_partner_is_called_through_it_and_the_tunnel_is_kept(tmp_path, proxy, is_tls):
    tls = identity(tmp_path) if is_tls else None
    authorities = str(tmp_path / "partner.pem") if is_tls else None
    with (
        raw_server(say(OK), tls=tls) as server,
        proxy(ports=str(server.port)) as address,
        open_client(
            egress=Egress(parse_proxy(address), networks=LOOPBACK), authorities=authorities
        ) as client,
    ):
        assert [post_with(client, server.url) for _ in range(3)] == [GOOD] * 3
        assert server.connections == 1


def test_it_asks_for_a_password(proxy):
    with (
        raw_server(say(OK)) as server,
        proxy(ports=str(server.port), user="slipway", password=PASSWORD) as address,
    ):
        let_in = call_through(address, server.url, as_user=f"slipway:{PASSWORD}@")
        for wrong in ("slipway:wrong-password@", ""):
            refused = call_through(address, server.url, as_user=wrong)

            assert isinstance(refused, NotReached)
            assert refused.problem.startswith(f"the proxy {address} answered 40")
            assert refused.problem.endswith("; correct them in SLIPWAY_PARTNER_PROXY")
            assert cause_of(refused.problem) is Cause.PROXY
            assert "-password" not in refused.problem

        assert let_in == GOOD
        assert server.connections == 1


def test_it_refuses_a_port_and_cannot_reach_a_partner(proxy):
    with raw_server(say(OK)) as server, proxy(ports="443") as address:
        refused = call_through(address, server.url)
        assert server.connections == 0
    nowhere = closed_port()
    with proxy(ports=str(nowhere)) as address:
        unreachable = call_through(address, f"http://127.0.0.1:{nowhere}/")

    assert isinstance(refused, NotReached)
    assert "answered 403: it does not allow this partner; allow host and port" in refused.problem
    assert isinstance(unreachable, NotReached)
    assert "answered 50" in unreachable.problem
    assert "it cannot reach the partner; its own log says why" in unreachable.problem
