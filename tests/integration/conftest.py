"""What the tests of the ticket's database share: a harness to act with, and records to read."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine

from tests.support.harness import Harness
from tests.support.job_actions import JobActions
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


@pytest.fixture
def jobs(engine: Engine, clock: ManualClock) -> JobActions:
    """Jobs of people, at the time that the test moves."""
    return JobActions(engine, clock)
