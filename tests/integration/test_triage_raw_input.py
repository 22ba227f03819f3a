"""Reading rejected input again, and dropping it: `slipway events rejected retry|drop ENTRY`."""

from datetime import timedelta

import pytest
from sqlalchemy import text

from models.events.decode import RAW_BYTES_MAX
from models.events.event import Entry
from models.history import load_histories
from models.triage import NotPossible
from models.vocabulary import Outcome
from tests.support.cloud_events import raw as raw_cloud_event
from tests.support.concurrent_connections import beside, waiting_sessions
from tests.support.harness import PARKING_WINDOW, Harness
from tests.support.triage_actions import AGE_MAX, TriageActions

HOUR = timedelta(hours=1)
HOLD = text("SELECT FROM ticket FOR UPDATE")
STORE_RAW = text("UPDATE rejected_input SET raw = :raw WHERE entry_id = :entry_id")
SLIP_OF_THE_PEN = b'{"action":"ticket_lose","data":{"operator":"acme","ticket_id":"T"}}'


@pytest.fixture
def triage(harness, records) -> TriageActions:
    return TriageActions(harness, records)


def refused(harness: Harness, action: str, **data: object) -> str:
    """Publish an event of an operator that is not there yet; the id of its entry."""
    entry = harness.event(action, operator="betsy", **data)  # type: ignore[arg-type]  # as a test gives it
    harness.publish(entry)
    return entry.id


def test_what_was_refused_for_a_missing_operator_is_applied_when_it_is_there(
    harness, records, triage, engine
):
    entry_id = refused(harness, "ticket_win", event_id="win")
    received = harness.now
    harness.wait(HOUR)
    harness.add_operator("betsy")
    ended = triage.retry_raw(entry_id)

    assert (ended.was_reason, ended.outcome, ended.reason, ended.notices) == (
        *("unknown_operator", "applied", "opened_implicitly"),
        ("ticket_win",),
    )
    row = records.event("win", operator="betsy")
    assert (row.entry_id, row.order_time) == (entry_id, received)
    assert records.rejected()[0].dropped_at == harness.now
    assert triage.listed(Outcome.REJECTED) == []
    with engine.begin() as connection:
        (history,) = load_histories(connection, "T", operator="betsy")
    assert [raw.dropped_at for raw in history.refused] == [harness.now]
    assert [(change.did, change.facts["entry_id"]) for change in history.interventions] == [
        ("raw_event_retried", entry_id)
    ]


def test_what_still_cannot_be_read_stays_as_it_is_and_the_error_says_why(harness, records, triage):
    harness.publish(harness.raw(SLIP_OF_THE_PEN))
    (before,) = records.rejected()

    with pytest.raises(NotPossible, match=r"still cannot be read: .* did you mean ticket_lost"):
        triage.retry_raw(before.entry_id)
    assert records.rejected() == [before]
    assert (records.tickets(), triage.kept()) == ([], [])


def test_what_is_still_refused_stays_as_it_is(harness, records, triage):
    entry_id = refused(harness, "ticket_win")

    with pytest.raises(NotPossible, match="is still refused: there is no operator 'betsy'"):
        triage.retry_raw(entry_id)
    assert records.rejected()[0].dropped_at is None
    assert (records.tickets(), triage.kept()) == ([], [])


@pytest.mark.parametrize(
    "fields",
    [{b"evnt": SLIP_OF_THE_PEN}, {b"event": b" " * (RAW_BYTES_MAX + 1)}],
    ids=["no field `event`", "cut"],
)
def test_what_was_not_kept_from_end_to_end_cannot_be_retried(harness, triage, fields):
    harness.publish(Entry("1763632800000-0", fields))

    with pytest.raises(NotPossible, match=r"cannot be retried: .* publish it again"):
        triage.retry_raw("1763632800000-0")


def test_a_type_nobody_knew_is_read_again(harness, triage):
    harness.publish(Entry("1763632800000-0", {b"event": SLIP_OF_THE_PEN, b"type": b"TELEX"}))

    with pytest.raises(NotPossible, match="type 'TELEX' is not known"):
        triage.retry_raw("1763632800000-0")


def test_a_cloud_event_that_an_earlier_build_could_not_read_is_applied(
    harness, records, triage, engine
):
    """An intake that is not upgraded yet stores it whole, as an event without an action."""
    harness.publish(harness.raw(raw_cloud_event(specversion="0.3")))
    (row,) = records.rejected()
    with engine.begin() as connection:
        now_readable = {"raw": raw_cloud_event(), "entry_id": row.entry_id}
        connection.execute(STORE_RAW, now_readable)

    ended = triage.retry_raw(row.entry_id)

    assert (ended.event_id, ended.outcome, ended.notices) == ("e-1", "applied", ("ticket_win",))
    assert triage.listed(Outcome.REJECTED) == []


