"""Since when a partner has had undelivered notices, for every reason why they wait."""

from datetime import datetime, timedelta

import pytest
from sqlalchemy import text

from models.monitoring import stats
from models.monitoring.operators import operator_health
from models.monitoring.stats import collect_stats
from models.outbox.values import Attempt, Dead, RetryLater, Unanswered
from models.vocabulary import Action
from tests.support.deliverers import AGAIN, Deliverer
from tests.support.harness import SLIP, TOOK, Harness
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


def undelivered_since(harness: Harness) -> datetime | None:
    """As the stats say it, which must be what `operators status` says."""
    with harness.engine.begin() as connection:
        (collected,) = collect_stats(connection, now=harness.now).operators
        (shown,) = operator_health(connection, now=harness.now)
    assert collected.undelivered_since == shown.undelivered_since
    return collected.undelivered_since


def test_a_partner_that_took_all_has_nothing_undelivered(harness):
    harness.say("ticket_win")
    harness.deliver()

    assert undelivered_since(harness) is None


@pytest.mark.parametrize(
    "verdict", [RetryLater(HOUR), Unanswered(HOUR)], ids=["again", "unanswered"]
)
def test_a_notice_that_fails_is_undelivered_since_it_was_due_first(harness, verdict):
    """Between two attempts it is not due, and was silent: the circuit stays closed."""
    harness.say("ticket_win")
    since = harness.now
    for _ in range(3):
        harness.record(harness.claim_one(), verdict)
        assert undelivered_since(harness) == since
        harness.wait(HOUR)
        assert undelivered_since(harness) == since
        harness.wait(MINUTE)


def test_others_that_go_through_do_not_hide_it(harness):
    harness.say("ticket_win", "fails")
    since = harness.now
    harness.record(harness.claim_one(), RetryLater(HOUR))
    for number in range(5):
        harness.wait(MINUTE)
        harness.say("ticket_win", f"T{number}")
        harness.deliver()

    assert undelivered_since(harness) == since


def test_it_is_undelivered_while_it_is_being_sent(harness):
    harness.say("ticket_win")
    since = harness.now
    harness.wait(MINUTE)
    harness.claim_one()

    assert undelivered_since(harness) == since


def test_it_is_undelivered_while_the_circuit_is_open(harness):
    deliverer = Deliverer(harness)
    harness.say("ticket_win")
    since = harness.now
    deliverer.deliver(AGAIN, 401)
    harness.wait(10 * MINUTE)

    assert undelivered_since(harness) == since


def test_it_is_undelivered_while_the_operator_is_disabled(harness):
    """Whether a person is paged is up to the alert, which knows who is disabled."""
    harness.say("ticket_win")
    since = harness.now
    harness.disable()
    harness.wait(HOUR)

    assert undelivered_since(harness) == since


def test_what_waits_behind_a_notice_is_as_old_as_that(harness):
    harness.say("ticket_win")
    since = harness.now
    harness.record(harness.claim_one(), RetryLater(HOUR))
    harness.wait(MINUTE)
    harness.say("ticket_rollback")

    assert undelivered_since(harness) == since


def test_a_dead_letter_is_not_counted_as_undelivered(harness):
    """It waits for a person, who is paged for it at once."""
    harness.say("ticket_win")
    harness.record(harness.claim_one(), Dead("answered 400"))

    assert undelivered_since(harness) is None


def test_a_create_is_undelivered_until_its_response_and_its_discard_from_then_on(harness):
    harness.say("ticket_create", **SLIP)
    since = harness.now
    assert undelivered_since(harness) == since
    claim = harness.claim_one()
    harness.wait(MINUTE)
    harness.record(claim, Unanswered(MINUTE))

    oldest = undelivered_since(harness)
    assert oldest is None or oldest >= harness.now
    harness.wait(HOUR)
    oldest = undelivered_since(harness)
    assert oldest is not None
    assert since + MINUTE <= oldest <= since + 2 * MINUTE


def test_the_second_discard_is_undelivered_from_its_30_minutes_on(harness):
    """It is written when the first was taken; it is not late before it is due."""
    harness.say("ticket_create", **SLIP)
    harness.record(harness.claim_one(), Unanswered(MINUTE))
    harness.wait(MINUTE)
    (first,) = harness.claim()
    assert first.action is Action.DISCARD
    harness.record(first)
    written = harness.now
    assert undelivered_since(harness) is None
    harness.wait(29 * MINUTE)
    assert undelivered_since(harness) is None

    harness.wait(2 * MINUTE)
    assert undelivered_since(harness) == written + 30 * MINUTE
    harness.record_attempts(
        Attempt(harness.claim_one(), RetryLater(30 * MINUTE), TOOK, http_status=503)
    )
    harness.wait(MINUTE)
    assert undelivered_since(harness) == written + 30 * MINUTE


@pytest.mark.parametrize("analysed", [False, True])
def test_the_look_reads_no_more_than_its_limit_and_finds_the_oldest(harness, monkeypatch, analysed):
    monkeypatch.setattr(stats, "COUNT_MAX", LOOKED_AT)
    with harness.engine.begin() as connection:
        for statement in (TICKETS, NOTICES):
            connection.execute(statement, {"now": harness.now, "crowd": CROWD})
        if analysed:
            connection.execute(text("ANALYZE"))

        plans = plans_of(connection, lambda: collect_stats(connection, now=harness.now))
        (seen,) = collect_stats(connection, now=harness.now).operators

    assert seen.undelivered_since == harness.now - 9 * HOUR
    assert {"notice_due", "notice_postponed"} <= plans.indexes
    assert "notice" not in plans.whole_tables
    assert plans.rows["notice"] <= 3 * LOOKED_AT + 1
