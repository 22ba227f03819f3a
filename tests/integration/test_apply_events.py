"""A batch of events, applied to real tables in one transaction."""

from collections import Counter
from datetime import timedelta
from itertools import permutations

import pytest
from sqlalchemy import event, text

from tests.support.harness import AMOUNTS, SLIP

MINUTE = timedelta(minutes=1)


@pytest.fixture
def statements(engine):
    """Every statement sent to the database, as it is sent."""
    sent: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        sent.append(statement)

    event.listen(engine, "before_cursor_execute", note)
    return sent


def test_a_result_opens_an_unknown_ticket_and_owes_the_partner_its_notice(harness, records):
    applied = harness.publish(harness.event("ticket_win", event_id="win"))

    assert applied.outcomes == {("ticket_win", "applied"): 1}
    assert applied.due
    assert records.standing() == "resulted/won"
    (notice,) = records.notices()
    assert (notice.number, notice.generation, notice.event_id) == (1, 1, "win")
    assert notice.body == '{"action":"ticket_win","data":{"operator":"acme","ticket_id":"T"}}'


def test_a_batch_is_one_transaction(harness, records, engine):
    """Tickets, events, notices and rejected input become visible together."""
    commits: list[object] = []
    event.listen(engine, "commit", commits.append)

    harness.publish(
        harness.event("ticket_win", "A"),
        harness.event("ticket_rollback", "B"),
        harness.event("ticket_open", "C", **AMOUNTS),
        harness.event("ticket_lost", "C"),
        harness.raw(b"not JSON"),
        harness.event("ticket_win", "A", operator="stranger"),
    )

    assert len(commits) == 1
    assert records.tickets() == ["A", "B", "C"]
    assert len(records.rejected()) == 2


def test_a_batch_takes_a_handful_of_statements_however_many_events_it_has(harness, statements):
    """Set-based statements, not one round trip per event."""
    many = [harness.event("ticket_win", f"T{number}") for number in range(300)]

    applied = harness.publish(*many)

    assert applied.outcomes == {("ticket_win", "applied"): 300}
    assert len(statements) <= 8


def test_a_notice_of_a_new_ticket_is_due_whatever_else_the_batch_holds(harness):
    harness.say("ticket_open", "known")

    applied = harness.publish(
        harness.event("ticket_win", "new"), harness.event("ticket_paid", "known")
    )

    assert applied.due


def test_of_two_events_of_one_moment_the_one_that_arrived_first_is_decided_first(harness, records):
    """Rule 3: it waited for its ticket, and comes before the ones that bring it."""
    harness.add_operator("careful", announces_tickets=True)
    moment = harness.now
    harness.say("ticket_win", operator="careful", at=moment, event_id="parked")
    harness.wait(timedelta(seconds=1))
    harness.publish(
        harness.event("ticket_lost", operator="careful", at=moment, event_id="fresh"),
        harness.event("ticket_open", operator="careful", at=moment - timedelta(seconds=1)),
    )

    assert records.standing(operator="careful") == "resulted/won"
    assert records.event("fresh", operator="careful").outcome == "parked"


def test_an_empty_batch_changes_nothing(harness, records):
    assert harness.publish().outcomes == Counter()
    assert records.rejected() == []


def test_a_parked_event_is_decided_with_the_fresh_one_it_waited_for(harness, records):
    """Rule 5: what belongs together is decided together, oldest first."""
    harness.say("ticket_rollback", event_id="back", at=harness.now)
    assert records.outcomes() == [("ticket_rollback", "parked")]

    applied = harness.publish(harness.event("ticket_win", event_id="win", at=harness.now - MINUTE))

    assert applied.outcomes == {("ticket_win", "applied"): 1, ("ticket_rollback", "applied"): 1}
    assert records.standing() == "open/pending"
    assert records.notice_actions() == ["ticket_win", "ticket_rollback"]
    assert records.ticket().parked == 0


