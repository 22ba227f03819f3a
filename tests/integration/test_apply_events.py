"""A chunk of events, applied to real tables in one transaction (design.md 5.1, protocol.md)."""

from collections import Counter
from datetime import timedelta
from itertools import permutations

import pytest
from sqlalchemy import event, text

from tests.support.desk import AMOUNTS, SLIP

MINUTE = timedelta(minutes=1)


@pytest.fixture
def statements(engine):
    """Every statement sent to the database, as it is sent."""
    sent: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        sent.append(statement)

    event.listen(engine, "before_cursor_execute", note)
    return sent


def test_a_result_opens_an_unknown_ticket_and_owes_the_partner_its_notice(desk, books):
    applied = desk.publish(desk.event("ticket_win", event_id="win"))

    assert applied.outcomes == {("ticket_win", "applied"): 1}
    assert applied.due
    assert books.standing() == "resulted/won"
    (notice,) = books.notices()
    assert (notice.number, notice.generation, notice.event_id) == (1, 1, "win")
    assert notice.body == '{"action":"ticket_win","data":{"operator":"acme","ticket_id":"T"}}'


def test_a_chunk_is_one_transaction(desk, books, engine):
    """design.md 5.1: tickets, events, notices and raw rows become visible together."""
    commits: list[object] = []
    event.listen(engine, "commit", commits.append)

    desk.publish(
        desk.event("ticket_win", "A"),
        desk.event("ticket_rollback", "B"),
        desk.event("ticket_open", "C", **AMOUNTS),
        desk.event("ticket_lost", "C"),
        desk.raw(b"not JSON"),
        desk.event("ticket_win", "A", operator="stranger"),
    )

    assert len(commits) == 1
    assert books.tickets() == ["A", "B", "C"]
    assert len(books.rejected()) == 2


def test_a_chunk_takes_a_handful_of_statements_however_many_events_it_has(desk, statements):
    """design.md 5.1: set-based statements, not one round trip per event."""
    many = [desk.event("ticket_win", f"T{number}") for number in range(300)]

    applied = desk.publish(*many)

    assert applied.outcomes == {("ticket_win", "applied"): 300}
    assert len(statements) <= 8


def test_a_notice_of_a_new_ticket_is_due_whatever_else_the_chunk_holds(desk):
    desk.say("ticket_open", "known")

    applied = desk.publish(desk.event("ticket_win", "new"), desk.event("ticket_paid", "known"))

    assert applied.due


def test_of_two_events_of_one_moment_the_one_that_arrived_first_is_decided_first(desk, books):
    """Rule 3: it waited for its ticket, and comes before the ones that bring it."""
    desk.add_operator("careful", announces_tickets=True)
    moment = desk.now
    desk.say("ticket_win", operator="careful", at=moment, event_id="parked")
    desk.wait(timedelta(seconds=1))
    desk.publish(
        desk.event("ticket_lost", operator="careful", at=moment, event_id="fresh"),
        desk.event("ticket_open", operator="careful", at=moment - timedelta(seconds=1)),
    )

    assert books.standing(operator="careful") == "resulted/won"
    assert books.event("fresh", operator="careful").outcome == "parked"


def test_an_empty_chunk_changes_nothing(desk, books):
    assert desk.publish().outcomes == Counter()
    assert books.rejected() == []


def test_a_parked_event_is_decided_with_the_fresh_one_it_waited_for(desk, books):
    """Rule 5: what belongs together is decided together, oldest first."""
    desk.say("ticket_rollback", event_id="back", at=desk.now)
    assert books.outcomes() == [("ticket_rollback", "parked")]

    applied = desk.publish(desk.event("ticket_win", event_id="win", at=desk.now - MINUTE))

    assert applied.outcomes == {("ticket_win", "applied"): 1, ("ticket_rollback", "applied"): 1}
    assert books.standing() == "open/pending"
    assert books.owed() == ["ticket_win", "ticket_rollback"]
    assert books.ticket().parked == 0


