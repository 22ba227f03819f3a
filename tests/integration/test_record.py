"""Recording the results of attempts, all in one transaction (rule 13)."""

import json
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import text

from models.history.request import find_attempt
from models.outbox.notice_rows import DELETE_OLD_FAILURES, FAILURES_FIRST, FAILURES_NEWEST
from models.outbox.values import Attempt, Dead, Delivered, RetryLater, Unanswered, Verdict
from tests.support.harness import CLOSE_DELAY, TOOK
from tests.support.plans import plans_of
from tests.support.poison import refuse_attempts

FAILED_BEFORE = text("""
    INSERT INTO delivery_attempt (notice, claim, operator, verdict, took_ms, recorded_at)
    SELECT n.id, k, n.operator, 'again', 5, now()
      FROM notice n, generate_series(1, :count) AS k WHERE n.id = :notice""")
SECOND = timedelta(seconds=1)
PAUSE = timedelta(seconds=30)


def test_what_one_recording_does_is_undone_as_a_whole(harness, records, engine):
    """Rule 13, H36: notice, head and clock change together or not at all."""
    harness.publish(harness.event("ticket_win", "A"), harness.event("ticket_win", "B"))
    claims = harness.claim()
    attempts = [Attempt(claim, Delivered(), TOOK) for claim in claims]
    with engine.connect() as connection:
        harness.record_within(connection, *attempts)
        connection.rollback()  # the process dies before its COMMIT
    for ticket in ("A", "B"):
        assert records.ticket(ticket).close_due_at is None
        assert records.notice(1, ticket).ended is None
    assert records.attempts() == []

    harness.record_attempts(*attempts)

    assert records.ticket("A").close_due_at == harness.now + CLOSE_DELAY


def test_a_recording_that_fails_in_its_last_statement_leaves_nothing_behind(
    harness, records, engine
):
    """Rule 13: attempts that are rows of their own are written last."""
    harness.publish(harness.event("ticket_win"), harness.event("ticket_rollback"))
    claim = harness.claim_one()
    success = Attempt(claim, Delivered(), TOOK, response_headers={"headers": [], "omitted": 0})
    heal = refuse_attempts(engine)
    with pytest.raises(Exception, match="this row breaks the table"):
        harness.record_attempts(success)
    assert [(row.head, row.ended) for row in records.notices()] == [(True, None), (False, None)]
    assert records.ticket().unfinished == 2

    heal()
    assert harness.record_attempts(success).due

    assert [row.head for row in records.notices()] == [False, True]


def test_a_batch_may_hold_every_kind_of_verdict(harness, records):
    harness.publish(*(harness.event("ticket_win", name) for name in ("A", "B", "C", "D")))
    claims = {claim.ticket_id: claim for claim in harness.claim()}
    verdicts: dict[str, Verdict] = {
        "A": Delivered(),
        "B": RetryLater(PAUSE),
        "C": Unanswered(PAUSE),
        "D": Dead("400"),
    }

    recorded = harness.record_attempts(
        *(Attempt(claims[name], verdict, TOOK) for name, verdict in verdicts.items())
    )

    assert recorded.verdicts == {"delivered": 1, "again": 1, "unanswered": 1, "dead": 1}
    assert not recorded.due
    assert [records.notice(1, name).ended for name in "ABCD"] == ["delivered", None, None, "dead"]
    assert [records.notice(1, name).perhaps_delivered for name in "ABCD"] == [
        False,
        False,
        True,
        False,
    ]
    assert [records.ticket(name).close_due_at is None for name in "ABCD"] == [
        False,
        True,
        True,
        True,
    ]


