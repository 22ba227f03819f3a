"""The ways out for a dead notice: protocol.md rule 18, case by case (H39)."""

from datetime import timedelta

import pytest

from models.outbox.dead_letters import Resolution
from models.outbox.values import Dead, Unanswered
from models.triage import NotPossible, Selection, find_dead, list_dead
from tests.support.desk import AMOUNTS, CLOSE_DELAY, LEASE, PARTNER_GRACE, SLIP
from tests.support.ways_out import WaysOut

GONE = Dead("410 Gone")
PERHAPS = Dead("no answer within 5 s", perhaps_delivered=True)
GAME = {"player_id": "p", "price": 500, "currency": "EUR", "game": "g", "game_id": "1"}


@pytest.fixture
def ways(desk, books) -> WaysOut:
    return WaysOut(desk, books)


@pytest.fixture
def dead_win(desk, books):
    """The id of a dead `ticket_win`; the ticket stands at it."""
    desk.say("ticket_win")
    desk.deliver(GONE)
    return books.notice(1).id


def test_retry_makes_it_due_now_with_a_schedule_of_its_own(desk, books, ways, dead_win):
    """Rule 18: `retry`."""
    desk.wait(timedelta(days=3))
    ways.free(dead_win, Resolution.RETRY)

    claim = desk.claim_one()
    assert (claim.notice, claim.tries, claim.first_tried_at) == (dead_win, 0, None)
    desk.record(claim)
    assert books.ticket().close_due_at == desk.now + CLOSE_DELAY


def test_retry_waits_until_an_attempt_without_answer_can_be_on_its_way_no_more(desk, books, ways):
    """Rule 15 holds for a person, too."""
    desk.say("ticket_win")
    desk.deliver(PERHAPS)
    ways.free(books.notice(1).id, Resolution.RETRY)

    assert desk.claim() == []
    desk.wait(PARTNER_GRACE)
    assert desk.deliver() == [("T", "ticket_win")]


def test_delivered_starts_the_clock_now(desk, books, ways, dead_win):
    """Rule 18: `skip --delivered` = success recorded now (clock, open)."""
    desk.wait(timedelta(hours=5))
    freed = ways.free(dead_win, Resolution.SKIP_DELIVERED)

    due = desk.now + CLOSE_DELAY
    assert (books.notice(1).ended, books.ticket().close_due_at) == ("delivered", due)
    assert (freed.of_force, freed.close_due_at, freed.next_action) == (True, due, None)
    desk.wait(CLOSE_DELAY)
    assert desk.close_due() == 1


def test_delivered_starts_no_clock_for_a_result_that_was_rolled_back(desk, books, ways, dead_win):
    """Rule 16."""
    desk.say("ticket_rollback")
    freed = ways.free(dead_win, Resolution.SKIP_DELIVERED)

    assert books.ticket().close_due_at is None
    assert (freed.of_force, freed.next_action) == (False, "ticket_rollback")
    assert desk.deliver() == [("T", "ticket_rollback")]


def test_a_skipped_result_takes_the_rollback_behind_it_along(desk, books, ways, dead_win):
    """Rule 18: the rollback of a result the partner never had is not sent."""
    desk.say("ticket_rollback")
    desk.say("ticket_lost")
    freed = ways.free(dead_win, Resolution.SKIP_NOT_DELIVERED)

    assert [row.ended for row in books.notices()] == ["skipped", "withdrawn", None]
    assert (freed.withdrawn, freed.next_action) == (True, "ticket_lost")
    assert desk.deliver() == [("T", "ticket_lost")]
    assert books.ticket().close_due_at == desk.now + CLOSE_DELAY


def test_a_skipped_result_takes_a_rollback_along_that_comes_later(desk, books, ways, dead_win):
    """Rule 18: "present or future"."""
    ways.free(dead_win, Resolution.SKIP_NOT_DELIVERED)
    desk.say("ticket_rollback")
    desk.say("ticket_lost")

    assert [row.ended for row in books.notices()] == ["skipped", "withdrawn", None]
    assert desk.deliver() == [("T", "ticket_lost")]