WIN, ROLLBACK, LOST = ("ticket_win", 1), ("ticket_rollback", 2), ("ticket_lost", 3)
ORDERS = list(permutations([WIN, ROLLBACK, LOST]))
FULL_STORY = ["ticket_win", "ticket_rollback", "ticket_lost"]


@pytest.mark.parametrize("together", [True, False], ids=["one chunk", "one by one"])
def test_win_rollback_lost_ends_lost_in_every_order(desk, books, together):
    """protocol.md 3.7: the final state is the same; without numbers pairs may be missing."""
    start = desk.now
    desk.wait(timedelta(hours=1))
    for number, order in enumerate(ORDERS):
        entries = [desk.event(said, f"T{number}", at=start + at * MINUTE) for said, at in order]
        for chunk in [entries] if together else [[entry] for entry in entries]:
            desk.publish(*chunk)

        whole = together or order[0] == WIN or order[:2] == (ROLLBACK, WIN)
        assert books.standing(f"T{number}") == "resulted/lost", order
        assert books.owed(f"T{number}") == (FULL_STORY if whole else ["ticket_lost"]), order


def test_numbered_events_tell_the_whole_story_in_every_order(desk, books):
    """Rule 9, protocol.md 3.7: with `sequence` the times do not matter."""
    for number, order in enumerate(ORDERS):
        for said, place in order:
            desk.say(said, f"T{number}", sequence=place, at=desk.now - place * MINUTE)

        assert books.standing(f"T{number}") == "resulted/lost", order
        assert books.owed(f"T{number}") == FULL_STORY, order
        assert books.ticket(f"T{number}").sequence == 3


def test_a_time_in_the_future_counts_as_the_time_of_arrival(desk, books):
    """Rule 3, protocol H6: a result stamped 2035 must not freeze its ticket."""
    desk.say("ticket_win", at=desk.now + timedelta(days=3650))
    desk.wait(timedelta(seconds=1))
    desk.say("ticket_rollback", at=desk.now)

    assert books.standing() == "open/pending"


def test_a_repeated_result_moves_the_time_in_force_and_sends_nothing(desk, books):
    """Rules 4 and 6, protocol H3: the older rollback that follows is superseded."""
    start = desk.now
    desk.wait(timedelta(hours=1))
    desk.say("ticket_win", at=start)
    desk.say("ticket_win", at=start + 2 * MINUTE)
    desk.say("ticket_rollback", at=start + MINUTE)

    assert books.outcomes() == [
        ("ticket_win", "applied"),
        ("ticket_win", "confirmed"),
        ("ticket_rollback", "superseded"),
    ]
    assert books.ticket().settled_at == start + 2 * MINUTE
    assert books.owed() == ["ticket_win"]


def test_a_correction_compares_the_amounts_that_were_stored(desk, books):
    """Rule 6, protocol H5: the same action with other money is another result."""
    desk.say("ticket_void", **AMOUNTS)
    desk.say("ticket_void", **AMOUNTS, correction=True)
    desk.say("ticket_void", **{**AMOUNTS, "ext": 12.25}, correction=True)

    assert [row.outcome for row in books.events()] == ["applied", "confirmed", "applied"]
    assert books.owed() == ["ticket_void", "ticket_rollback", "ticket_void"]
    assert [row.generation for row in books.notices()] == [1, 1, 2]


def test_an_older_update_does_not_overwrite_a_newer_one(desk, books):
    """Protocol H8."""
    start = desk.now
    desk.wait(timedelta(hours=1))
    desk.say("ticket_open", at=start)
    desk.say("ticket_update", at=start + 2 * MINUTE, **{**SLIP, "price": 700})
    desk.say("ticket_update", at=start + MINUTE, **{**SLIP, "price": 600})

    assert books.owed() == ["ticket_update"]
    assert books.ticket().details["price"] == 700


def test_a_late_open_fills_in_what_is_missing_and_replaces_nothing(desk, books):
    """Rule 11: it moves nothing."""
    desk.say("ticket_open", price=500, currency="EUR")
    desk.say("ticket_open", price=900, player_id="player")

    assert books.standing() == "open/pending"
    assert books.ticket().details == {"price": 500, "currency": "EUR", "player_id": "player"}


