"""What ended long ago is removed, never an unfinished one, and no replay brings it back (H16)."""

import re
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from models.intake.apply import apply_entries
from models.outbox.values import Claim, Dead, Delivered
from models.sweeps.retention import forget
from models.vocabulary import Outcome
from tests.support.desk import CLOSE_DELAY, PARKING_WINDOW, SLIP, Desk
from tests.support.poison import BREAK, CHECK_VIOLATION
from tests.support.ways_out import WaysOut

RETENTION = timedelta(days=90)
CHANGELOG = Path(__file__).parents[2] / "CHANGELOG.md"
AGE_MAX = timedelta(days=30)
COUNTS = text("""
    SELECT (SELECT count(*) FROM ticket) AS tickets, (SELECT count(*) FROM ticket_event) AS events,
           (SELECT count(*) FROM notice) AS notices,
           (SELECT count(*) FROM delivery_attempt) AS attempts,
           (SELECT count(*) FROM rejected_input) AS rejected""")

REFUSE_ENDS = text(f"""
    CREATE TRIGGER refuse_ends BEFORE UPDATE ON ticket_event FOR EACH ROW
      WHEN (NEW.reason = 'window_ended') EXECUTE FUNCTION refuse('{CHECK_VIOLATION}')""")


def live_and_close(desk: Desk, ticket_id: str) -> None:
    desk.say("ticket_win", ticket_id)
    desk.deliver()
    desk.wait(CLOSE_DELAY)
    desk.close_due()


def left(desk: Desk) -> tuple[int, ...]:
    with desk.engine.begin() as connection:
        return tuple(connection.execute(COUNTS).one())


def forget_old(desk: Desk, *, limit: int = 500) -> int:
    with desk.engine.begin() as connection:
        return forget(connection, before=desk.now - RETENTION, limit=limit)


def test_a_closed_ticket_goes_with_all_that_belongs_to_it(desk):
    live_and_close(desk, "old")
    desk.deliver()
    desk.publish(desk.raw(b"rubbish"))
    desk.wait(RETENTION + timedelta(days=1))

    assert forget_old(desk) == 2
    assert left(desk) == (0, 0, 0, 0, 0)


def test_a_cancelled_ticket_goes_too(desk):
    desk.say("ticket_discard", "never-there")
    desk.deliver()
    desk.wait(RETENTION + timedelta(days=1))

    assert forget_old(desk) == 1


def test_what_is_younger_stays(desk):
    live_and_close(desk, "young")
    desk.deliver()
    desk.wait(RETENTION - timedelta(seconds=1))

    assert forget_old(desk) == 0


def test_a_closed_ticket_whose_partner_was_not_told_stays(desk):
    live_and_close(desk, "untold")
    desk.deliver(Dead("400"))
    desk.wait(RETENTION * 2)

    assert forget_old(desk) == 0


def test_a_cancelled_ticket_whose_discard_was_not_taken_stays(desk):
    desk.say("ticket_discard", "cancelled")
    desk.wait(RETENTION * 2)
    assert forget_old(desk) == 0

    desk.deliver(Delivered())

    assert forget_old(desk) == 1


def test_what_never_closed_stays(desk):
    desk.say("ticket_open", "open")
    desk.say("ticket_win", "undelivered")
    desk.wait(RETENTION * 2)

    assert forget_old(desk) == 0


def refuse_at_once(desk: Desk, ticket_id: str = "nowhere") -> None:
    """An event that a wallet's ticket can never take, whether anything opens it or not."""
    said = desk.say("ticket_reserve", ticket_id, operator="wallet", **SLIP)
    assert said == {("ticket_reserve", "rejected"): 1}


@pytest.fixture
def wallet(desk) -> str:
    desk.add_operator("wallet", protocol="seamless")
    return "wallet"


def test_a_ticket_that_nothing_opened_goes_with_its_events_once_their_windows_ended(desk, books):
    desk.say("ticket_rollback", "nowhere")
    desk.wait(RETENTION * 2)
    assert forget_old(desk) == 0  # its event still waits

    desk.end_windows()
    assert books.outcomes("nowhere") == [("ticket_rollback", "rejected")]
    desk.wait(RETENTION - timedelta(seconds=1))
    assert forget_old(desk) == 0
    books.check()
    desk.wait(timedelta(seconds=2))

    assert forget_old(desk) == 1
    assert left(desk) == (0, 0, 0, 0, 0)


@pytest.mark.usefixtures("wallet")
def test_a_ticket_whose_only_event_was_rejected_at_once_goes_too(desk, books):
    refuse_at_once(desk)
    books.check()
    desk.wait(RETENTION + timedelta(days=1))

    assert forget_old(desk) == 1
    assert left(desk) == (0, 0, 0, 0, 0)


@pytest.mark.usefixtures("wallet")
def test_a_ticket_that_nothing_opened_stays_until_its_last_event_is_old(desk, books):
    refuse_at_once(desk)
    desk.wait(RETENTION - timedelta(days=1))
    refuse_at_once(desk)
    desk.wait(timedelta(days=2))
    assert forget_old(desk) == 0

    desk.say("ticket_rollback", "nowhere", operator="wallet")
    books.check()
    desk.wait(RETENTION * 2)
    assert forget_old(desk) == 0  # something waits again

    desk.end_windows()
    desk.wait(RETENTION + timedelta(days=1))
    assert forget_old(desk) == 1


