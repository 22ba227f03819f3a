"""Since when a partner has been owed something, whatever keeps it from being taken."""

from datetime import datetime, timedelta

import pytest
from sqlalchemy import text

from models.monitoring import stats as surveying
from models.monitoring.operators import operator_health
from models.monitoring.stats import take_survey
from models.outbox.values import Attempt, Dead, RetryLater, Unanswered
from models.vocabulary import Action
from tests.support.deliverers import AGAIN, Deliverer
from tests.support.desk import SLIP, TOOK, Desk
from tests.support.plans import plans_of

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
CROWD = 3_000
LOOKED_AT = 100
TICKETS = text("""
    INSERT INTO ticket (operator, ticket_id, status, result, notices, unfinished)
    SELECT 1, 'C' || n, 'resulted', 'won', 1, 1 FROM generate_series(1, :crowd) AS n""")
# Each failed once, an hour ago and later, and is due again half an hour after that. One of them
# has failed for nine hours.
NOTICES = text("""
    INSERT INTO notice (ticket, operator, number, action, generation, body, head, tries,
                        created_at, postponed_at, due_at)
    SELECT t.id, 1, 1, 'ticket_win', 1, '{}', true, 1,
           CAST(:now AS timestamptz) - CASE WHEN n.place = 1 THEN interval '9 hours'
                                            ELSE interval '61 minutes' END,
           n.failed, n.failed + interval '30 minutes'
      FROM (SELECT id, row_number() OVER (ORDER BY id) AS place FROM ticket) t
     CROSS JOIN LATERAL (
           SELECT t.place, CAST(:now AS timestamptz) - interval '1 hour'
                           + t.place * interval '1 second' AS failed) n""")


def owed_since(desk: Desk) -> datetime | None:
    """As the survey says it, which must be what `operators status` says."""
    with desk.engine.begin() as connection:
        (surveyed,) = take_survey(connection, now=desk.now).operators
        (shown,) = operator_health(connection, now=desk.now)
    assert surveyed.owed_since == shown.owed_since
    return surveyed.owed_since


def test_a_partner_that_took_all_is_owed_nothing(desk):
    desk.say("ticket_win")
    desk.deliver()

    assert owed_since(desk) is None


@pytest.mark.parametrize(
    "verdict", [RetryLater(HOUR), Unanswered(HOUR)], ids=["again", "unanswered"]
)
def test_a_notice_that_fails_is_owed_since_it_was_due_first(desk, verdict):
    """Between two attempts it is not due, and was silent: the circuit stays closed."""
    desk.say("ticket_win")
    since = desk.now
    for _ in range(3):
        desk.record(desk.claim_one(), verdict)
        assert owed_since(desk) == since
        desk.wait(HOUR)
        assert owed_since(desk) == since
        desk.wait(MINUTE)


def test_others_that_go_through_do_not_hide_it(desk):
    desk.say("ticket_win", "fails")
    since = desk.now
    desk.record(desk.claim_one(), RetryLater(HOUR))
    for number in range(5):
        desk.wait(MINUTE)
        desk.say("ticket_win", f"T{number}")
        desk.deliver()

    assert owed_since(desk) == since


def test_it_is_owed_while_it_is_being_sent(desk):
    desk.say("ticket_win")
    since = desk.now
    desk.wait(MINUTE)
    desk.claim_one()

    assert owed_since(desk) == since


def test_it_is_owed_while_the_circuit_is_open(desk):
    deliverer = Deliverer(desk)
    desk.say("ticket_win")
    since = desk.now
    deliverer.deliver(AGAIN, 401)
    desk.wait(10 * MINUTE)

    assert owed_since(desk) == since


def test_it_is_owed_while_the_operator_is_disabled(desk):
    """Whether that calls a person is for the alert, which knows who is disabled."""
    desk.say("ticket_win")
    since = desk.now
    desk.disable()
    desk.wait(HOUR)

    assert owed_since(desk) == since


def test_what_waits_behind_a_notice_is_as_old_as_that(desk):
    desk.say("ticket_win")
    since = desk.now
    desk.record(desk.claim_one(), RetryLater(HOUR))
    desk.wait(MINUTE)
    desk.say("ticket_rollback")

    assert owed_since(desk) == since


def test_a_dead_notice_is_no_longer_owed(desk):
    """It waits for a person, who is called for it at once."""
    desk.say("ticket_win")
    desk.record(desk.claim_one(), Dead("answered 400"))

    assert owed_since(desk) is None


def test_a_create_is_owed_until_it_is_answered_and_its_discard_from_then_on(desk):
    desk.say("ticket_create", **SLIP)
    since = desk.now
    assert owed_since(desk) == since
    claim = desk.claim_one()
    desk.wait(MINUTE)
    desk.record(claim, Unanswered(MINUTE))

    found = owed_since(desk)
    assert found is None or found >= desk.now
    desk.wait(HOUR)
    found = owed_since(desk)
    assert found is not None
    assert since + MINUTE <= found <= since + 2 * MINUTE


def test_the_second_discard_is_owed_from_its_30_minutes_on(desk):
    """It is written when the first was taken; it is not late before it is due."""
    desk.say("ticket_create", **SLIP)
    desk.record(desk.claim_one(), Unanswered(MINUTE))
    desk.wait(MINUTE)
    (first,) = desk.claim()
    assert first.action is Action.DISCARD
    desk.record(first)
    written = desk.now
    assert owed_since(desk) is None
    desk.wait(29 * MINUTE)
    assert owed_since(desk) is None

    desk.wait(2 * MINUTE)
    assert owed_since(desk) == written + 30 * MINUTE
    desk.record_attempts(Attempt(desk.claim_one(), RetryLater(30 * MINUTE), TOOK, http_status=503))
    desk.wait(MINUTE)
    assert owed_since(desk) == written + 30 * MINUTE


@pytest.mark.parametrize("analysed", [False, True])
def test_the_look_reads_no_more_than_its_limit_and_finds_the_oldest(desk, monkeypatch, analysed):
    monkeypatch.setattr(surveying, "COUNT_MAX", LOOKED_AT)
    with desk.engine.begin() as connection:
        for statement in (TICKETS, NOTICES):
            connection.execute(statement, {"now": desk.now, "crowd": CROWD})
        if analysed:
            connection.execute(text("ANALYZE"))

        plans = plans_of(connection, lambda: take_survey(connection, now=desk.now))
        (seen,) = take_survey(connection, now=desk.now).operators

    assert seen.owed_since == desk.now - 9 * HOUR
    assert {"notice_due", "notice_postponed"} <= plans.indexes
    assert "notice" not in plans.whole_tables
    assert plans.rows["notice"] <= 3 * LOOKED_AT + 1