def test_of_two_late_opens_in_one_chunk_the_first_fills_in(desk, engine):
    desk.say("ticket_win")
    desk.publish(
        desk.event("ticket_open", player_id="first"),
        desk.event("ticket_open", player_id="second", game="later"),
    )

    with engine.begin() as connection:
        details = connection.execute(text("SELECT details FROM ticket")).scalar_one()
    assert (details["player_id"], details["game"]) == ("first", "later")


def test_a_numbered_update_that_is_older_lets_no_other_update_back_in(desk, books):
    """Protocol H8: numbers order what is numbered, times all the rest."""
    desk.say("ticket_open")
    start = desk.now
    desk.wait(MINUTE)
    desk.say("ticket_update", sequence=1, at=desk.now, **SLIP)
    desk.say("ticket_update", sequence=2, at=start, **SLIP)
    desk.say("ticket_update", event_id="between", at=start + MINUTE / 2, **SLIP)

    assert books.event("between").outcome == "superseded"


def test_results_wait_for_the_ticket_where_the_operator_announces_tickets(desk, books):
    """design.md 3: no implicit open; protocol H28."""
    desk.add_operator("careful", announces_tickets=True)
    desk.say("ticket_win", operator="careful")
    waiting = books.standing(operator="careful")
    desk.say("ticket_open", operator="careful")

    assert waiting == "absent/pending"
    assert books.standing(operator="careful") == "resulted/won"


@pytest.mark.parametrize("numbered", [None, 7], ids=["plain", "numbered"])
def test_a_closed_ticket_answers_at_once(desk, books, numbered):
    """Rule 7: nothing can still make it fit, so nothing waits."""
    desk.say("ticket_win")
    desk.deliver()
    desk.wait(timedelta(hours=24))
    desk.close_due()

    desk.say("ticket_rollback", event_id="late", sequence=numbered)

    late = books.event("late")
    assert (late.outcome, late.reason) == ("rejected", "ticket_closed")
    assert books.standing() == "closed/won"


@pytest.mark.parametrize("numbered", [None, 7], ids=["plain", "numbered"])
def test_a_cancelled_ticket_answers_at_once(desk, books, numbered):
    """Rules 7 and 11: the tombstone says who cancelled it (protocol H29)."""
    desk.say("ticket_discard", event_id="gone", reason="never placed")

    desk.say("ticket_win", event_id="late", sequence=numbered)

    late = books.event("late")
    assert (late.outcome, late.reason) == ("rejected", "ticket_cancelled")
    assert "ticket_discard gone: never placed" in late.message


def test_2000_events_on_one_ticket_are_taken_and_at_most_32_wait(desk, books):
    """Rule 7, protocol H22: two contradicting results without end."""
    desk.say("ticket_win", at=desk.now)
    contradicting = [
        desk.event("ticket_lost", event_id=f"lost-{number}", at=desk.now) for number in range(2000)
    ]

    applied = desk.publish(*contradicting)

    assert applied.outcomes == {("ticket_lost", "parked"): 32, ("ticket_lost", "rejected"): 1968}
    assert books.ticket().parked == 32
    waiting = [row.event_id for row in books.events() if row.outcome == "parked"]
    assert waiting == [f"lost-{number}" for number in range(32)]  # who came first, waits
    assert {row.reason for row in books.events() if row.outcome == "rejected"} == {
        "too_many_parked"
    }


def test_2000_events_that_fit_are_all_told_in_order(desk, books):
    """Rule 12: numbers without a gap, one head."""
    lives = [
        desk.event("ticket_rollback" if number % 2 else "ticket_win", event_id=f"{number}")
        for number in range(2000)
    ]

    desk.publish(*lives)

    notices = books.notices()
    assert [row.event_id for row in notices] == [f"{number}" for number in range(2000)]
    assert [row.generation for row in notices] == [1 + number // 2 for number in range(2000)]
    assert [row.number for row in notices if row.head] == [1]
