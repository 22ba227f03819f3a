"""What ended long ago is removed, never an unfinished one, and no replay brings it back (H16)."""

import re
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from models.intake.apply import apply_entries
from models.outbox.attempts import ATTEMPTS
from models.outbox.values import Dead, Delivered
from models.sweeps.retention import Position, remove_expired
from models.vocabulary import Outcome
from tests.support.harness import CLOSE_DELAY, PARKING_WINDOW, SLIP, Harness
from tests.support.poison import BREAK, CHECK_VIOLATION
from tests.support.triage_actions import TriageActions

RETENTION = timedelta(days=90)
CHANGELOG = Path(__file__).parents[2] / "CHANGELOG.md"
AGE_MAX = timedelta(days=30)
COUNTS = text(f"""
    SELECT (SELECT count(*) FROM ticket) AS tickets, (SELECT count(*) FROM ticket_event) AS events,
           (SELECT count(*) FROM notice) AS notices,
           (SELECT count(*) FROM {ATTEMPTS} a) AS attempts,
           (SELECT count(*) FROM rejected_input) AS rejected""")  # noqa: S608 - a constant

REFUSE_ENDS = text(f"""
    CREATE TRIGGER refuse_ends BEFORE UPDATE ON ticket_event FOR EACH ROW
      WHEN (NEW.reason = 'window_ended') EXECUTE FUNCTION refuse('{CHECK_VIOLATION}')""")


def live_and_close(harness: Harness, ticket_id: str) -> None:
    harness.say("ticket_win", ticket_id)
    harness.deliver()
    harness.wait(CLOSE_DELAY)
    harness.close_due()


def left(harness: Harness) -> tuple[int, ...]:
    with harness.engine.begin() as connection:
        return tuple(connection.execute(COUNTS).one())


def forget_old(harness: Harness, *, limit: int = 500) -> int:
    with harness.engine.begin() as connection:
        return remove_expired(connection, before=harness.now - RETENTION, limit=limit)


def test_a_closed_ticket_goes_with_all_that_belongs_to_it(harness):
    live_and_close(harness, "old")
    harness.deliver()
    harness.publish(harness.raw(b"rubbish"))
    harness.wait(RETENTION + timedelta(days=1))

    assert forget_old(harness) == 2
    assert left(harness) == (0, 0, 0, 0, 0)


def test_a_cancelled_ticket_goes_too(harness):
    harness.say("ticket_discard", "never-there")
    harness.deliver()
    harness.wait(RETENTION + timedelta(days=1))

    assert forget_old(harness) == 1


def test_what_is_younger_stays(harness):
    live_and_close(harness, "young")
    harness.deliver()
    harness.wait(RETENTION - timedelta(seconds=1))

    assert forget_old(harness) == 0


def test_a_closed_ticket_whose_partner_was_not_notified_stays(harness):
    live_and_close(harness, "untold")
    harness.deliver(Dead("400"))
    harness.wait(RETENTION * 2)

    assert forget_old(harness) == 0


def test_a_cancelled_ticket_whose_discard_was_not_taken_stays(harness):
    harness.say("ticket_discard", "cancelled")
    harness.wait(RETENTION * 2)
    assert forget_old(harness) == 0

    harness.deliver(Delivered())

    assert forget_old(harness) == 1


def test_what_never_closed_stays(harness):
    harness.say("ticket_open", "open")
    harness.say("ticket_win", "undelivered")
    harness.wait(RETENTION * 2)

    assert forget_old(harness) == 0


def refuse_at_once(harness: Harness, ticket_id: str = "nowhere") -> None:
    """An event that a wallet's ticket can never take, whether anything opens it or not."""
    outcomes = harness.say("ticket_reserve", ticket_id, operator="wallet", **SLIP)
    assert outcomes == {("ticket_reserve", "rejected"): 1}


@pytest.fixture
def wallet(harness) -> str:
    harness.add_operator("wallet", protocol="seamless")
    return "wallet"


def test_a_ticket_that_nothing_opened_goes_with_its_events_once_their_windows_ended(
    harness, records
):
    harness.say("ticket_rollback", "nowhere")
    harness.wait(RETENTION * 2)
    assert forget_old(harness) == 0  # its event still waits

    harness.end_windows()
    assert records.outcomes("nowhere") == [("ticket_rollback", "rejected")]
    harness.wait(RETENTION - timedelta(seconds=1))
    assert forget_old(harness) == 0
    records.check()
    harness.wait(timedelta(seconds=2))

    assert forget_old(harness) == 1
    assert left(harness) == (0, 0, 0, 0, 0)


@pytest.mark.usefixtures("wallet")
def test_a_ticket_whose_only_event_was_rejected_at_once_goes_too(harness, records):
    refuse_at_once(harness)
    records.check()
    harness.wait(RETENTION + timedelta(days=1))

    assert forget_old(harness) == 1
    assert left(harness) == (0, 0, 0, 0, 0)


