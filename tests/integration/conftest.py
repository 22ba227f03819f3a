"""What the tests of the ticket's database share: a harness to act with, and records to read."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine

from tests.support.harness import Harness
from tests.support.manual_clock import ManualClock
from tests.support.records import Records


@pytest.fixture
def records(engine: Engine) -> Iterator[Records]:
    """What the test's database holds. When the test is over, the records must agree."""
    held = Records(engine)
    yield held
    held.check()


@pytest.fixture
def harness(engine: Engine, clock: ManualClock, records: Records) -> Harness:
    """A harness with one PAM partner, `acme`; what it did to the records is checked at the end."""
    made = Harness(engine, clock)
    made.add_operator()
    return made