WIN, ROLLBACK, LOST = ("ticket_win", 1), ("ticket_rollback", 2), ("ticket_lost", 3)
ORDERS = list(permutations([WIN, ROLLBACK, LOST]))
FULL_SEQUENCE = ["ticket_win", "ticket_rollback", "ticket_lost"]


@pytest.mark.parametrize("together", [True, False], ids=["one batch", "one by one"])
def test_win_rollback_lost_ends_lost_in_every_order(harness, records, together):
    """Promise 1: the final state is the same; without numbers pairs may be missing."""
    start = harness.now
    harness.wait(timedelta(hours=1))
    for number, order in enumerate(ORDERS):
        entries = [
            harness.event(action, f"T{number}", at=start + at * MINUTE) for action, at in order
        ]
        for batch in [entries] if together else [[entry] for entry in entries]:
            harness.publish(*batch)

        whole = together or order[0] == WIN or order[:2] == (ROLLBACK, WIN)
        assert records.standing(f"T{number}") == "resulted/lost", order
        assert records.notice_actions(f"T{number}") == (
            FULL_SEQUENCE if whole else ["ticket_lost"]
        ), order


def test_numbered_events_tell_the_whole_history_in_every_order(harness, records):
    """Rule 9: with `sequence` the times do not matter."""
    for number, order in enumerate(ORDERS):
        for action, place in order:
            harness.say(action, f"T{number}", sequence=place, at=harness.now - place * MINUTE)

        assert records.standing(f"T{number}") == "resulted/lost", order
        assert records.notice_actions(f"T{number}") == FULL_SEQUENCE, order
        assert records.ticket(f"T{number}").sequence == 3


def test_a_time_in_the_future_counts_as_the_time_of_arrival(harness, records):
    """Rule 3, H6: a result stamped 2035 must not freeze its ticket."""
    harness.say("ticket_win", at=harness.now + timedelta(days=3650))
    harness.wait(timedelta(seconds=1))
    harness.say("ticket_rollback", at=harness.now)

    assert records.standing() == "open/pending"


def test_a_repeated_result_moves_the_time_in_force_and_sends_nothing(harness, records):
    """Rules 4 and 6, H3: the older rollback that follows is superseded."""
    start = harness.now
    harness.wait(timedelta(hours=1))
    harness.say("ticket_win", at=start)
    harness.say("ticket_win", at=start + 2 * MINUTE)
    harness.say("ticket_rollback", at=start + MINUTE)

    assert records.outcomes() == [
        ("ticket_win", "applied"),
        ("ticket_win", "confirmed"),
        ("ticket_rollback", "superseded"),
    ]
    assert records.ticket().settled_at == start + 2 * MINUTE
    assert records.notice_actions() == ["ticket_win"]


def test_a_correction_compares_the_amounts_that_were_stored(harness, records):
    """Rule 6, H5: the same action with other money is another result."""
    harness.say("ticket_void", **AMOUNTS)
    harness.say("ticket_void", **AMOUNTS, correction=True)
    harness.say("ticket_void", **{**AMOUNTS, "ext": 12.25}, correction=True)

    assert [row.outcome for row in records.events()] == ["applied", "confirmed", "applied"]
    assert records.notice_actions() == ["ticket_void", "ticket_rollback", "ticket_void"]
    assert [row.generation for row in records.notices()] == [1, 1, 2]


def test_an_older_update_does_not_overwrite_a_newer_one(harness, records):
    """H8."""
    start = harness.now
    harness.wait(timedelta(hours=1))
    harness.say("ticket_open", at=start)
    harness.say("ticket_update", at=start + 2 * MINUTE, **{**SLIP, "price": 700})
    harness.say("ticket_update", at=start + MINUTE, **{**SLIP, "price": 600})

    assert records.notice_actions() == ["ticket_update"]
    assert records.ticket().details["price"] == 700


def test_a_late_open_fills_in_what_is_missing_and_replaces_nothing(harness, records):
    """Rule 11: it changes nothing."""
    harness.say("ticket_open", price=500, currency="EUR")
    harness.say("ticket_open", price=900, player_id="player")

    assert records.standing() == "open/pending"
    assert records.ticket().details == {"price": 500, "currency": "EUR", "player_id": "player"}


