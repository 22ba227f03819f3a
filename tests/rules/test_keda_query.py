"""The question that KEDA asks PostgreSQL every 15 s: what it counts, what it costs, and as whom."""

from collections.abc import Iterator

import psycopg
import pytest
from sqlalchemy import make_url, text

from tests.support.harness import Harness
from tests.support.manifests import OVERLAYS, cluster, example_secrets
from tests.support.manual_clock import ManualClock
from tests.support.many_tickets import HEALTHY_TICKETS, gather
from tests.support.plans import plans_of
from tests.support.sources import ROOT

OF_EACH_PARTNER = 1000
SCRIPT = (ROOT / "deploy/postgresql/scaling.sql").read_text(encoding="utf-8")
ROLE = "slipway-scaling"


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


@pytest.fixture
def as_keda(database: str, engine) -> Iterator[psycopg.Connection]:
    """A connection of the user that the script makes."""
    assert example_secrets()["slipway-scaling"]["postgresql-user"] == ROLE
    with engine.begin() as connection:
        connection.exec_driver_sql(f'DROP ROLE IF EXISTS "{ROLE}"')
        connection.exec_driver_sql(SCRIPT)
        connection.exec_driver_sql(f"ALTER ROLE \"{ROLE}\" PASSWORD 'keda'")
    url = make_url(database)
    try:
        with psycopg.connect(
            host=url.host, port=url.port, dbname=url.database, user=ROLE, password="keda"
        ) as connection:
            yield connection
    finally:
        with engine.begin() as connection:
            connection.exec_driver_sql(f'DROP OWNED BY "{ROLE}"')
            connection.exec_driver_sql(f'DROP ROLE "{ROLE}"')


def test_its_own_user_counts_and_reads_nothing_else(query, engine, as_keda):
    Harness(engine, ManualClock()).add_operator()

    assert as_keda.execute(query).fetchone() == (0,)
    for forbidden in (
        "SELECT secret FROM operator",
        "SELECT body FROM notice",
        "SELECT count(*) FROM ticket_event",
        "UPDATE operator SET disabled_at = now()",
        "DELETE FROM notice",
    ):
        as_keda.rollback()
        as_keda.execute("SET TRANSACTION READ WRITE")  # its password is all that this takes
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            as_keda.execute(forbidden)
