"""A failing server or session, of which no row is the cause, makes no event poison (rule 21).

The errors are raised by PostgreSQL itself: by a trigger, or by a session that lost its statements.
"""

import logging
from itertools import count

import psycopg
import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError

from models.database.engine import open_engine
from models.database.errors import UNEXPLAINED, Blame, blame
from models.events.stream_contract import GROUP, STREAM
from tests.support.harness import (
    CLOSE_DELAY,
    CREATE_AGE_MAX,
    OPERATOR,
    PARKING_WINDOW,
    SLIP,
    Harness,
)
from tests.support.intake_at_work import applying, publish, running
from tests.support.poison import BREAK, DISK_FULL, accept_events, refuse_events
from tests.support.wait import eventually

FAILING = ["XX000", "XX001", "XX002", "26000", "25P02", "34000", "54000", "P0001", "HV000"]
PREPARED_AFTER = 6  # executions, psycopg has the server keep a plan
ALL = "%"


def tickets(*numbers: int) -> list[str]:
    return [f"T{number:02}" for number in numbers]


@pytest.fixture
def batch(harness):
    """Twenty events, on tickets that were there before."""
    harness.publish(*(harness.event("ticket_open", name) for name in tickets(*range(20))))
    return [
        harness.event("ticket_win", name, event_id=f"win-{name}") for name in tickets(*range(20))
    ]


@pytest.mark.parametrize("sqlstate", FAILING)
def test_what_no_row_can_cause_rejects_no_event(harness, records, engine, batch, sqlstate):
    refuse_events(engine, "win-T13", sqlstate=sqlstate)
    with pytest.raises(DBAPIError) as trouble:
        harness.publish(*batch)
    assert state_of(trouble.value) == sqlstate
    assert blame(trouble.value) is Blame.UNCLEAR
    assert {records.standing(name) for name in tickets(*range(20))} == {"open/pending"}

    accept_events(engine, "win-T13")
    harness.publish(*batch)

    assert [records.notice_actions(name) for name in tickets(*range(20))] == [["ticket_win"]] * 20
    assert records.rejected() == []


def test_statements_that_a_session_has_lost_cost_no_event_and_that_session(
    harness, records, database
):
    """SQLSTATE 26000, as behind a pooler, or after a DEALLOCATE ALL in that session."""
    engine = open_engine(database, application_name="forgetful", pool_size=1)
    worker = Harness(engine, harness.clock)
    for number in range(PREPARED_AFTER + 1):
        worker.say("ticket_open", f"T{number}")
        worker.say("ticket_win", f"T{number}")
    former = session_of(engine)
    deallocate(engine)
    last = worker.event("ticket_rollback", "T0")
    with pytest.raises(DBAPIError) as trouble:
        worker.publish(last)
    assert state_of(trouble.value) == "26000"

    worker.publish(last)

    assert session_of(engine) != former
    engine.dispose()
    assert records.standing("T0") == "open/pending"
    assert records.rejected() == []


def state_of(error: DBAPIError) -> str | None:
    assert isinstance(error.orig, psycopg.Error)
    return error.orig.sqlstate


def session_of(engine: Engine) -> int:
    with engine.begin() as connection:
        pid: int = connection.execute(text("SELECT pg_backend_pid()")).scalar_one()
    return pid


def deallocate(engine: Engine) -> None:
    """Unnoticed by psycopg, which looks for these words only in what it sends itself."""
    with engine.begin() as connection:
        driver = connection.connection.driver_connection
        assert isinstance(driver, psycopg.Connection)
        driver.pgconn.exec_(b"DEALLOCATE ALL")


def test_taken_apart_the_others_go_through_and_the_one_stays_as_it_was(
    harness, records, engine, batch
):
    refuse_events(engine, "win-T13", sqlstate="XX001")

    applied = harness.publish(*batch, isolate_unclear=True)

    assert applied.left == {batch[13].id}
    assert records.standing("T13") == "open/pending"
    assert {records.standing(name) for name in tickets(*range(13), *range(14, 20))} == {
        "resulted/won"
    }
    assert records.rejected() == []


def test_taken_apart_a_ticket_is_left_as_a_whole(harness, records, engine):
    """H45: what comes later would overtake what is left."""
    refuse_events(engine, "first", sqlstate="XX000")
    first = harness.event("ticket_win", "A", event_id="first")
    second = harness.event("ticket_rollback", "A")

    applied = harness.publish(first, harness.event("ticket_win", "B"), second, isolate_unclear=True)

    assert applied.left == {first.id, second.id}
    assert records.tickets() == ["B"]


def test_taken_apart_poison_ends_as_poison_beside_what_is_left(harness, records, engine):
    refuse_events(engine)
    refuse_events(engine, "sick", sqlstate="XX000")
    sick = harness.event("ticket_win", "SICK", event_id="sick")

    applied = harness.publish(
        harness.event("ticket_win", "GOOD"),
        sick,
        harness.event("ticket_win", "BAD", event_id="poison"),
        isolate_unclear=True,
    )

    assert applied.left == {sick.id}
    assert [row.reason for row in records.rejected()] == ["poison"]
    assert records.standing("GOOD") == "resulted/won"


@pytest.mark.parametrize("sqlstate", FAILING)
def test_where_all_fail_it_is_the_server_s_trouble_also_when_taken_apart(
    harness, records, engine, batch, sqlstate
):
    refuse_events(engine, ALL, sqlstate=sqlstate)

    with pytest.raises(DBAPIError):
        harness.publish(*batch, isolate_unclear=True)
    with pytest.raises(DBAPIError):
        harness.publish(batch[0], isolate_unclear=True)

    assert records.rejected() == []