def test_each_attempt_is_kept_with_what_the_partner_said(harness, records):
    harness.say("ticket_win")
    answer = Attempt(
        harness.claim_one(),
        RetryLater(PAUSE),
        TOOK,
        http_status=503,
        problem="503 Service Unavailable",
        answer='{"busy":"ü"}',
        remarks={"ref": "x"},
    )
    harness.record_attempts(answer)

    (row,) = records.attempts()
    assert (row.claim, row.verdict, row.took_ms, row.http_status) == (1, "again", 120, 503)
    assert (row.problem, row.answer) == ("503 Service Unavailable", '{"busy":"ü"}')
    assert (row.remarks, row.recorded_at) == ({"ref": "x"}, harness.now)


def test_recording_the_same_twice_changes_nothing(harness, records):
    """H43: a recording whose COMMIT was not confirmed is tried again."""
    harness.publish(harness.event("ticket_win", "A"), harness.event("ticket_win", "B"))
    first, second = harness.claim()
    attempts = Attempt(first, Delivered(), TOOK), Attempt(second, RetryLater(PAUSE), TOOK)
    harness.record_attempts(*attempts)
    before = [records.notice(1, name) for name in "AB"], records.ticket("A"), records.attempts()
    harness.wait(SECOND)
    harness.record_attempts(*attempts)

    assert (
        [records.notice(1, name) for name in "AB"],
        records.ticket("A"),
        records.attempts(),
    ) == before


def test_of_failures_without_end_the_first_and_the_newest_are_kept(harness, records, engine):
    """A partner that is dead for months is probed every 15 s."""
    harness.publish(harness.event("ticket_win"))
    claim = harness.claim_one()
    number = 1_000
    with engine.begin() as connection:
        connection.execute(FAILED_BEFORE, {"notice": claim.notice, "count": number - 1})
        connection.execute(
            text("UPDATE delivery_attempt SET verdict = 'delivered' WHERE claim = 7")
        )
        connection.execute(
            text("UPDATE delivery_attempt SET verdict = 'delivered' WHERE claim = 99")
        )
    for further in range(20):
        harness.record_attempts(
            Attempt(replace(claim, number=number + further), RetryLater(PAUSE), TOOK),
        )

    last = number + 19
    kept = [row.claim for row in records.attempts()]
    assert sorted(kept) == [
        *range(1, FAILURES_FIRST + 1),
        99,  # what the partner took is never removed before its ticket
        *range(last - FAILURES_NEWEST + 1, last + 1),
    ]


def test_one_attempt_is_read_by_its_keys_among_thousands(harness, engine):
    harness.publish(harness.event("ticket_win"))
    claim = harness.claim_one()
    with engine.begin() as connection:
        connection.execute(FAILED_BEFORE, {"notice": claim.notice, "count": 5_000})
        connection.execute(text("ANALYZE delivery_attempt"))
        last = find_attempt(connection, claim.notice)
        plans = plans_of(connection, lambda: find_attempt(connection, claim.notice))
        named = plans_of(connection, lambda: find_attempt(connection, claim.notice, 2_500))

    assert last is not None
    assert last.claim == 5_000
    for each in (plans, named):
        assert "delivery_attempt" not in each.whole_tables
        assert "delivery_attempt_pkey" in each.indexes
    for each in (plans, named):  # itself, the one before it and the one after
        assert each.rows["delivery_attempt"] <= 3


def test_thinning_out_reads_what_it_removes(harness, engine):
    harness.publish(harness.event("ticket_win"))
    claim = harness.claim_one()
    with engine.begin() as connection:
        connection.execute(FAILED_BEFORE, {"notice": claim.notice, "count": 5_000})
        connection.execute(text("ANALYZE delivery_attempt"))
        rows = json.dumps([{"notice": claim.notice, "claim": 5_000}])
        limits = {"rows": rows, "first": 20, "newest": 100, "deleted_max": 50}
        plans = plans_of(connection, lambda: connection.execute(DELETE_OLD_FAILURES, limits))

    assert plans.whole_tables == set()
    assert plans.indexes == {"delivery_attempt_pkey"}
    assert plans.rows["delivery_attempt"] <= 2 * 50
