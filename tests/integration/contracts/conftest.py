"""A partner of each protocol, and what Slipway sends to it over real HTTP.

Whatever a test makes Slipway send is in the published contract.
"""

from collections.abc import Iterator

import pytest

from producers.simulation.partner import SimulatedPartner, Wallet
from tests.support.delivery_setup import SECRET, DeliverySetup, delivery_setup_on
from tests.support.outgoing_bodies import outside_contract


@pytest.fixture
def delivery(engine, clock) -> Iterator[DeliverySetup]:
    """A database with operators and tickets, and delivery loops."""
    with delivery_setup_on(engine, clock) as made:
        yield made


@pytest.fixture
def partner(delivery, clock) -> Iterator[SimulatedPartner]:
    """A PAM platform, the operator `acme`."""
    with SimulatedPartner(secret=SECRET, now=clock.now) as made:
        delivery.operator("acme", made.url)
        yield made
        assert outside_contract(made.ledger.entries()) == []


@pytest.fixture
def wallet() -> Wallet:
    """The records of `wallet_partner`."""
    return Wallet(SECRET, agent="agentId")


@pytest.fixture
def wallet_partner(delivery, wallet, clock) -> Iterator[SimulatedPartner]:
    """A seamless wallet, the operator `house`."""
    with SimulatedPartner(wallet=wallet, now=clock.now) as made:
        delivery.operator("house", made.url, protocol="seamless", agent="agentId")
        yield made
        assert outside_contract(made.ledger.entries()) == []