def test_an_intake_waits_for_a_failing_server_and_counts_no_delivery(
    redis, redis_url, engine, harness, records, caplog
):
    refuse_events(engine, ALL, sqlstate="XX000")
    names = tickets(*range(5))
    publish(redis, OPERATOR, *names)

    with caplog.at_level(logging.WARNING), running(redis_url, applying(engine)) as calls:
        # Longer than it is held: it is handed back, and taken again more often than six times.
        eventually(lambda: caplog.messages.count(UNEXPLAINED) > 30)
        accept_events(engine, ALL)
        eventually(lambda: calls.batches)

    assert [records.standing(name) for name in names] == ["resulted/won"] * 5
    assert records.rejected() == []
    assert redis.xlen(STREAM) == 0
    assert set(caplog.messages) == {UNEXPLAINED}


def test_an_intake_goes_on_with_the_others_and_comes_back_to_what_fails_alone(
    redis, redis_url, engine, harness, records
):
    harness.publish(harness.event("ticket_open", "SICK"))
    damage(engine, "SICK")
    publish(redis, OPERATOR, "A", "SICK", "B")

    with running(redis_url, applying(engine)):
        eventually(lambda: sorted(records.tickets()) == ["A", "B", "SICK"])
        assert records.standing("SICK") == "open/pending"
        # The others are acknowledged a moment after they are committed.
        eventually(lambda: redis.xpending(STREAM, GROUP)["pending"] == 1)
        heal(engine)
        eventually(lambda: redis.xlen(STREAM) == 0)

    assert records.standing("SICK") == "resulted/won"
    assert records.rejected() == []


OTHERS = 50  # at a time: some are in whatever batch it is tried again with


def test_its_wait_is_bounded_where_others_go_through(redis, redis_url, engine, harness, records):
    """H46: stored as rejected input at the sixth delivery, so that nothing waits for it."""
    harness.publish(harness.event("ticket_open", "SICK"))
    damage(engine, "SICK")
    publish(redis, OPERATOR, "A", "SICK")

    numbers = count()

    def is_rejected_while_others_come() -> bool:
        """What fails alone is known by the others of its batch that do not."""
        publish(redis, OPERATOR, *(f"N{next(numbers)}" for _ in range(OTHERS)))
        return bool(records.rejected())

    with running(redis_url, applying(engine)):
        eventually(is_rejected_while_others_come)
        eventually(lambda: redis.xlen(STREAM) == 0)

    (row,) = records.rejected()
    assert row.reason == "poison"
    assert "see the intake's log" in row.message
    assert records.standing("SICK") == "open/pending"


def test_a_window_is_not_given_up_for_what_the_event_did_not_cause(harness, records, engine):
    harness.say("ticket_rollback", "SICK")
    harness.say("ticket_rollback", "GOOD")
    damage(engine, "SICK")
    harness.wait(PARKING_WINDOW)

    assert harness.end_windows() == 1

    assert records.outcomes("GOOD") == [("ticket_rollback", "rejected")]
    assert records.outcomes("SICK") == [("ticket_rollback", "parked")]
    heal(engine)
    assert harness.end_windows() == 1
    assert records.outcomes("SICK") == [("ticket_rollback", "rejected")]
    assert {row.reason for row in records.events("SICK")} == {"window_ended"}


def damage(engine: Engine, ticket: str, *, sqlstate: str = "XX001") -> None:
    """Make the row of *ticket* one that cannot be changed, as on a damaged page."""
    trigger = f"""
        CREATE TRIGGER damaged BEFORE UPDATE ON ticket FOR EACH ROW
          WHEN (OLD.ticket_id = '{ticket}') EXECUTE FUNCTION refuse('{sqlstate}')"""
    with engine.begin() as connection:
        connection.execute(BREAK)
        connection.execute(text(trigger))


def heal(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("DROP TRIGGER damaged ON ticket"))


@pytest.mark.parametrize("sqlstate", ["XX001", "23514"])
def test_a_ticket_that_cannot_be_closed_holds_up_no_other(harness, records, engine, sqlstate):
    for name in ("SICK", "GOOD"):
        harness.say("ticket_win", name)
    harness.deliver()
    damage(engine, "SICK", sqlstate=sqlstate)
    harness.wait(CLOSE_DELAY)

    assert harness.close_due() == 1

    assert (records.standing("GOOD"), records.standing("SICK")) == ("closed/won", "resulted/won")
    heal(engine)
    assert harness.close_due() == 1
    assert records.notice_actions("SICK") == ["ticket_win", "ticket_closed"]


@pytest.mark.parametrize("sqlstate", ["XX001", "23514"])
def test_a_create_that_cannot_be_given_up_holds_up_no_other(harness, records, engine, sqlstate):
    for name in ("SICK", "GOOD"):
        harness.say("ticket_create", name, **SLIP)
    damage(engine, "SICK", sqlstate=sqlstate)
    harness.wait(CREATE_AGE_MAX)

    assert harness.abandon_creates() == 1

    assert (records.ticket("GOOD").status, records.ticket("SICK").status) == ("cancelled", "new")
    heal(engine)
    assert harness.abandon_creates() == 1


def test_a_failing_server_ends_the_round(harness, engine):
    harness.say("ticket_win")
    harness.deliver()
    damage(engine, "T", sqlstate=DISK_FULL)
    harness.wait(CLOSE_DELAY)

    with pytest.raises(DBAPIError):
        harness.close_due()
