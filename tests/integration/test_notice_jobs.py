"""Jobs that retry or skip dead notices: what matched at the start, each once, each recorded."""

from datetime import timedelta

import pytest
from sqlalchemy import text

from models.jobs import Job, JobState, count_job
from models.outbox.dead_letters import Resolution
from models.outbox.values import Attempt, Dead
from models.platform.errors import InvalidError
from tests.support.harness import CLOSE_DELAY, TOOK
from tests.support.job_actions import ANN
from tests.support.triage_actions import TriageActions

GONE = Dead("410 Gone")
RETRY, SKIP = "retry_notices", "skip_notices"
HOUR = timedelta(hours=1)
INTERVENTIONS = text("SELECT * FROM intervention WHERE did LIKE 'notice%' ORDER BY id")


@pytest.fixture
def triage(harness, records) -> TriageActions:
    return TriageActions(harness, records)


def kill(
    harness, *tickets: str, status: int = 410, answer: str = "gone", operator: str = "acme"
) -> None:
    """Have the partner refuse the results of *tickets* for good, and take others in between."""
    for ticket in tickets:
        harness.say("ticket_win", ticket, operator=operator)
        verdict = Dead(f"{status}")
        harness.record_attempts(
            *(
                Attempt(claim, verdict, TOOK, http_status=status, answer=answer)
                for claim in harness.claim()
            )
        )
        harness.say("ticket_win", f"taken-{ticket}", operator=operator)
        harness.deliver()


def ends(records, *tickets: str) -> list[str | None]:
    return [records.notices(ticket)[0].ended for ticket in tickets]


def counts(job: Job) -> tuple[int, int, int]:
    return job.done, job.refused, job.unchanged


def test_all_that_match_are_retried_and_each_records_who_and_why(harness, records, jobs):
    names = [f"T{number}" for number in range(25)]
    kill(harness, *names)
    harness.wait(HOUR)

    job = jobs.start(RETRY, operator="acme")
    assert str(job.expected) == "25"
    first = jobs.advance()
    assert (first.handled, first.due) == (10, True)
    jobs.advance_all()

    ended = jobs.find(job)
    assert (ended.state, counts(ended)) == (JobState.DONE, (25, 0, 0))
    assert len(harness.deliver()) == 25
    assert all(records.ticket(name).close_due_at == harness.now + CLOSE_DELAY for name in names)
    with harness.engine.begin() as connection:
        kept = connection.execute(INTERVENTIONS).all()
    assert {(row.who, row.why, row.did) for row in kept} == {(ANN.who, ANN.why, "notice_retried")}
    assert sorted(row.ticket for row in kept) == sorted(records.ticket(name).id for name in names)
    assert {row.facts["job"] for row in kept} == {job.id}


@pytest.mark.parametrize(
    ("chosen", "tickets"),
    [
        ({"operator": "betsy"}, {"B"}),
        ({"action": "ticket_lost"}, {"L"}),
        ({"http_status": 422}, {"U"}),
        ({"answer": "CLOSED"}, {"U"}),
        ({"reason": "42"}, {"U"}),
        ({"ticket_id": "L"}, {"L"}),
        ({"operator": "acme", "http_status": 410, "action": "ticket_win"}, {"G"}),
        ({"operator": "nobody"}, set()),
        ({}, {"B", "L", "U", "G"}),
    ],
)
def test_a_selection_narrows_by_all_that_is_given(harness, records, jobs, chosen, tickets):
    harness.add_operator("betsy")
    kill(harness, "G")
    kill(harness, "U", status=422, answer="ticket is closed here")
    kill(harness, "B", operator="betsy")
    harness.say("ticket_lost", "L")
    harness.deliver(GONE)

    job = jobs.run(RETRY, limit=2, **chosen)

    assert (job.expected.number, job.done) == (len(tickets), len(tickets))
    assert {ticket for ticket, _ in harness.deliver()} == tickets


def test_a_selection_in_time(harness, jobs):
    kill(harness, "early")
    harness.wait(HOUR)
    begin = harness.now
    kill(harness, "in-time")
    harness.wait(HOUR)
    kill(harness, "late")

    job = jobs.run(RETRY, since=begin.isoformat(), until=(begin + HOUR / 2).isoformat())

    assert job.done == 1
    assert harness.deliver() == [("in-time", "ticket_win")]


