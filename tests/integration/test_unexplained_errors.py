"""A sick server or session, of which no row is the cause, makes no event poison (rule 21).

The errors are raised by PostgreSQL itself: by a trigger, or by a session that lost its statements.
"""

import logging
from itertools import count

import psycopg
import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError

from models.database.engine import UNEXPLAINED, Blame, blame, open_engine
from tests.support.desk import (
    CLOSE_DELAY,
    CREATE_AGE_MAX,
    OPERATOR,
    PARKING_WINDOW,
    SLIP,
    Desk,
)
from tests.support.intake_at_work import applying, publish, running
from tests.support.poison import BREAK, DISK_FULL, accept_events, refuse_events
from tests.support.wait import eventually
from worker.intake.stream import GROUP, STREAM

SICK = ["XX000", "XX001", "XX002", "26000", "25P02", "34000", "54000", "P0001", "HV000"]
PREPARED_AFTER = 6  # executions, psycopg has the server keep a plan
ALL = "%"


def tickets(*numbers: int) -> list[str]:
    return [f"T{number:02}" for number in numbers]


@pytest.fixture
def chunk(desk):
    """Twenty events, on tickets that were there before."""
    desk.publish(*(desk.event("ticket_open", name) for name in tickets(*range(20))))
    return [desk.event("ticket_win", name, event_id=f"win-{name}") for name in tickets(*range(20))]


@pytest.mark.parametrize("sqlstate", SICK)
def test_what_no_row_can_cause_rejects_no_event(desk, books, engine, chunk, sqlstate):
    refuse_events(engine, "win-T13", sqlstate=sqlstate)
    with pytest.raises(DBAPIError) as trouble:
        desk.publish(*chunk)
    assert state_of(trouble.value) == sqlstate
    assert blame(trouble.value) is Blame.UNCLEAR
    assert {books.standing(name) for name in tickets(*range(20))} == {"open/pending"}

    accept_events(engine, "win-T13")
    desk.publish(*chunk)

    assert [books.owed(name) for name in tickets(*range(20))] == [["ticket_win"]] * 20
    assert books.rejected() == []


def test_statements_that_a_session_has_lost_cost_no_event_and_that_session(desk, books, database):
    """SQLSTATE 26000, as behind a pooler, or after DEALLOCATE ALL by anybody in that session."""
    engine = open_engine(database, application_name="forgetful", pool_size=1)
    worker = Desk(engine, desk.clock)
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
    assert books.standing("T0") == "open/pending"
    assert books.rejected() == []


def state_of(error: DBAPIError) -> str | None:
    assert isinstance(error.orig, psycopg.Error)
    return error.orig.sqlstate


def session_of(engine: Engine) -> int:
    with engine.begin() as connection:
        pid: int = connection.execute(text("SELECT pg_backend_pid()")).scalar_one()
    return pid


def deallocate(engine: Engine) -> None:
    """Without psycopg's noticing: it looks for these words in what it sends itself."""
    with engine.begin() as connection:
        driver = connection.connection.driver_connection
        assert isinstance(driver, psycopg.Connection)
        driver.pgconn.exec_(b"DEALLOCATE ALL")


def test_taken_apart_the_others_go_through_and_the_one_stays_as_it_was(desk, books, engine, chunk):
    refuse_events(engine, "win-T13", sqlstate="XX001")

    applied = desk.publish(*chunk, apart=True)

    assert applied.left == {chunk[13].id}
    assert books.standing("T13") == "open/pending"
    assert {books.standing(name) for name in tickets(*range(13), *range(14, 20))} == {
        "resulted/won"
    }
    assert books.rejected() == []


def test_taken_apart_a_ticket_is_left_as_a_whole(desk, books, engine):
    """Protocol H45: what comes later would overtake what is left."""
    refuse_events(engine, "first", sqlstate="XX000")
    first = desk.event("ticket_win", "A", event_id="first")
    second = desk.event("ticket_rollback", "A")

    applied = desk.publish(first, desk.event("ticket_win", "B"), second, apart=True)

    assert applied.left == {first.id, second.id}
    assert books.tickets() == ["B"]


def test_taken_apart_poison_ends_as_poison_beside_what_is_left(desk, books, engine):
    refuse_events(engine)
    refuse_events(engine, "sick", sqlstate="XX000")
    sick = desk.event("ticket_win", "SICK", event_id="sick")

    applied = desk.publish(
        desk.event("ticket_win", "GOOD"),
        sick,
        desk.event("ticket_win", "BAD", event_id="poison"),
        apart=True,
    )

    assert applied.left == {sick.id}
    assert [row.reason for row in books.rejected()] == ["poison"]
    assert books.standing("GOOD") == "resulted/won"