def test_of_two_late_opens_in_one_batch_the_first_fills_in(harness, engine):
    harness.say("ticket_win")
    harness.publish(
        harness.event("ticket_open", player_id="first"),
        harness.event("ticket_open", player_id="second", game="later"),
    )

    with engine.begin() as connection:
        details = connection.execute(text("SELECT details FROM ticket")).scalar_one()
    assert (details["player_id"], details["game"]) == ("first", "later")


def test_a_numbered_update_that_is_older_lets_no_other_update_back_in(harness, records):
    """H8: numbers order what is numbered, times all the rest."""
    harness.say("ticket_open")
    start = harness.now
    harness.wait(MINUTE)
    harness.say("ticket_update", sequence=1, at=harness.now, **SLIP)
    harness.say("ticket_update", sequence=2, at=start, **SLIP)
    harness.say("ticket_update", event_id="between", at=start + MINUTE / 2, **SLIP)

    assert records.event("between").outcome == "superseded"


def test_results_wait_for_the_ticket_where_the_operator_announces_tickets(harness, records):
    """No implicit open; H28."""
    harness.add_operator("careful", announces_tickets=True)
    harness.say("ticket_win", operator="careful")
    waiting = records.standing(operator="careful")
    harness.say("ticket_open", operator="careful")

    assert waiting == "absent/pending"
    assert records.standing(operator="careful") == "resulted/won"


@pytest.mark.parametrize("numbered", [None, 7], ids=["plain", "numbered"])
def test_a_closed_ticket_answers_at_once(harness, records, numbered):
    """Rule 7: nothing can still make it fit, so nothing waits."""
    harness.say("ticket_win")
    harness.deliver()
    harness.wait(timedelta(hours=24))
    harness.close_due()

    harness.say("ticket_rollback", event_id="late", sequence=numbered)

    late = records.event("late")
    assert (late.outcome, late.reason) == ("rejected", "ticket_closed")
    assert records.standing() == "closed/won"


@pytest.mark.parametrize("numbered", [None, 7], ids=["plain", "numbered"])
def test_a_cancelled_ticket_answers_at_once(harness, records, numbered):
    """Rules 7 and 11: the tombstone says who cancelled it (H29)."""
    harness.say("ticket_discard", event_id="gone", reason="never placed")

    harness.say("ticket_win", event_id="late", sequence=numbered)

    late = records.event("late")
    assert (late.outcome, late.reason) == ("rejected", "ticket_cancelled")
    assert "ticket_discard gone: never placed" in late.message


def test_2000_events_on_one_ticket_are_taken_and_at_most_32_wait(harness, records):
    """Rule 7, H22: two contradicting results without end."""
    harness.say("ticket_win", at=harness.now)
    contradicting = [
        harness.event("ticket_lost", event_id=f"lost-{number}", at=harness.now)
        for number in range(2000)
    ]

    applied = harness.publish(*contradicting)

    assert applied.outcomes == {("ticket_lost", "parked"): 32, ("ticket_lost", "rejected"): 1968}
    assert records.ticket().parked == 32
    waiting = [row.event_id for row in records.events() if row.outcome == "parked"]
    assert waiting == [f"lost-{number}" for number in range(32)]  # who came first, waits
    assert {row.reason for row in records.events() if row.outcome == "rejected"} == {
        "too_many_parked"
    }


def test_2000_events_that_fit_are_all_told_in_order(harness, records):
    """Rule 12: numbers without a gap, one head."""
    lives = [
        harness.event("ticket_rollback" if number % 2 else "ticket_win", event_id=f"{number}")
        for number in range(2000)
    ]

    harness.publish(*lives)

    notices = records.notices()
    assert [row.event_id for row in notices] == [f"{number}" for number in range(2000)]
    assert [row.generation for row in notices] == [1 + number // 2 for number in range(2000)]
    assert [row.number for row in notices if row.head] == [1]