def test_a_skipped_result_starts_no_clock(desk, books, ways, dead_win):
    """Rule 18: "no clock"; the ticket stands and does not close."""
    ways.free(dead_win, Resolution.SKIP_NOT_DELIVERED)
    desk.wait(10 * CLOSE_DELAY)

    assert (books.ticket().close_due_at, desk.close_due()) == (None, 0)
    assert books.standing() == "resulted/won"


def test_a_late_success_of_what_was_skipped_changes_nothing(desk, books, ways):
    """Rule 14 counts a success while the notice is unfinished or dead; this one is neither."""
    desk.say("ticket_win")
    slow = desk.claim_one()
    desk.wait(2 * LEASE)
    desk.deliver(GONE)
    ways.free(books.notice(1).id, Resolution.SKIP_NOT_DELIVERED)
    desk.record(slow)

    assert (books.notice(1).ended, books.ticket().close_due_at) == ("skipped", None)


def test_what_follows_a_skip_waits_for_an_attempt_that_may_still_be_on_its_way(desk, books, ways):
    """Rule 15."""
    desk.say("ticket_update", **SLIP)
    desk.say("ticket_open")
    desk.say("ticket_win")
    desk.deliver(PERHAPS)
    ways.free(books.notice(1).id, Resolution.SKIP_NOT_DELIVERED)

    assert desk.claim() == []
    desk.wait(PARTNER_GRACE)
    assert desk.deliver() == [("T", "ticket_win")]


def test_an_update_a_discard_and_a_closing_may_be_skipped(desk, books, ways):
    """Rule 18: the other notices `skip` is allowed for."""
    desk.say("ticket_open", "U")
    desk.say("ticket_update", "U", **SLIP)
    desk.say("ticket_discard", "D")
    desk.say("ticket_win", "C")
    desk.deliver()
    desk.wait(CLOSE_DELAY)
    desk.close_due()
    desk.say("ticket_update", "U", event_id="again", **SLIP)
    desk.say("ticket_discard", "E")
    desk.deliver(GONE)

    for ticket, number in (("U", 2), ("E", 1), ("C", 2)):
        freed = ways.free(books.notice(number, ticket).id, Resolution.SKIP_NOT_DELIVERED)
        assert books.notice(number, ticket).ended == "skipped"
        assert freed.next_action is None


def test_a_rollback_is_never_skipped(desk, books, ways):
    """Rule 18, H39: the result behind it would not be true for the partner."""
    desk.publish(*(desk.event(f"ticket_{word}") for word in ("win", "rollback", "lost")))
    desk.deliver()
    desk.deliver(GONE)
    rollback = books.notice(2).id

    with pytest.raises(NotPossible, match="a rollback is never skipped"):
        ways.free(rollback, Resolution.SKIP_NOT_DELIVERED)
    assert (books.notice(2).ended, ways.kept()) == ("dead", [])
    ways.free(rollback, Resolution.SKIP_DELIVERED)
    assert desk.deliver() == [("T", "ticket_lost")]


def test_what_was_perhaps_delivered_is_either_there_or_not(desk, books, ways):
    """Rule 18, and H39: a person may be wrong, so there is no way out without one of two words."""
    for ticket in ("T", "U"):
        desk.say("ticket_win", ticket)
    desk.deliver(Unanswered(PARTNER_GRACE))
    desk.wait(PARTNER_GRACE)
    desk.deliver(GONE)

    assert [str(way) for way in Resolution] == ["retry", "skip --delivered", "skip --not-delivered"]
    ways.free(books.notice(1).id, Resolution.SKIP_DELIVERED)
    ways.free(books.notice(1, "U").id, Resolution.SKIP_NOT_DELIVERED)
    assert (books.notice(1).ended, books.notice(1, "U").ended) == ("delivered", "skipped")


@pytest.mark.parametrize("way", list(Resolution))
def test_only_a_dead_notice_is_for_a_person(desk, books, ways, way):
    desk.say("ticket_win")
    waiting = books.notice(1).id

    with pytest.raises(NotPossible, match=r"is not dead \(waiting\)"):
        ways.free(waiting, way)
    desk.deliver()
    with pytest.raises(NotPossible, match=r"is not dead \(delivered\)"):
        ways.free(waiting, way)
    with pytest.raises(NotPossible, match="there is no notice 999"):
        ways.free(999, way)


