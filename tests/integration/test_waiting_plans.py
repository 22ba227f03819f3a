"""Finding what may be sent costs what it finds, however many notices wait.

With a million of each kind: `pytest tests/load/test_a_million_waits.py`.
"""

from collections.abc import Iterator

import pytest
from sqlalchemy import Connection, text

from tests.support.harness import Harness
from tests.support.waiting_notices import CLAIM_CASES, check_claim, check_closing, many_notices_in
from worker.local.servers import Servers

SIZE = 100_000


@pytest.fixture(scope="module")
def crowd(servers: Servers, template: str) -> Iterator[Harness]:
    with many_notices_in(servers, template, SIZE) as made:
        yield made


@pytest.fixture(scope="module", params=["an old session", "never analysed", "analysed"])
def harness(request, crowd: Harness) -> Harness:
    """The same crowd in three states, which pytest visits in this order."""
    if request.param == "never analysed":
        crowd.engine.dispose()  # a session of its own
    if request.param == "analysed":
        with crowd.engine.begin() as connection:
            connection.execute(text("ANALYZE"))
    return crowd


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