@pytest.mark.parametrize("sqlstate", SICK)
def test_where_all_fail_it_is_the_server_s_trouble_also_when_taken_apart(
    desk, books, engine, chunk, sqlstate
):
    refuse_events(engine, ALL, sqlstate=sqlstate)

    with pytest.raises(DBAPIError):
        desk.publish(*chunk, apart=True)
    with pytest.raises(DBAPIError):
        desk.publish(chunk[0], apart=True)

    assert books.rejected() == []


def test_an_intake_waits_for_a_sick_server_and_counts_no_delivery(
    redis, redis_url, engine, desk, books, caplog
):
    refuse_events(engine, ALL, sqlstate="XX000")
    names = tickets(*range(5))
    publish(redis, OPERATOR, *names)

    with caplog.at_level(logging.WARNING), running(redis_url, applying(engine)) as heard:
        # Longer than it is held: it is handed back, and taken again more often than six times.
        eventually(lambda: caplog.messages.count(UNEXPLAINED) > 30)
        accept_events(engine, ALL)
        eventually(lambda: heard.batches)

    assert [books.standing(name) for name in names] == ["resulted/won"] * 5
    assert books.rejected() == []
    assert redis.xlen(STREAM) == 0
    assert set(caplog.messages) == {UNEXPLAINED}


def test_an_intake_goes_on_with_the_others_and_comes_back_to_what_fails_alone(
    redis, redis_url, engine, desk, books
):
    desk.publish(desk.event("ticket_open", "SICK"))
    damage(engine, "SICK")
    publish(redis, OPERATOR, "A", "SICK", "B")

    with running(redis_url, applying(engine)):
        eventually(lambda: sorted(books.tickets()) == ["A", "B", "SICK"])
        assert books.standing("SICK") == "open/pending"
        assert redis.xpending(STREAM, GROUP)["pending"] == 1
        heal(engine)
        eventually(lambda: redis.xlen(STREAM) == 0)

    assert books.standing("SICK") == "resulted/won"
    assert books.rejected() == []


def test_its_wait_is_bounded_where_others_go_through(redis, redis_url, engine, desk, books):
    """Rule H46: kept raw at the sixth delivery, so that nothing waits for it any longer."""
    desk.publish(desk.event("ticket_open", "SICK"))
    damage(engine, "SICK")
    publish(redis, OPERATOR, "A", "SICK")

    numbers = count()

    def is_rejected_while_others_come() -> bool:
        """What fails alone is known by the others that do not."""
        publish(redis, OPERATOR, f"N{next(numbers)}")
        return bool(books.rejected())

    with running(redis_url, applying(engine)):
        eventually(is_rejected_while_others_come)
        eventually(lambda: redis.xlen(STREAM) == 0)

    (row,) = books.rejected()
    assert row.reason == "poison"
    assert "see the intake's log" in row.message
    assert books.standing("SICK") == "open/pending"


def test_a_window_is_not_given_up_for_what_the_event_did_not_cause(desk, books, engine):
    desk.say("ticket_rollback", "SICK")
    desk.say("ticket_rollback", "GOOD")
    damage(engine, "SICK")
    desk.wait(PARKING_WINDOW)

    assert desk.end_windows() == 1

    assert books.outcomes("GOOD") == [("ticket_rollback", "rejected")]
    assert books.outcomes("SICK") == [("ticket_rollback", "parked")]
    heal(engine)
    assert desk.end_windows() == 1
    assert books.outcomes("SICK") == [("ticket_rollback", "rejected")]
    assert {row.reason for row in books.events("SICK")} == {"window_ended"}


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
def test_a_ticket_that_cannot_be_closed_holds_up_no_other(desk, books, engine, sqlstate):
    for name in ("SICK", "GOOD"):
        desk.say("ticket_win", name)
    desk.deliver()
    damage(engine, "SICK", sqlstate=sqlstate)
    desk.wait(CLOSE_DELAY)

    assert desk.close_due() == 1

    assert (books.standing("GOOD"), books.standing("SICK")) == ("closed/won", "resulted/won")
    heal(engine)
    assert desk.close_due() == 1
    assert books.owed("SICK") == ["ticket_win", "ticket_closed"]


@pytest.mark.parametrize("sqlstate", ["XX001", "23514"])
def test_a_create_that_cannot_be_given_up_holds_up_no_other(desk, books, engine, sqlstate):
    for name in ("SICK", "GOOD"):
        desk.say("ticket_create", name, **SLIP)
    damage(engine, "SICK", sqlstate=sqlstate)
    desk.wait(CREATE_AGE_MAX)

    assert desk.abandon_creates() == 1

    assert (books.ticket("GOOD").status, books.ticket("SICK").status) == ("cancelled", "new")
    heal(engine)
    assert desk.abandon_creates() == 1


def test_a_sick_server_ends_the_round(desk, engine):
    desk.say("ticket_win")
    desk.deliver()
    damage(engine, "T", sqlstate=DISK_FULL)
    desk.wait(CLOSE_DELAY)

    with pytest.raises(DBAPIError):
        desk.close_due()
