"""What the tests of the ticket's database share: a desk to act at, and books to look into."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine

from tests.support.books import Books
from tests.support.desk import Desk
from tests.support.manual_clock import ManualClock


@pytest.fixture
def books(engine: Engine) -> Iterator[Books]:
    """What the test's database holds. When the test is over, the books must agree."""
    held = Books(engine)
    yield held
    held.check()


@pytest.fixture
def desk(engine: Engine, clock: ManualClock, books: Books) -> Desk:
    """A desk with one PAM partner, `acme`; what it did to the books is checked at the end."""
    made = Desk(engine, clock)
    made.add_operator()
    return made
