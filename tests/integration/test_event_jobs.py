"""Jobs that retry or drop events that need a person, raw input among them."""

from datetime import timedelta

import pytest
from sqlalchemy import text

from models.jobs import Job, JobState
from models.vocabulary import Outcome
from tests.support.harness import PARKING_WINDOW
from tests.support.job_actions import ANN
from tests.support.triage_actions import AGE_MAX, TriageActions

RETRY, DROP = "retry_events", "drop_events"
SETTINGS = {"window": PARKING_WINDOW.total_seconds(), "age_max": AGE_MAX.total_seconds()}
HOUR = timedelta(hours=1)
INTERVENTIONS = text("SELECT * FROM intervention WHERE did LIKE '%event%' ORDER BY id")


@pytest.fixture
def triage(harness, records) -> TriageActions:
    return TriageActions(harness, records)


def counts(job: Job) -> tuple[int, int, int]:
    return job.done, job.refused, job.unchanged


def park(harness, *tickets: str) -> None:
    """Leave a rollback waiting for its result on each ticket."""
    for ticket in tickets:
        harness.say("ticket_open", ticket, price=500, currency="EUR")
        harness.say("ticket_rollback", ticket, event_id=f"r-{ticket}")


def publish_for(harness, operator: str, *tickets: str) -> None:
    """Have results refused, for want of their operator."""
    harness.publish(*(harness.event("ticket_win", ticket, operator=operator) for ticket in tickets))


def test_parked_events_are_dropped_and_each_records_who_and_why(harness, records, jobs, triage):
    names = [f"T{number}" for number in range(7)]
    park(harness, *names)

    job = jobs.run(DROP, limit=3, outcome="parked", operator="acme", **SETTINGS)

    assert (job.state, job.expected.number, counts(job)) == (JobState.DONE, 7, (7, 0, 0))
    assert triage.listed(Outcome.PARKED) == []
    assert {records.ticket(name).parked for name in names} == {0}
    with harness.engine.begin() as connection:
        kept = connection.execute(INTERVENTIONS).all()
    assert {(row.who, row.why, row.did) for row in kept} == {(ANN.who, ANN.why, "event_dropped")}
    assert len(kept) == 7


def test_a_retry_that_changes_nothing_is_refused_with_what_it_still_is(harness, jobs):
    park(harness, "A", "B")

    job = jobs.run(RETRY, outcome="parked", **SETTINGS)

    assert counts(job) == (0, 2, 0)
    assert job.reasons == {"parked: waits_for_result": 2}


def test_raw_input_of_an_operator_that_exists_now_gets_through(harness, records, jobs, triage):
    publish_for(harness, "betsy", "A", "B", "C")
    publish_for(harness, "nobody", "D")
    harness.publish(harness.raw(b"rubbish"))
    harness.add_operator("betsy")
    harness.wait(HOUR)

    job = jobs.run(RETRY, outcome="rejected", reason="unknown_operator", **SETTINGS)

    assert (job.expected.number, counts(job)) == (4, (3, 1, 0))
    assert "still refused" in next(iter(job.reasons))
    assert len(harness.deliver()) == 3
    assert {listed.operator for listed in triage.listed(Outcome.REJECTED)} == {None, "nobody"}


@pytest.mark.parametrize(
    ("chosen", "events"),
    [
        ({"operator": "betsy"}, {"b"}),
        ({"ticket_id": "A"}, {"a"}),
        ({"action": "ticket_rollback"}, {"a", "b"}),
        ({"action": "ticket_lost"}, {"c"}),
        ({"reason": "waits_for_rollback"}, {"c"}),
        ({}, {"a", "b", "c"}),
    ],
)
def test_a_selection_narrows_by_all_that_is_given(harness, jobs, triage, chosen, events):
    harness.add_operator("betsy")
    harness.say("ticket_rollback", "A", event_id="a")
    harness.say("ticket_rollback", "B", event_id="b", operator="betsy")
    harness.say("ticket_win", "C")
    harness.say("ticket_lost", "C", event_id="c")
    before = {listed.id for listed in triage.listed(Outcome.PARKED)}

    job = jobs.run(DROP, limit=1, outcome="parked", **SETTINGS, **chosen)

    after = {listed.id for listed in triage.listed(Outcome.PARKED)}
    assert (before - after, job.done) == (events, len(events))


def test_what_is_parked_after_the_start_is_not_part_of_it(harness, jobs, triage):
    park(harness, "A", "B")
    job = jobs.start(DROP, outcome="parked", **SETTINGS)
    harness.wait(timedelta(seconds=1))
    park(harness, "C")
    jobs.advance_all()

    assert counts(jobs.find(job)) == (2, 0, 0)
    assert [listed.id for listed in triage.listed(Outcome.PARKED)] == ["r-C"]


def test_named_ones_are_handled_each_once_and_others_left_alone(harness, records, jobs, triage):
    park(harness, "A", "B")
    publish_for(harness, "nobody", "D")
    (raw,) = records.rejected()
    a, b = (records.ticket(ticket).id for ticket in ("A", "B"))
    parked = jobs.start(
        DROP, outcome="parked", keys=[[a, "r-A"], [a, "r-A"], [b, "r-B"], [b, "no"]], **SETTINGS
    )
    rejected = jobs.start(DROP, outcome="rejected", entries=[raw.entry_id, "9-9"], **SETTINGS)
    triage.drop("r-B", outcome=Outcome.PARKED, ticket="B")
    jobs.advance_all()

    assert counts(jobs.find(parked)) == (1, 0, 2)
    assert counts(jobs.find(rejected)) == (1, 0, 1)
    assert triage.listed(Outcome.PARKED) == triage.listed(Outcome.REJECTED) == []


def test_superseded_events_can_be_decided_as_if_they_happened_now(harness, records, jobs):
    harness.say("ticket_win")
    harness.say("ticket_rollback", event_id="slow", at=harness.now - HOUR)
    harness.wait(HOUR)

    job = jobs.run(RETRY, outcome="superseded", as_now=True, **SETTINGS)

    assert counts(job) == (1, 0, 0)
    assert records.event("slow").outcome == "applied"
