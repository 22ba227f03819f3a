"""The synchronous standby that commits wait for: whether it is there, and who may see that."""

from collections.abc import Iterator

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest
from redis import Redis
from sqlalchemy import Engine, make_url, text

from models.migrations.runner import upgrade
from models.monitoring.replication import (
    COMMIT_WAIT_MAX,
    Standbys,
    read_standbys,
    required_standbys,
)
from tests.support import databases
from tests.support.closed_port import closed_port
from tests.support.command_line import CommandLine
from tests.support.concurrent_connections import beside
from tests.support.delivery_setup import KEY
from tests.support.manual_clock import ManualClock
from tests.support.plain_settings import plain_settings
from tests.support.postgres_node import ASYNCHRONOUS
from tests.support.replicated_postgres import Replicated, opened, replicated_postgres
from tests.support.wait import eventually
from worker.doctor.finding import State
from worker.doctor.standbys import check_standbys
from worker.metrics.collector import StatsCollector
from worker.metrics.gauges import Gauges

NO_REDIS = f"redis://127.0.0.1:{closed_port()}/0"


@pytest.fixture
def pair() -> Iterator[Replicated]:
    with replicated_postgres() as running:
        upgrade(running.url())
        yield running


@pytest.fixture
def slipway(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    pair: Replicated,
) -> CommandLine:
    """A set-up whose Redis is unavailable, so that no test waits for workers to respond."""
    line = CommandLine(monkeypatch, capsys)
    line.export(database_url=pair.url(), redis_url=NO_REDIS, secret_key=KEY)
    return line


def test_a_synchronous_standby_that_is_missing_is_told_and_what_waits_goes_on_afterwards(
    pair: Replicated, slipway: CommandLine, redis: Redis
) -> None:
    pair.wait_for_standby()
    with opened(pair.own_url(pair.primary)) as engine:
        change(engine, "CREATE TABLE proof (number int)")
        present = slipway.findings("PostgreSQL standbys")
        pair.standby.kill()
        eventually(lambda: pair.first.standbys() == [])

        gauges = gauges_of(engine, redis)
        missing = slipway.findings("PostgreSQL standbys")
        writes = slipway.findings("PostgreSQL writes")
        with beside(lambda: change(engine, "INSERT INTO proof VALUES (1)")) as committing:
            eventually(lambda: standbys_of(engine).oldest_commit is not None)
            assert not committing.done()
            pair.change(pair.primary, ASYNCHRONOUS)
            committing.result()

    assert present == [
        ("ok", "each commit waits for 1 synchronous standby, and 1 of 1 that follow are")
    ]
    assert "slipway_synchronous_standbys_missing 1.0" in gauges
    ((state, detail),) = missing
    assert state == "wrong"
    assert detail.endswith("1 is missing: nothing is applied, sent or closed")
    assert writes == [
        ("unknown", "fix the PostgreSQL standbys first: a commit would wait for them")
    ]
    assert pair.ask(pair.primary, "SELECT count(*) FROM proof") == 1


def test_an_ordinary_user_sees_that_it_may_not_see_its_own_waits_and_with_pg_monitor_all(
    pair: Replicated, slipway: CommandLine
) -> None:
    """The standby follows, and is not the one that is waited for."""
    pair.change(
        pair.primary,
        "CREATE ROLE plain LOGIN PASSWORD 'plain'",
        "GRANT ALL ON ALL TABLES IN SCHEMA public TO plain",
        "GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO plain",
        "CREATE TABLE proof AS SELECT 0 AS number",
        "GRANT ALL ON proof TO plain",
    )
    pair.change(pair.primary, "ALTER SYSTEM SET synchronous_standby_names = 'another'")
    eventually(lambda: pair.first.standbys() == ["async"])
    url = pair.own_url(pair.primary).replace(f"slipway:{pair.password}", "plain:plain")
    slipway.export(database_url=url)

    with opened(url) as engine:
        hidden = slipway.findings("PostgreSQL standbys")
        writes = slipway.findings("PostgreSQL writes")
        with beside(lambda: change(engine, "UPDATE proof SET number = 1")):
            eventually(lambda: standbys_of(engine).oldest_commit is not None)
            pair.change(pair.primary, ASYNCHRONOUS)
        pair.change(
            pair.primary,
            "ALTER SYSTEM SET synchronous_standby_names = 'another'",
            "SET synchronous_commit = local",
            "GRANT pg_monitor TO plain",
        )
        eventually(lambda: standbys_of(engine).missing == 1)
        shown = slipway.findings("PostgreSQL standbys")

    assert hidden == [
        (
            "doubtful",
            "each commit waits for 1 synchronous standby; plain may not see whether one is there",
        )
    ]
    assert writes == [("ok", "a row was written, removed and committed")]
    assert [state for state, _ in shown] == ["wrong"]


@pytest.mark.parametrize(
    ("names", "required"),
    [
        ("", 0),
        ("*", 1),
        ("a, b", 1),
        ("FIRST 2 (a, b, c)", 2),
        ("any 2 (a, b, c)", 2),
        ("3 (a, b, c)", 3),
        ('"2 (odd)"', 1),
    ],
)
def test_how_many_standbys_are_waited_for(names: str, required: int) -> None:
    assert required_standbys(names) == required


@pytest.mark.parametrize(
    ("seen", "stalled"),
    [
        (Standbys(0, 0, 0, 1, None), False),
        (Standbys(1, 1, 0, 1, None), False),
        (Standbys(1, 0, 1, 1, None), False),
        (Standbys(2, 1, 0, 2, None), True),
        (Standbys(1, 0, 1, 1, COMMIT_WAIT_MAX * 2), True),
        (Standbys(1, 1, 0, 1, COMMIT_WAIT_MAX / 2), False),
    ],
)
def test_when_commits_are_stalled(seen: Standbys, *, stalled: bool) -> None:
    (finding,) = check_standbys(seen, user="plain")

    assert seen.stalled is stalled
    assert (finding.state is State.WRONG) is stalled


def test_a_default_that_weakens_the_commits_of_others_is_doubtful(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], database: str
) -> None:
    """Slipway's own sessions override it."""
    slipway = CommandLine(monkeypatch, capsys)
    slipway.export(database_url=database, redis_url=NO_REDIS, secret_key=KEY)
    name = make_url(database).database
    before = slipway.findings("PostgreSQL commits")
    with databases.owner(database) as person:
        person.execute(f"ALTER DATABASE {name} SET synchronous_commit = off".encode())
    ((state, detail),) = slipway.findings("PostgreSQL commits")
    with opened(database) as engine, engine.begin() as connection:
        (in_force,) = connection.execute(text("SHOW synchronous_commit")).one()

    assert before == []
    assert state == "doubtful"
    assert detail.startswith("synchronous_commit = off is the default of")
    assert in_force == "on"


def change(engine: Engine, statement: str) -> None:
    with engine.begin() as connection:
        connection.execute(text(statement))


def standbys_of(engine: Engine) -> Standbys:
    with engine.begin() as connection:
        return read_standbys(connection)


def gauges_of(engine: Engine, redis: Redis) -> str:
    registry = CollectorRegistry()
    StatsCollector(
        shown=Gauges(registry),
        transaction=engine.begin,
        clock=ManualClock(),
        redis=redis,
        broker=redis,
        queues={"deliver": ["deliver"]},
        settings=plain_settings(),
    ).collect()
    return generate_latest(registry).decode()