def test_what_dies_after_the_start_is_not_part_of_it(harness, records, jobs):
    kill(harness, "A", "B", "C")
    harness.wait(HOUR)
    job = jobs.start(RETRY)
    jobs.advance(limit=1)
    harness.wait(HOUR)
    harness.deliver(GONE)  # the one that was retried dies again
    kill(harness, "D")
    jobs.advance_all()

    assert counts(jobs.find(job)) == (3, 0, 0)
    dead = [name for name in ("A", "B", "C", "D") if ends(records, name) == ["dead"]]
    assert len(dead) == 2
    assert "D" in dead


def test_what_no_longer_matches_at_its_turn_is_left_alone(harness, records, jobs, triage):
    kill(harness, "A", "B", "C")
    ids = [records.notices(name)[0].id for name in ("A", "B", "C")]
    harness.wait(HOUR)
    job = jobs.start(SKIP, ids=ids, delivered=False)
    triage.resolve(ids[0], Resolution.SKIP_DELIVERED)
    triage.resolve(ids[1], Resolution.RETRY)
    harness.wait(HOUR)
    harness.deliver(GONE)  # dead again, but not what the person saw
    jobs.advance_all()

    assert counts(jobs.find(job)) == (1, 0, 2)
    assert ends(records, "A", "B", "C") == ["delivered", "dead", "skipped"]


def test_a_selection_counts_what_was_resolved_by_others_as_unchanged(
    harness, jobs, triage, records
):
    kill(harness, "A", "B", "C")
    harness.wait(HOUR)
    job = jobs.start(RETRY)
    triage.resolve(records.notices("B")[0].id, Resolution.SKIP_DELIVERED)
    jobs.advance_all()

    assert counts(jobs.find(job)) == (2, 0, 1)


def test_rollbacks_are_refused_with_the_reason_and_the_rest_is_skipped(harness, records, jobs):
    kill(harness, "A")
    for action in ("ticket_win", "ticket_rollback"):
        for ticket in ("B", "C"):
            harness.say(action, ticket)
        harness.deliver(None if action == "ticket_win" else GONE)

    job = jobs.run(SKIP, delivered=False)

    assert (job.state, counts(job)) == (JobState.DONE, (1, 2, 0))
    assert list(job.reasons.values()) == [2]
    assert "a rollback is never skipped" in next(iter(job.reasons))
    assert ends(records, "A") == ["skipped"]
    assert [records.notices(ticket)[1].ended for ticket in ("B", "C")] == ["dead", "dead"]


def test_several_dead_notices_of_one_ticket_go_in_their_order(harness, records, jobs):
    kill(harness, "A")
    harness.say("ticket_rollback", "A")
    harness.say("ticket_lost", "A")
    win = records.notices("A")[0].id
    job = jobs.run(SKIP, ids=[win], delivered=True)
    harness.deliver(GONE)
    rollback = records.notices("A")[1].id
    again = jobs.run(SKIP, ids=[win, rollback, win, 4711], delivered=True)

    assert counts(job) == (1, 0, 0)
    assert counts(again) == (1, 1, 1)
    assert again.reasons == {"there is no notice 4711": 1}
    assert harness.deliver() == [("A", "ticket_lost")]


@pytest.mark.parametrize(
    ("kind", "arguments", "problem"),
    [
        (SKIP, {}, "delivered: Field required"),
        (RETRY, {"ids": []}, "ids: "),
        (RETRY, {"ids": list(range(1, 1002))}, "ids: "),
        (RETRY, {"ids": [0]}, "ids.0: "),
        (RETRY, {"ids": [1], "since": "2026-11-20T10:00:00Z"}, "ids cannot be combined"),
        (RETRY, {"http_status": 99}, "http_status: "),
        (RETRY, {"answer": "x" * 256}, "answer: "),
        (RETRY, {"since": "yesterday"}, "since: "),
        (RETRY, {"since": "2026-11-20T10:00:00"}, "since: "),
        (RETRY, {"reasn": "x"}, "reasn: "),
        (RETRY, {"action": "ticket_lose"}, "action: "),
        (RETRY, {"matched_until": "2026-11-20T10:00:00Z"}, "matched_until: it is set"),
    ],
)
def test_bad_arguments_are_named(engine, jobs, kind, arguments, problem):
    with pytest.raises(InvalidError, match=problem):
        jobs.start(kind, **arguments)
    with engine.begin() as connection, pytest.raises(InvalidError, match=problem):
        count_job(connection, kind, arguments, now=jobs.now)
