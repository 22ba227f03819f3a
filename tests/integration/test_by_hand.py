"""Rule 26: a person publishes a result or a rollback by hand, whatever is under way."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Connection

from models.operators.interventions import Person
from models.operators.listing import OperatorNotFound
from models.outbox.dead_letters import NotPossible
from models.triage import InvalidStatement, PublishedEvent, Statement, publish_by_hand
from models.triage.sentences import did_publish
from models.vocabulary import Action
from tests.support.concurrent_connections import beside, waiting_sessions
from tests.support.harness import AMOUNTS, CLOSE_DELAY, OPERATOR, PARKING_WINDOW, Harness
from tests.support.triage_actions import TriageActions

ANNA = Person("anna", "the publisher is down")
ROLLBACK = Statement(Action.ROLLBACK)


def within(
    connection: Connection,
    harness: Harness,
    statement: Statement = ROLLBACK,
    *,
    ticket_id: str = "T",
    operator: str = OPERATOR,
) -> PublishedEvent:
    return publish_by_hand(
        connection,
        operator,
        ticket_id,
        statement,
        person=ANNA,
        now=harness.now,
        window=PARKING_WINDOW,
    )


def publish(
    harness: Harness,
    statement: Statement = ROLLBACK,
    **ticket: Any,  # noqa: ANN401 - handed on
) -> PublishedEvent:
    with harness.engine.begin() as connection:
        return within(connection, harness, statement, **ticket)


@pytest.fixture
def won(harness: Harness) -> Harness:
    """A ticket whose win was delivered."""
    harness.say("ticket_win", event_id="win")
    harness.deliver()
    return harness


def test_it_is_an_ordinary_event_with_the_persons_name_in_it(won, records):
    event = publish(won)

    assert (event.outcome, event.status_before, event.status_after) == (
        "applied",
        "resulted/won",
        "open",
    )
    assert did_publish(event) == (
        "ticket_rollback of ticket T of acme was applied; the ticket went from resulted/won to"
        " open; ticket_rollback is sent to the partner"
    )
    content = {"operator": "acme", "ticket_id": "T", "published_by": "anna"}
    assert records.data(event.event_id) == content
    assert records.ticket().close_due_at is None
    assert won.deliver() == [("T", "ticket_rollback")]
    (kept,) = TriageActions(won, records).kept()
    assert (kept.who, kept.why, kept.did) == ("anna", "the publisher is down", "event_published")
    assert kept.facts["event_id"] == event.event_id


def test_the_name_is_not_sent_to_the_partner(won, records):
    publish(won)
    publish(won, Statement(Action.VOID, {**AMOUNTS, "currency": "EUR"}))

    assert "anna" not in "".join(notice.body for notice in records.notices())
    assert records.standing() == "resulted/void"


def test_it_is_never_older_than_the_current_result(harness, records):
    """Redis' clock may be ahead of the database's, and with it the result's time (rule 3)."""
    ahead = harness.now + timedelta(hours=1)
    entry = harness.event("ticket_win", at=ahead)
    harness.wait(timedelta(hours=1))
    harness.publish(entry)
    harness.clock = type(harness.clock)(ahead - timedelta(minutes=30))

    assert publish(harness).outcome == "applied"
    assert records.standing() == "open/pending"


def test_what_the_ticket_would_reject_leaves_nothing_behind(won, records):
    before = (records.events(), records.notices(), records.ticket())

    for refused in (
        Statement(Action.VOID),  # a PAM needs the amounts
        Statement(Action.LOST, {"currency": "EUR"}, event_id="win"),  # an id with other content
    ):
        with pytest.raises(NotPossible, match="would be"):
            publish(won, refused)
    assert (records.events(), records.notices(), records.ticket()) == before

    won.wait(CLOSE_DELAY)
    won.close_due()
    with pytest.raises(NotPossible, match="ticket_rollback would be rejected"):
        publish(won)


@pytest.mark.parametrize(
    ("statement", "problem"),
    [
        (Statement(Action.CREATE), "ticket_create is not published by hand"),
        (Statement(Action.WIN, {"net_payout": -1}), r"data\.net_payout: must be a whole number"),
        (Statement(Action.WIN, {"net_payout": "12.3"}), r"data\.net_payout: must be a whole"),
        (Statement(Action.WIN, {"currency": "euro"}), r"data\.currency: must be a code"),
        (Statement(Action.WIN, {"netPayout": 1}), "net_payout"),
        (Statement(Action.WIN, event_id="with space"), "event_id"),
    ],
)
def test_it_is_validated_like_any_event(won, statement, problem):
    with pytest.raises(InvalidStatement, match=problem):
        publish(won, statement)


