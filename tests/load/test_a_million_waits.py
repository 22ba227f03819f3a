"""A million notices behind dead heads, and a million that wait: a look still reads what it claims.

Issue: a claim for another ticket touches O(batch) rows. Takes a minute or two:

    pytest tests/load/test_a_million_waits.py --timeout 600
"""

from collections.abc import Iterator

import pytest
from sqlalchemy import Connection

from tests.support.harness import Harness
from tests.support.waiting_notices import CLAIM_CASES, check_claim, check_closing, many_notices_in
from worker.local.servers import Servers

SIZE = 1_000_000


@pytest.fixture(scope="module")
def harness(servers: Servers, template: str) -> Iterator[Harness]:
    with many_notices_in(servers, template, SIZE) as made:
        yield made


@pytest.fixture
def connection(harness: Harness) -> Iterator[Connection]:
    """A transaction that is undone."""
    with harness.engine.connect() as opened:
        yield opened
        opened.rollback()


@pytest.mark.parametrize("case", CLAIM_CASES)
def test_a_look_reads_what_it_claims_and_not_what_waits(harness, connection, case):
    check_claim(harness, connection, CLAIM_CASES[case])


def test_closing_a_circuit_writes_its_row_and_nothing_of_what_waits(harness, connection):
    check_closing(harness, connection)
