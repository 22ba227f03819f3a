"""An HTTP client, and a database with operators and a partner."""

from collections.abc import Iterator

import pytest

from producers.simulation.partner import SimulatedPartner
from tests.support.delivery_setup import SECRET, DeliverySetup, delivery_setup_on
from tests.support.http_clients import Post, open_client, post_with
from worker.delivery.http.client import HttpClient


@pytest.fixture
def client() -> Iterator[HttpClient]:
    """An HTTP client that may call this machine."""
    with open_client() as opened:
        yield opened


@pytest.fixture
def post(client: HttpClient) -> Post:
    """One call: `post(url)` returns its result."""
    return lambda url, **more: post_with(client, url, **more)


@pytest.fixture
def delivery(engine, clock) -> Iterator[DeliverySetup]:
    """A database with operators and tickets, and delivery loops."""
    with delivery_setup_on(engine, clock) as made:
        yield made


@pytest.fixture
def partner(clock) -> Iterator[SimulatedPartner]:
    """A partner whose clock is the test's."""
    with SimulatedPartner(secret=SECRET, now=clock.now) as made:
        yield made


@pytest.fixture
def acme(delivery: DeliverySetup, partner: SimulatedPartner) -> str:
    """The operator whose partner `partner` is."""
    delivery.operator("acme", partner.url)
    return "acme"
