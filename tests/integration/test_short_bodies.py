"""A call that only names its action and its ticket is stored as one character, and sent whole."""

import pytest
from sqlalchemy import Engine, text

from models.history.request import find_attempt
from models.notices.short_body import SHORT
from models.operators.interventions import Person
from models.outbox.values import Dead
from models.triage import find_dead, send_notices_again
from tests.support.harness import CLOSE_DELAY, SLIP

WIN = '{"action":"ticket_win","data":{"operator":"acme","ticket_id":"T"}}'
CLOSED = '{"action":"ticket_closed","data":{"operator":"acme","ticket_id":"T"}}'
ANNA = Person("anna", "they restored a backup")
STORED = text("SELECT action, body FROM notice ORDER BY ticket, number")
# An upgrade that was finalized before this form of a row: events leave out, bodies are whole.
FINALIZED_BEFORE = text("UPDATE finalized_upgrade SET revision = '0043'")
FINALIZED_NOW = text("UPDATE finalized_upgrade SET revision = '0044'")


def stored(engine: Engine) -> list[tuple[str, str]]:
    """Return the action of each notice, and what is in its row."""
    with engine.connect() as connection:
        return [(row.action, row.body) for row in connection.execute(STORED)]


def live(harness, ticket: str = "T") -> list[str]:
    """Let a ticket win and close; return what its partner is sent."""
    harness.say("ticket_win", ticket)
    sent = harness.claim()
    harness.record(sent)
    harness.wait(CLOSE_DELAY)
    assert harness.close_due() == 1
    sent += (closed := harness.claim())
    harness.record(closed)
    return [claim.body for claim in sent]


def test_what_is_stored_short_is_sent_and_shown_whole(harness, engine, records):
    assert live(harness) == [WIN, CLOSED]

    assert stored(engine) == [("ticket_win", SHORT), ("ticket_closed", SHORT)]
    with engine.connect() as connection:
        shown = [find_attempt(connection, notice.id) for notice in records.notices()]
    assert [attempt and attempt.request.body for attempt in shown] == [WIN, CLOSED]


@pytest.mark.parametrize("finalized", ["before", "never"])
def test_until_the_upgrade_is_finalized_all_is_stored_whole(harness, engine, finalized):
    with engine.begin() as connection:
        connection.execute(
            FINALIZED_BEFORE if finalized == "before" else text("DELETE FROM finalized_upgrade")
        )
    assert live(harness) == [WIN, CLOSED]
    assert stored(engine) == [("ticket_win", WIN), ("ticket_closed", CLOSED)]


def test_one_that_is_finalized_on_the_way_answers_alike(harness, engine):
    with engine.begin() as connection:
        connection.execute(FINALIZED_BEFORE)
    harness.say("ticket_win")
    with engine.begin() as connection:
        connection.execute(FINALIZED_NOW)
    harness.say("ticket_win", "U")

    assert {claim.body for claim in harness.claim()} == {WIN, WIN.replace('"T"', '"U"')}
    assert stored(engine) == [("ticket_win", WIN), ("ticket_win", SHORT)]


def test_a_call_that_says_more_is_stored_whole(harness, engine):
    harness.say("ticket_create", **SLIP)
    harness.say("ticket_discard", reason="void")
    harness.say("ticket_void", "U", price=5)
    harness.say("ticket_rollback", "U")

    assert SHORT not in dict(stored(engine)).values()


def test_a_repeat_is_sent_as_its_original(harness, engine, records):
    live(harness)
    with engine.begin() as connection:
        send_notices_again(connection, records.notice(1).id, person=ANNA, now=harness.now)

    (again,) = harness.claim()

    assert (again.repeat, again.body) == (1, WIN)


def test_a_person_is_shown_a_dead_one_whole(harness, engine, records):
    harness.say("ticket_win")
    harness.record(harness.claim(), Dead("refused"))

    with engine.connect() as connection:
        dead = find_dead(connection, records.notice(1).id)

    assert dead.body == WIN
    assert stored(engine) == [("ticket_win", SHORT)]