def test_what_a_protocol_has_no_call_for_cannot_be_sent_but_settled_by_hand(desk, books, ways):
    """Contracts: AMBSlot takes no settlement back."""
    desk.add_operator("wallet", protocol="seamless")
    desk.say("ticket_open", operator="wallet", **GAME)
    for word in ("lost", "rollback", "void"):
        desk.say(f"ticket_{word}", operator="wallet")
    desk.deliver()
    rollback = books.notices(operator="wallet")[1].id

    with pytest.raises(NotPossible, match="settle it by hand; then say skip --delivered"):
        ways.free(rollback, Resolution.RETRY)
    ways.free(rollback, Resolution.SKIP_DELIVERED)
    assert desk.deliver() == [("T", "ticket_void")]


def test_a_skipped_result_takes_a_rollback_along_that_has_no_call(desk, books, ways):
    """Rule 18: the wallet has no call for it, so it is dead from the start."""
    desk.add_operator("wallet", protocol="seamless")
    desk.say("ticket_open", operator="wallet", **GAME)
    for word in ("lost", "rollback", "void"):
        desk.say(f"ticket_{word}", operator="wallet")
    desk.deliver(GONE)
    lost, rollback, _ = books.notices(operator="wallet")
    assert (lost.ended, rollback.ended) == ("dead", "dead")

    ways.free(lost.id, Resolution.SKIP_NOT_DELIVERED)

    ends = [row.ended for row in books.notices(operator="wallet")]
    assert ends == ["skipped", "withdrawn", None]
    assert desk.deliver() == [("T", "ticket_void")]


def test_a_second_skipped_result_takes_its_rollback_along_too(desk, books, ways, dead_win):
    """Rule 18: what counts is the newest result the partner never had."""
    ways.free(dead_win, Resolution.SKIP_NOT_DELIVERED)
    desk.publish(desk.event("ticket_rollback"), desk.event("ticket_lost"))
    desk.deliver(GONE)
    ways.free(books.notice(3).id, Resolution.SKIP_NOT_DELIVERED)
    desk.publish(desk.event("ticket_rollback"), desk.event("ticket_void", **AMOUNTS))

    ends = [row.ended for row in books.notices()]
    assert ends == ["skipped", "withdrawn", "skipped", "withdrawn", None]
    assert desk.deliver() == [("T", "ticket_void")]


def test_who_and_why_are_kept_with_the_ticket(books, ways, dead_win):
    ways.free(dead_win, Resolution.SKIP_NOT_DELIVERED)

    (kept,) = ways.kept()
    assert (kept.who, kept.why, kept.did) == ("anna", "their clock was slow", "notice_skipped")
    assert (kept.ticket, kept.operator) == (books.ticket().id, "acme")
    assert (kept.facts["way"], kept.facts["notice"]) == ("skip --not-delivered", dead_win)


def test_the_list_says_what_each_holds_up_newest_first(desk, ways, engine, dead_win):
    desk.say("ticket_rollback")
    desk.wait(timedelta(hours=1))
    desk.add_operator("betsy")
    desk.say("ticket_void", "V", operator="betsy", **SLIP)
    desk.record(desk.claim_one(), PERHAPS)

    def listed(selection: Selection, limit: int = 10) -> list[str]:
        with engine.begin() as connection:
            return [one.action for one in list_dead(connection, selection, limit=limit)]

    with engine.begin() as connection:
        newest, oldest = list_dead(connection, Selection(), limit=10)
        story = find_dead(connection, dead_win)
    assert (newest.action, newest.perhaps_delivered, newest.behind) == ("ticket_void", True, 0)
    assert (oldest.id, oldest.behind, oldest.http_status) == (dead_win, 1, 200)
    assert [one.action for one in story.waiting] == ["ticket_rollback"]
    assert [one.verdict for one in story.attempts] == ["dead"]
    assert listed(Selection(), limit=1) == ["ticket_void"]
    assert listed(Selection(operator="acme")) == ["ticket_win"]
    assert listed(Selection(reason="NO ANSWER")) == ["ticket_void"]
    assert listed(Selection(ticket_id="T")) == ["ticket_win"]
    assert listed(Selection(since=desk.now)) == ["ticket_void"]
