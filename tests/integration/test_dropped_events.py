"""Dropped events leave the lists, and stay in the log and in their ticket's history."""

from datetime import timedelta

import pytest

from models.history import load_histories
from models.triage import NotPossible
from models.vocabulary import Outcome
from tests.support.harness import CLOSE_DELAY, SLIP
from tests.support.triage_actions import TriageActions

SECOND = timedelta(seconds=1)


@pytest.fixture
def triage(harness, records) -> TriageActions:
    return TriageActions(harness, records)


def test_a_dropped_parked_event_ends_as_rejected_with_the_person_s_words(harness, records, triage):
    harness.say("ticket_win")
    harness.say("ticket_lost", event_id="other")
    (ended,) = triage.drop("other", outcome=Outcome.PARKED)

    assert (ended.outcome, ended.reason) == ("rejected", "dropped")
    row = records.event("other")
    assert (row.outcome, row.reason, row.park_until) == ("rejected", "dropped", None)
    assert row.message == "dropped by anna: their clock was slow"
    assert triage.listed(Outcome.PARKED) == triage.listed(Outcome.REJECTED) == []
    assert [kept.did for kept in triage.kept()] == ["event_dropped"]


def test_a_dropped_event_holds_up_the_closing_no_longer(harness, records, triage):
    """Rule 17: no ticket closes while something is parked on it."""
    harness.say("ticket_win")
    harness.deliver()
    harness.wait(CLOSE_DELAY)
    harness.say("ticket_lost", event_id="other")
    assert harness.close_due() == 0

    triage.drop("other", outcome=Outcome.PARKED)

    assert harness.close_due() == 1
    assert records.ticket().parked == 0


def test_the_number_of_a_dropped_event_is_used_up_and_the_next_ones_are_decided(
    harness, records, triage
):
    """Rule 9: they would wait for it in vain."""
    harness.add_operator("careful", announces_tickets=True)
    harness.say("ticket_rollback", event_id="one", sequence=1)
    harness.say("ticket_win", event_id="two", sequence=2)
    dropped, two = triage.drop("one", outcome=Outcome.PARKED)

    assert (dropped.gives_up, records.ticket().sequence) == (1, 2)
    assert (two.event_id, two.outcome, two.selected) == ("two", "applied", False)
    again = triage.retry("one")
    assert again[0].reason == "number_used"


def test_a_number_whose_turn_has_not_come_is_not_used_up(harness, records, triage):
    harness.say("ticket_rollback", event_id="three", sequence=3)
    (dropped,) = triage.drop("three", outcome=Outcome.PARKED)

    assert (dropped.gives_up, records.ticket().sequence) == (None, 0)


def test_a_discard_that_is_decided_then_takes_the_unsent_create_back(harness, records, triage):
    """As it does when it arrives: nothing is sent that was discarded before."""
    harness.say("ticket_create", event_id="one", sequence=1, **SLIP)
    harness.say("ticket_paid", event_id="two", sequence=2)
    harness.say("ticket_discard", event_id="three", sequence=3)
    triage.drop("two", outcome=Outcome.PARKED)

    assert [row.ended for row in records.notices()] == ["withdrawn", None]
    assert records.standing() == "cancelled/pending"
    assert harness.deliver() == [("T", "ticket_discard")]


def test_a_dropped_rejected_event_leaves_the_list_and_changes_nothing_else(
    harness, records, triage, engine
):
    harness.say("ticket_open")
    harness.say("ticket_paid", event_id="paid")
    before = records.ticket()
    (ended,) = triage.drop("paid")

    assert (ended.outcome, ended.reason) == ("rejected", "not_reserved")
    assert (records.event("paid").dropped_at, records.ticket()) == (harness.now, before)
    assert triage.listed(Outcome.REJECTED) == []
    with engine.begin() as connection:
        (history,) = load_histories(connection, "T")
    assert history.events[-1].dropped_at == harness.now
    assert history.interventions[0].facts["event_id"] == "paid"
    with pytest.raises(NotPossible, match="event paid was dropped at"):
        triage.drop("paid")


def test_a_dropped_event_can_still_be_taken_up_again(harness, records, triage):
    harness.say("ticket_win")
    harness.wait(SECOND)
    harness.say("ticket_rollback", event_id="back", at=harness.now - 5 * SECOND)
    triage.drop("back", outcome=Outcome.SUPERSEDED)
    (ended,) = triage.retry("back", outcome=Outcome.SUPERSEDED, as_now=True)

    assert ended.outcome == "applied"
    assert records.event("back").dropped_at is None