@pytest.mark.usefixtures("wallet")
def test_a_ticket_that_nothing_opened_stays_until_its_last_event_is_old(harness, records):
    refuse_at_once(harness)
    harness.wait(RETENTION - timedelta(days=1))
    refuse_at_once(harness)
    harness.wait(timedelta(days=2))
    assert forget_old(harness) == 0

    harness.say("ticket_rollback", "nowhere", operator="wallet")
    records.check()
    harness.wait(RETENTION * 2)
    assert forget_old(harness) == 0  # something waits again

    harness.end_windows()
    harness.wait(RETENTION + timedelta(days=1))
    assert forget_old(harness) == 1


def test_a_ticket_that_opened_after_its_first_event_was_rejected_stays(harness, records):
    harness.say("ticket_rollback", "late")
    harness.wait(PARKING_WINDOW)
    harness.end_windows()
    harness.say("ticket_open", "late")
    records.check()
    harness.wait(RETENTION * 2)

    assert forget_old(harness) == 0
    assert records.standing("late") == "open/pending"


def test_a_ticket_cancelled_after_its_first_event_was_rejected_is_kept_from_then_on(
    harness, records
):
    harness.say("ticket_rollback", "late")
    harness.wait(PARKING_WINDOW)
    harness.end_windows()
    harness.wait(RETENTION - timedelta(days=1))
    harness.say("ticket_discard", "late")
    harness.deliver()
    records.check()
    harness.wait(timedelta(days=2))
    assert forget_old(harness) == 0

    harness.wait(RETENTION)
    assert forget_old(harness) == 1


def test_a_ticket_whose_only_event_a_person_dropped_goes_too(harness, records):
    harness.say("ticket_rollback", event_id="back")
    TriageActions(harness, records).drop("back", outcome=Outcome.PARKED)
    records.check()
    harness.wait(RETENTION + timedelta(days=1))

    assert forget_old(harness) == 1


def test_a_ticket_whose_event_could_not_be_decided_goes_too(harness, records, engine):
    """Its turn could not be stored, so `parking.py` counts what is left by itself."""
    harness.say("ticket_rollback", "nowhere")
    with engine.begin() as connection:
        connection.execute(BREAK)
        connection.execute(REFUSE_ENDS)
    harness.wait(PARKING_WINDOW)
    harness.end_windows()
    assert [row.reason for row in records.events("nowhere")] == ["poison"]
    records.check()
    harness.wait(RETENTION + timedelta(days=1))

    assert forget_old(harness) == 1


def test_the_statement_in_the_changelog_lets_older_tickets_that_nothing_opened_go(harness, engine):
    """As they stood before an upgrade, with no time from which to keep them."""
    harness.say("ticket_rollback", "old")
    harness.say("ticket_open", "open")
    harness.wait(PARKING_WINDOW)
    harness.end_windows()
    harness.say("ticket_rollback", "waits")
    with engine.begin() as connection:
        connection.execute(text("UPDATE ticket SET cancelled_at = NULL"))
        (statement,) = re.findall(r"UPDATE ticket SET cancelled_at[^;]*", CHANGELOG.read_text())
        assert [connection.execute(text(statement)).rowcount for _ in range(2)] == [1, 0]
    harness.wait(RETENTION * 2)

    assert forget_old(harness) == 1


def test_a_batch_begins_where_the_one_before_ended_and_a_new_removal_at_the_oldest(
    harness, records, engine
):
    for ticket_id in ("held", "first", "second"):
        live_and_close(harness, ticket_id)
        if ticket_id == "held":
            harness.hold(ticket_id)
        else:
            harness.deliver()
    harness.wait(RETENTION * 2)
    position = Position()

    def removed(at: Position) -> int:
        with engine.begin() as connection:
            return remove_expired(connection, before=harness.now - RETENTION, limit=1, position=at)

    assert removed(position) == 1
    harness.release_ticket("held")
    harness.deliver()
    assert [removed(position), removed(position)] == [1, 0]
    assert records.tickets() == ["held"]
    assert removed(Position()) == 1


def test_it_removes_a_bounded_batch_oldest_first(harness):
    for ticket_id in ("first", "second", "third"):
        live_and_close(harness, ticket_id)
        harness.deliver(Delivered())
    harness.wait(RETENTION * 2)

    assert [forget_old(harness, limit=2), forget_old(harness, limit=2), forget_old(harness)] == [
        2,
        1,
        0,
    ]


def test_an_old_event_is_refused_so_that_no_replay_revives_a_removed_ticket(harness, records):
    happened = harness.now
    harness.wait(AGE_MAX + timedelta(seconds=1))
    replayed = harness.event("ticket_win", "removed", at=happened)
    punctual = harness.event("ticket_win", "late", at=happened + timedelta(seconds=2))

    apply_entries(
        harness.engine.begin,
        [replayed, punctual],
        clock=harness.clock,
        parking_window=PARKING_WINDOW,
        event_age_max=AGE_MAX,
    )

    assert left(harness)[0] == 1
    [refused] = records.rejected()
    assert refused.reason == "too_old"
    assert "SLIPWAY_EVENT_AGE_MAX" in refused.message
