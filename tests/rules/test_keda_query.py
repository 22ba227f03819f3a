"""The question that KEDA asks PostgreSQL every 15 s: what it counts, and what it costs."""

import pytest
from sqlalchemy import text

from tests.support.harness import Harness
from tests.support.manifests import OVERLAYS, cluster
from tests.support.manual_clock import ManualClock
from tests.support.many_tickets import HEALTHY_TICKETS, gather
from tests.support.plans import plans_of

OF_EACH_PARTNER = 1000


@pytest.fixture
def query() -> str:
    """The same in every overlay."""
    queries = {
        cluster(overlay).one("ScaledObject", "deliver")["spec"]["triggers"][0]["metadata"]["query"]
        for overlay in OVERLAYS
    }
    (query_text,) = queries
    return str(query_text)


def test_it_counts_what_is_due_and_of_one_partner_no_more_than_deliverers_could_use(query, engine):
    """A partner that is down, with 20,000 heads due, must not start pods to ask it in vain."""
    harness = Harness(engine, ManualClock())
    harness.add_operator("sick")
    harness.add_operator()
    with engine.begin() as connection:
        (long_ago,) = connection.execute(text("SELECT now() - interval '2 hours'")).one()
        gather(connection, now=long_ago)

        counted = connection.execute(text(query)).scalar_one()
        plans = plans_of(connection, lambda: connection.execute(text(query)))

    assert counted == OF_EACH_PARTNER + HEALTHY_TICKETS
    assert "notice" not in plans.whole_tables
    assert plans.rows["notice"] == counted


def test_nothing_due_asks_for_nobody(query, engine):
    Harness(engine, ManualClock()).add_operator()
    with engine.begin() as connection:
        counted = connection.execute(text(query)).scalar_one()

    assert counted == 0
