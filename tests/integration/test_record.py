"""Recording what came of attempts: all of it in one transaction (rule 13)."""

import json
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import text

from models.outbox.notice_rows import FAILURES_FIRST, FAILURES_NEWEST, THIN_OUT
from models.outbox.values import Attempt, Dead, Delivered, RetryLater, Unanswered, Verdict
from tests.support.desk import CLOSE_DELAY, TOOK
from tests.support.plans import plans_of
from tests.support.poison import refuse_attempts

FAILED_BEFORE = text("""
    INSERT INTO delivery_attempt (notice, claim, operator, verdict, took_ms, recorded_at)
    SELECT n.id, k, n.operator, 'again', 5, now()
      FROM notice n, generate_series(1, :count) AS k WHERE n.id = :notice""")
SECOND = timedelta(seconds=1)
PAUSE = timedelta(seconds=30)


def test_what_one_recording_does_is_undone_as_a_whole(desk, books, engine):
    """Rule 13, protocol H36: notice, head and clock move together or not at all."""
    desk.publish(desk.event("ticket_win", "A"), desk.event("ticket_win", "B"))
    claims = desk.claim()
    attempts = [Attempt(one, Delivered(), TOOK) for one in claims]
    with engine.connect() as connection:
        desk.record_within(connection, *attempts)
        connection.rollback()  # the process dies before its COMMIT
    for ticket in ("A", "B"):
        assert books.ticket(ticket).close_due_at is None
        assert books.notice(1, ticket).ended is None
    assert books.attempts() == []

    desk.record_attempts(*attempts)

    assert books.ticket("A").close_due_at == desk.now + CLOSE_DELAY


def test_a_recording_that_fails_in_its_last_statement_leaves_nothing_behind(desk, books, engine):
    """Rule 13: attempts are written last."""
    desk.publish(desk.event("ticket_win"), desk.event("ticket_rollback"))
    claim = desk.claim_one()
    heal = refuse_attempts(engine)
    with pytest.raises(Exception, match="this row breaks the table"):
        desk.record(claim)
    assert [(row.head, row.ended) for row in books.notices()] == [(True, None), (False, None)]
    assert books.ticket().unfinished == 2

    heal()
    assert desk.record(claim).due

    assert [row.head for row in books.notices()] == [False, True]


def test_a_batch_may_hold_every_kind_of_verdict(desk, books):
    desk.publish(*(desk.event("ticket_win", name) for name in ("A", "B", "C", "D")))
    claims = {one.ticket_id: one for one in desk.claim()}
    verdicts: dict[str, Verdict] = {
        "A": Delivered(),
        "B": RetryLater(PAUSE),
        "C": Unanswered(PAUSE),
        "D": Dead("400"),
    }

    recorded = desk.record_attempts(
        *(Attempt(claims[name], verdict, TOOK) for name, verdict in verdicts.items())
    )

    assert recorded.verdicts == {"delivered": 1, "again": 1, "unanswered": 1, "dead": 1}
    assert not recorded.due
    assert [books.notice(1, name).ended for name in "ABCD"] == ["delivered", None, None, "dead"]
    assert [books.notice(1, name).perhaps_delivered for name in "ABCD"] == [
        False,
        False,
        True,
        False,
    ]
    assert [books.ticket(name).close_due_at is None for name in "ABCD"] == [False, True, True, True]


def test_each_attempt_is_kept_with_what_the_partner_said(desk, books):
    desk.say("ticket_win")
    answer = Attempt(
        desk.claim_one(),
        RetryLater(PAUSE),
        TOOK,
        http_status=503,
        problem="503 Service Unavailable",
        answer='{"busy":"ü"}',
        remarks={"ref": "x"},
    )
    desk.record_attempts(answer)

    (row,) = books.attempts()
    assert (row.claim, row.verdict, row.took_ms, row.http_status) == (1, "again", 120, 503)
    assert (row.problem, row.answer) == ("503 Service Unavailable", '{"busy":"ü"}')
    assert (row.remarks, row.recorded_at) == ({"ref": "x"}, desk.now)


def test_recording_the_same_twice_changes_nothing(desk, books):
    """Protocol H43: a recording whose COMMIT was not heard is tried again."""
    desk.publish(desk.event("ticket_win", "A"), desk.event("ticket_win", "B"))
    first, second = desk.claim()
    attempts = Attempt(first, Delivered(), TOOK), Attempt(second, RetryLater(PAUSE), TOOK)
    desk.record_attempts(*attempts)
    before = [books.notice(1, name) for name in "AB"], books.ticket("A"), books.attempts()
    desk.wait(SECOND)
    desk.record_attempts(*attempts)

    assert ([books.notice(1, name) for name in "AB"], books.ticket("A"), books.attempts()) == before


def test_of_failures_without_end_the_first_and_the_newest_are_kept(desk, books, engine):
    """A partner that is dead for months is probed every 15 s."""
    desk.publish(desk.event("ticket_win"))
    claim = desk.claim_one()
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
        desk.record_attempts(
            Attempt(replace(claim, number=number + further), RetryLater(PAUSE), TOOK),
        )

    last = number + 19
    kept = [row.claim for row in books.attempts()]
    assert sorted(kept) == [
        *range(1, FAILURES_FIRST + 1),
        99,  # what the partner took is never removed before its ticket
        *range(last - FAILURES_NEWEST + 1, last + 1),
    ]


def test_thinning_out_reads_what_it_removes(desk, engine):
    desk.publish(desk.event("ticket_win"))
    claim = desk.claim_one()
    with engine.begin() as connection:
        connection.execute(FAILED_BEFORE, {"notice": claim.notice, "count": 5_000})
        connection.execute(text("ANALYZE delivery_attempt"))
        rows = json.dumps([{"notice": claim.notice, "claim": 5_000}])
        asked = {"rows": rows, "first": 20, "newest": 100, "most": 50}
        plans = plans_of(connection, lambda: connection.execute(THIN_OUT, asked))

    assert plans.whole_tables == set()
    assert plans.indexes == {"delivery_attempt_pkey"}
    assert plans.rows["delivery_attempt"] <= 2 * 50
