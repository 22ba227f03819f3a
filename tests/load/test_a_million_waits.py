"""A million notices behind dead heads, and a million that wait: a look still reads what it claims.

Issue: a claim for another ticket touches O(batch) rows. Takes a minute or two:

    pytest tests/load/test_a_million_waits.py --timeout 600
"""

from collections.abc import Iterator

import pytest
from sqlalchemy import Connection

from tests.support.harness import Harness
from tests.support.waiting_notices import SCENES, check_closing, check_look, crowd_of
from worker.local.servers import Servers

SIZE = 1_000_000


@pytest.fixture(scope="module")
def harness(servers: Servers, template: str) -> Iterator[Harness]:
    with crowd_of(servers, template, SIZE) as made:
        yield made


@pytest.fixture
def connection(harness: Harness) -> Iterator[Connection]:
    """A transaction that is undone."""
    with harness.engine.connect() as opened:
        yield opened
        opened.rollback()


@pytest.mark.parametrize("scene", SCENES)
def test_a_look_reads_what_it_claims_and_not_what_waits(harness, connection, scene):
    check_look(harness, connection, SCENES[scene])


def test_closing_a_circuit_writes_its_row_and_nothing_of_what_waits(harness, connection):
    check_closing(harness, connection)