def test_a_ticket_and_its_operator_must_be_known(harness):
    with pytest.raises(NotPossible, match="no ticket T of acme has been opened"):
        publish(harness)
    harness.say("ticket_rollback")
    with pytest.raises(NotPossible, match="no ticket T of acme has been opened"):
        publish(harness)
    with pytest.raises(OperatorNotFound):
        publish(harness, operator="nobody")


def test_an_ended_partnership_takes_no_event_by_hand(won):
    won.end_partnership()

    with pytest.raises(NotPossible, match="the partnership with operator 'acme' ended"):
        publish(won)


def test_the_same_id_counts_once_and_is_recorded_once(won, records):
    statement = Statement(Action.ROLLBACK, event_id="by-hand")

    assert publish(won, statement).outcome == "applied"
    again = publish(won, statement)

    assert again.outcome == "duplicate"
    assert "had been published under this id before" in did_publish(again)
    assert records.notice_actions() == ["ticket_win", "ticket_rollback"]
    assert len(TriageActions(won, records).kept()) == 1


def test_what_does_not_fit_yet_waits_and_what_repeats_confirms(won, records):
    assert publish(won, Statement(Action.WIN)).outcome == "confirmed"
    waiting = publish(won, Statement(Action.LOST))
    assert waiting.outcome == "parked"
    assert "does not fit yet and waits, until" in did_publish(waiting)

    won.wait(timedelta(seconds=1))
    assert publish(won).outcome == "applied"
    assert records.standing() == "open/pending", "the loss is older than the rollback"


def test_a_correction_takes_the_result_back_first(won, records):
    event = publish(won, Statement(Action.LOST, correction=True))

    assert event.notices == ("ticket_rollback", "ticket_lost")
    assert records.standing() == "resulted/lost"


def test_a_true_result_that_is_still_on_the_stream_is_applied_and_rolled_back(harness, records):
    """The person sees an open ticket; the win of five minutes ago arrives after the rollback."""
    harness.say("ticket_open")
    win = harness.event("ticket_win", at=harness.now)
    harness.wait(timedelta(minutes=5))

    assert publish(harness).outcome == "parked"
    harness.publish(win)

    assert records.notice_actions() == ["ticket_win", "ticket_rollback"]
    assert records.standing() == "open/pending"


# --- two at once ----------------------------------------------------------------------------------


@pytest.fixture(params=["commits", "dies"])
def first_one(request) -> str:
    """What becomes of the transaction that was first."""
    return str(request.param)


def end(connection: Connection, first_one: str) -> None:
    connection.commit() if first_one == "commits" else connection.rollback()


def test_the_closing_passes_over_a_ticket_that_is_being_rolled_back(won, records, first_one):
    won.wait(CLOSE_DELAY)
    with won.engine.connect() as first:
        within(first, won)
        assert won.close_due() == 0
        end(first, first_one)

    assert won.close_due() == (0 if first_one == "commits" else 1)
    assert records.standing() == ("open/pending" if first_one == "commits" else "closed/won")


def test_a_rollback_waits_for_the_closing_and_is_refused_after_it(won, records, first_one):
    won.wait(CLOSE_DELAY)
    with won.engine.connect() as first:
        assert won.close_within(first) == 1
        with beside(lambda: outcome_of(won)) as second:
            waiting_sessions(won.engine)
            end(first, first_one)
            outcome = second.result()

    assert outcome == ("refused" if first_one == "commits" else "applied")
    assert records.standing() == ("closed/won" if first_one == "commits" else "open/pending")


def outcome_of(harness: Harness) -> str:
    try:
        return publish(harness).outcome
    except NotPossible:
        return "refused"


def test_a_delivery_under_way_counts_and_starts_no_clock(harness, records):
    """Rule 16: its success is for a generation whose result was taken back meanwhile."""
    harness.say("ticket_win")
    claim = harness.claim_one()
    publish(harness)
    assert harness.claim() == [], "the rollback waits for the call under way"

    harness.record(claim)

    assert records.ticket().close_due_at is None
    assert harness.deliver() == [("T", "ticket_rollback")]


def test_a_recording_waits_for_it_or_is_waited_for(harness, records, first_one):
    harness.say("ticket_win")
    claim = harness.claim_one()
    with harness.engine.connect() as first:
        within(first, harness)
        with beside(lambda: harness.record(claim)) as second:
            waiting_sessions(harness.engine)
            end(first, first_one)
            second.result()

    assert (records.ticket().close_due_at is None) == (first_one == "commits")