def test_an_entry_that_was_given_up_as_poison_may_be_well(harness, records, triage):
    """H46: it killed its worker, or was read beside an entry that did."""
    entry = harness.event("ticket_win", event_id="win", deliveries=6)
    harness.publish(entry)
    assert records.rejected()[0].reason == "poison"

    assert triage.retry_raw(entry.id).outcome == "applied"


def test_what_came_another_way_meanwhile_counts_once(harness, records, triage):
    entry_id = refused(harness, "ticket_win", event_id="win")
    harness.add_operator("betsy")
    harness.say("ticket_win", operator="betsy", event_id="win")
    ended = triage.retry_raw(entry_id)

    assert ended.outcome == "duplicate"
    assert records.notice_actions(operator="betsy") == ["ticket_win"]
    assert records.event("win", operator="betsy").repeats == 1


def test_an_id_that_was_used_for_something_else_stays_refused(harness, triage):
    """Rule 2."""
    harness.say("ticket_open", event_id="7")
    reused = harness.event("ticket_win", event_id="7")
    harness.publish(reused)

    with pytest.raises(NotPossible, match="is still refused: event_id '7' was used"):
        triage.retry_raw(reused.id)


def test_what_its_ticket_rejects_is_in_the_log_now_and_raw_no_more(harness, records, triage):
    entry_id = refused(harness, "ticket_paid", event_id="paid")
    harness.add_operator("betsy")
    harness.say("ticket_win", operator="betsy")
    ended = triage.retry_raw(entry_id)

    assert (ended.outcome, ended.reason, ended.got_through) == ("rejected", "not_reserved", False)
    assert [event.id for event in triage.listed(Outcome.REJECTED)] == ["paid"]
    assert records.rejected()[0].dropped_at == harness.now


def test_what_has_to_wait_waits_for_a_whole_window_from_now(harness, records, triage):
    """Rule 8 counts from the receipt, which is long past."""
    entry_id = refused(harness, "ticket_rollback", event_id="back")
    harness.wait(HOUR)
    harness.add_operator("betsy")
    ended = triage.retry_raw(entry_id)

    assert (ended.outcome, ended.park_until) == ("parked", harness.now + PARKING_WINDOW)
    assert records.event("back", operator="betsy").park_until == harness.now + PARKING_WINDOW
    assert harness.end_windows() == 0


def test_what_happened_too_long_ago_stays_refused(harness, triage):
    """H16: its ticket may have been removed, and must not be created again."""
    entry_id = refused(harness, "ticket_win")
    harness.add_operator("betsy")
    harness.wait(AGE_MAX + HOUR)

    with pytest.raises(NotPossible, match="SLIPWAY_EVENT_AGE_MAX"):
        triage.retry_raw(entry_id)


def test_what_is_let_go_leaves_the_list_and_stays_in_its_ticket_s_history(
    harness, records, triage, engine
):
    harness.say("ticket_open")
    harness.publish(harness.raw(SLIP_OF_THE_PEN))
    entry_id = records.rejected()[0].entry_id
    triage.drop_raw(entry_id)

    assert triage.listed(Outcome.REJECTED) == []
    with engine.begin() as connection:
        (history,) = load_histories(connection, "T")
    assert [change.did for change in history.interventions] == ["raw_event_dropped"]
    assert [raw.dropped_at for raw in history.refused] == [harness.now]
    with pytest.raises(NotPossible, match="was resolved at"):
        triage.drop_raw(entry_id)
    with pytest.raises(NotPossible, match="there is no raw input of a stream entry 1-1"):
        triage.drop_raw("1-1")


def test_of_two_persons_at_once_only_one_retries(harness, triage, engine):
    entry_id = refused(harness, "ticket_win", event_id="win")
    harness.add_operator("betsy")
    harness.say("ticket_open", operator="betsy")
    with engine.begin() as connection:
        connection.execute(HOLD)
        with (
            beside(lambda: triage.retry_raw(entry_id)) as first,
            beside(lambda: triage.retry_raw(entry_id)) as second,
        ):
            waiting_sessions(engine, 2)
            connection.rollback()
            errors = [result.exception() for result in (first, second)]

    assert [error for error in errors if error is None] == [None]
    assert any("another person has just resolved" in str(error) for error in errors)
    assert len(triage.kept()) == 1
