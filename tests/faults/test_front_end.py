"""What the trials' front end does: it reloads, closes kept connections, and loses no new one."""

import http.client
from collections.abc import Iterator
from contextlib import closing

import pytest

from producers.simulation.partner import SimulatedPartner
from tests.faults.front_end import nginx, reloading_front_end
from tests.faults.network import EVERYBODY, Network
from tests.faults.relays import Line
from tests.faults.schedule import Place
from worker.local.servers.ports import LOOPBACK

WAY: Line = (EVERYBODY, Place.PARTNER)
PING = b'{"action": "ping", "data": {}}'
CALLS = 200


@pytest.fixture
def partner() -> Iterator[SimulatedPartner]:
    with SimulatedPartner(secret="not the sample's") as partner:
        yield partner


@pytest.fixture
def network() -> Iterator[Network]:
    with Network() as network:
        yield network


def kept_connection(port: int) -> closing[http.client.HTTPConnection]:
    return closing(http.client.HTTPConnection(LOOPBACK, port, timeout=30))


def call(client: http.client.HTTPConnection) -> int:
    client.request("POST", "/", body=PING)
    with client.getresponse() as answer:
        answer.read()
        return answer.status


def call_once(port: int) -> int:
    with kept_connection(port) as client:
        return call(client)


def test_a_detour_leads_new_connections_elsewhere_and_ends_idle_ones(network, partner):
    port = network.lay(WAY, LOOPBACK, partner.port)
    with SimulatedPartner(secret="another's") as other, kept_connection(port) as kept:
        assert call(kept) == 200
        with network.detour(WAY, other.port):
            with pytest.raises((http.client.RemoteDisconnected, ConnectionError)):
                call(kept)
            assert call_once(port) == 200

        assert (len(partner.ledger.entries()), len(other.ledger.entries())) == (1, 1)


@pytest.mark.slow
def test_a_front_end_that_reloads_loses_no_call_on_a_connection_of_its_own(network, partner):
    program = nginx()
    if program is None:
        pytest.skip("nginx is not installed")
    port = network.lay(WAY, LOOPBACK, partner.port)

    with reloading_front_end(program, partner.port) as front, network.detour(WAY, front):
        answers = [call_once(port) for _ in range(CALLS)]

    assert answers == [200] * CALLS
    assert len(partner.ledger.entries()) == CALLS
