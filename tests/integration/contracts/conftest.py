"""A partner of each protocol, and what Slipway sends to it over real HTTP."""

from collections.abc import Iterator

import pytest

from producers.simulation.partner import SimulatedPartner, Wallet
from tests.support.delivery_setup import SECRET, DeliverySetup, scene_on


@pytest.fixture
def scene(engine, clock) -> Iterator[DeliverySetup]:
    """A database with operators and tickets, and delivery loops."""
    with scene_on(engine, clock) as made:
        yield made


@pytest.fixture
def partner(scene, clock) -> Iterator[SimulatedPartner]:
    """A PAM platform, the operator `acme`."""
    with SimulatedPartner(secret=SECRET, now=clock.now) as made:
        scene.operator("acme", made.url)
        yield made


@pytest.fixture
def wallet() -> Wallet:
    """The records of `wallet_partner`."""
    return Wallet(SECRET, agent="agentId")


@pytest.fixture
def wallet_partner(scene, wallet, clock) -> Iterator[SimulatedPartner]:
    """A seamless wallet, the operator `house`."""
    with SimulatedPartner(wallet=wallet, now=clock.now) as made:
        scene.operator("house", made.url, protocol="seamless", agent="agentId")
        yield made