def test_a_ticket_that_opened_after_its_first_event_was_rejected_stays(desk, books):
    desk.say("ticket_rollback", "late")
    desk.wait(PARKING_WINDOW)
    desk.end_windows()
    desk.say("ticket_open", "late")
    books.check()
    desk.wait(RETENTION * 2)

    assert forget_old(desk) == 0
    assert books.standing("late") == "open/pending"


def test_a_ticket_cancelled_after_its_first_event_was_rejected_is_kept_from_then_on(desk, books):
    desk.say("ticket_rollback", "late")
    desk.wait(PARKING_WINDOW)
    desk.end_windows()
    desk.wait(RETENTION - timedelta(days=1))
    desk.say("ticket_discard", "late")
    desk.deliver()
    books.check()
    desk.wait(timedelta(days=2))
    assert forget_old(desk) == 0

    desk.wait(RETENTION)
    assert forget_old(desk) == 1


def test_a_ticket_whose_only_event_a_person_dropped_goes_too(desk, books):
    desk.say("ticket_rollback", event_id="back")
    WaysOut(desk, books).drop("back", outcome=Outcome.PARKED)
    books.check()
    desk.wait(RETENTION + timedelta(days=1))

    assert forget_old(desk) == 1


def test_a_ticket_whose_event_could_not_be_decided_goes_too(desk, books, engine):
    """Its turn could not be stored, so `parking.py` counts what is left by itself."""
    desk.say("ticket_rollback", "nowhere")
    with engine.begin() as connection:
        connection.execute(BREAK)
        connection.execute(REFUSE_ENDS)
    desk.wait(PARKING_WINDOW)
    desk.end_windows()
    assert [row.reason for row in books.events("nowhere")] == ["poison"]
    books.check()
    desk.wait(RETENTION + timedelta(days=1))

    assert forget_old(desk) == 1


def test_the_statement_in_the_changelog_lets_older_tickets_that_nothing_opened_go(desk, engine):
    """As they stood before an upgrade, with no time from which to keep them."""
    desk.say("ticket_rollback", "old")
    desk.say("ticket_open", "open")
    desk.wait(PARKING_WINDOW)
    desk.end_windows()
    desk.say("ticket_rollback", "waits")
    with engine.begin() as connection:
        connection.execute(text("UPDATE ticket SET cancelled_at = NULL"))
        (statement,) = re.findall(r"UPDATE ticket SET cancelled_at[^;]*", CHANGELOG.read_text())
        assert [connection.execute(text(statement)).rowcount for _ in range(2)] == [1, 0]
    desk.wait(RETENTION * 2)

    assert forget_old(desk) == 1


def test_it_removes_a_bounded_batch_oldest_first(desk):
    for ticket_id in ("first", "second", "third"):
        live_and_close(desk, ticket_id)
        desk.deliver(Delivered())
    desk.wait(RETENTION * 2)

    assert [forget_old(desk, limit=2), forget_old(desk, limit=2), forget_old(desk)] == [2, 1, 0]


def test_an_old_event_is_refused_so_that_no_replay_revives_a_removed_ticket(desk, books):
    happened = desk.now
    desk.wait(AGE_MAX + timedelta(seconds=1))
    replayed = desk.event("ticket_win", "removed", at=happened)
    punctual = desk.event("ticket_win", "late", at=happened + timedelta(seconds=2))

    apply_entries(
        desk.engine.begin,
        [replayed, punctual],
        clock=desk.clock,
        parking_window=PARKING_WINDOW,
        event_age_max=AGE_MAX,
    )

    assert left(desk)[0] == 1
    [refused] = books.rejected()
    assert refused.reason == "too_old"
    assert "SLIPWAY_EVENT_AGE_MAX" in refused.message


def test_a_fresh_statement_about_a_removed_ticket_begins_it_again_under_the_same_key(desk):
    """Its time is true, so its age says nothing; a partner that keeps keys knows the repeat."""
    first = take_and_remove(desk)

    desk.say("ticket_win", "removed")

    again = desk.claim_one()
    assert (again.idempotency_key, again.body) == (first.idempotency_key, first.body)


def test_where_tickets_are_announced_a_fresh_statement_about_a_removed_one_is_rejected(
    desk, books, engine
):
    take_and_remove(desk)
    with engine.begin() as connection:
        connection.execute(text("UPDATE operator SET announces_tickets = true"))

    desk.say("ticket_win", "removed")
    desk.wait(PARKING_WINDOW)
    desk.end_windows()

    (event,) = books.events("removed")
    assert (event.outcome, event.reason) == ("rejected", "window_ended")
    assert books.notices("removed") == []


def take_and_remove(desk: Desk) -> Claim:
    """A ticket lives, closes and is removed; the claim of its result."""
    desk.say("ticket_win", "removed")
    first = desk.claim_one()
    desk.record(first)
    desk.wait(CLOSE_DELAY)
    desk.close_due()
    desk.deliver()
    desk.wait(RETENTION + timedelta(days=1))
    assert forget_old(desk) == 1
    return first
