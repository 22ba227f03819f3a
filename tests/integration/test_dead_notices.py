"""The resolutions of a dead notice: rule 18, case by case (H39)."""

from datetime import timedelta

import pytest

from models.outbox.dead_letters import Resolution
from models.outbox.values import Dead, Unanswered
from models.triage import NotPossible, Selection, find_dead, list_dead
from tests.support.harness import AMOUNTS, CLOSE_DELAY, LEASE, PARTNER_GRACE, SLIP
from tests.support.triage_actions import TriageActions

GONE = Dead("410 Gone")
PERHAPS = Dead("no answer within 5 s", perhaps_delivered=True)
GAME = {"player_id": "p", "price": 500, "currency": "EUR", "game": "g", "game_id": "1"}


@pytest.fixture
def triage(harness, records) -> TriageActions:
    return TriageActions(harness, records)


@pytest.fixture
def dead_win(harness, records):
    """The id of a dead `ticket_win` that blocks its ticket."""
    harness.say("ticket_win")
    harness.deliver(GONE)
    return records.notice(1).id


def test_retry_makes_it_due_now_with_a_schedule_of_its_own(harness, records, triage, dead_win):
    """Rule 18: `retry`."""
    harness.wait(timedelta(days=3))
    triage.resolve(dead_win, Resolution.RETRY)

    claim = harness.claim_one()
    assert (claim.notice, claim.tries, claim.first_tried_at) == (dead_win, 0, None)
    harness.record(claim)
    assert records.ticket().close_due_at == harness.now + CLOSE_DELAY


def test_retry_waits_until_an_attempt_without_answer_can_be_on_its_way_no_more(
    harness, records, triage
):
    """Rule 15 holds for a person, too."""
    harness.say("ticket_win")
    harness.deliver(PERHAPS)
    triage.resolve(records.notice(1).id, Resolution.RETRY)

    assert harness.claim() == []
    harness.wait(PARTNER_GRACE)
    assert harness.deliver() == [("T", "ticket_win")]


def test_delivered_starts_the_clock_now(harness, records, triage, dead_win):
    """Rule 18: `skip --delivered` = success recorded now (clock, open)."""
    harness.wait(timedelta(hours=5))
    freed = triage.resolve(dead_win, Resolution.SKIP_DELIVERED)

    due = harness.now + CLOSE_DELAY
    assert (records.notice(1).ended, records.ticket().close_due_at) == ("delivered", due)
    assert (freed.is_current_result, freed.close_due_at, freed.next_action) == (True, due, None)
    harness.wait(CLOSE_DELAY)
    assert harness.close_due() == 1


def test_delivered_starts_no_clock_for_a_result_that_was_rolled_back(
    harness, records, triage, dead_win
):
    """Rule 16."""
    harness.say("ticket_rollback")
    freed = triage.resolve(dead_win, Resolution.SKIP_DELIVERED)

    assert records.ticket().close_due_at is None
    assert (freed.is_current_result, freed.next_action) == (False, "ticket_rollback")
    assert harness.deliver() == [("T", "ticket_rollback")]


def test_a_skipped_result_takes_the_rollback_behind_it_along(harness, records, triage, dead_win):
    """Rule 18: the rollback of a result the partner never had is not sent."""
    harness.say("ticket_rollback")
    harness.say("ticket_lost")
    freed = triage.resolve(dead_win, Resolution.SKIP_NOT_DELIVERED)

    assert [row.ended for row in records.notices()] == ["skipped", "withdrawn", None]
    assert (freed.withdrawn, freed.next_action) == (True, "ticket_lost")
    assert harness.deliver() == [("T", "ticket_lost")]
    assert records.ticket().close_due_at == harness.now + CLOSE_DELAY


def test_a_skipped_result_takes_a_rollback_along_that_comes_later(
    harness, records, triage, dead_win
):
    """Rule 18: "present or future"."""
    triage.resolve(dead_win, Resolution.SKIP_NOT_DELIVERED)
    harness.say("ticket_rollback")
    harness.say("ticket_lost")

    assert [row.ended for row in records.notices()] == ["skipped", "withdrawn", None]
    assert harness.deliver() == [("T", "ticket_lost")]


def test_a_skipped_result_starts_no_clock(harness, records, triage, dead_win):
    """Rule 18: "no clock"; the ticket keeps its result and does not close."""
    triage.resolve(dead_win, Resolution.SKIP_NOT_DELIVERED)
    harness.wait(10 * CLOSE_DELAY)

    assert (records.ticket().close_due_at, harness.close_due()) == (None, 0)
    assert records.standing() == "resulted/won"


def test_a_late_success_of_what_was_skipped_changes_nothing(harness, records, triage):
    """Rule 14 counts a success while the notice is unfinished or dead; this one is neither."""
    harness.say("ticket_win")
    slow = harness.claim_one()
    harness.wait(2 * LEASE)
    harness.deliver(GONE)
    triage.resolve(records.notice(1).id, Resolution.SKIP_NOT_DELIVERED)
    harness.record(slow)

    assert (records.notice(1).ended, records.ticket().close_due_at) == ("skipped", None)


def test_what_follows_a_skip_waits_for_an_attempt_that_may_still_be_on_its_way(
    harness, records, triage
):
    """Rule 15."""
    harness.say("ticket_update", **SLIP)
    harness.say("ticket_open")
    harness.say("ticket_win")
    harness.deliver(PERHAPS)
    triage.resolve(records.notice(1).id, Resolution.SKIP_NOT_DELIVERED)

    assert harness.claim() == []
    harness.wait(PARTNER_GRACE)
    assert harness.deliver() == [("T", "ticket_win")]


def test_an_update_a_discard_and_a_closing_may_be_skipped(harness, records, triage):
    """Rule 18: the other notices `skip` is allowed for."""
    harness.say("ticket_open", "U")
    harness.say("ticket_update", "U", **SLIP)
    harness.say("ticket_discard", "D")
    harness.say("ticket_win", "C")
    harness.deliver()
    harness.wait(CLOSE_DELAY)
    harness.close_due()
    harness.say("ticket_update", "U", event_id="again", **SLIP)
    harness.say("ticket_discard", "E")
    harness.deliver(GONE)

    for ticket, number in (("U", 2), ("E", 1), ("C", 2)):
        freed = triage.resolve(records.notice(number, ticket).id, Resolution.SKIP_NOT_DELIVERED)
        assert records.notice(number, ticket).ended == "skipped"
        assert freed.next_action is None


def test_a_rollback_is_never_skipped(harness, records, triage):
    """Rule 18, H39: the result behind it would not be true for the partner."""
    harness.publish(*(harness.event(f"ticket_{word}") for word in ("win", "rollback", "lost")))
    harness.deliver()
    harness.deliver(GONE)
    rollback = records.notice(2).id

    with pytest.raises(NotPossible, match="a rollback is never skipped"):
        triage.resolve(rollback, Resolution.SKIP_NOT_DELIVERED)
    assert (records.notice(2).ended, triage.kept()) == ("dead", [])
    triage.resolve(rollback, Resolution.SKIP_DELIVERED)
    assert harness.deliver() == [("T", "ticket_lost")]


def test_what_was_perhaps_delivered_is_either_there_or_not(harness, records, triage):
    """Rule 18, and H39: a person may be wrong, so there is no skip without one of two options."""
    for ticket in ("T", "U"):
        harness.say("ticket_win", ticket)
    harness.deliver(Unanswered(PARTNER_GRACE))
    harness.wait(PARTNER_GRACE)
    harness.deliver(GONE)

    assert [str(way) for way in Resolution] == [
        "retry",
        "skip_delivered",
        "skip_not_delivered",
        "skip_repeat",  # never of an original
    ]
    triage.resolve(records.notice(1).id, Resolution.SKIP_DELIVERED)
    triage.resolve(records.notice(1, "U").id, Resolution.SKIP_NOT_DELIVERED)
    assert (records.notice(1).ended, records.notice(1, "U").ended) == ("delivered", "skipped")


@pytest.mark.parametrize("way", list(Resolution))
def test_only_a_dead_notice_is_for_a_person(harness, records, triage, way):
    harness.say("ticket_win")
    waiting = records.notice(1).id

    with pytest.raises(NotPossible, match=r"is not dead \(waiting\)"):
        triage.resolve(waiting, way)
    harness.deliver()
    with pytest.raises(NotPossible, match=r"is not dead \(delivered\)"):
        triage.resolve(waiting, way)
    with pytest.raises(NotPossible, match="there is no notice 999"):
        triage.resolve(999, way)


def test_what_a_protocol_has_no_call_for_cannot_be_sent_but_settled_by_hand(
    harness, records, triage
):
    """AMBSlot takes no settlement back (contracts 2.5)."""
    harness.add_operator("wallet", protocol="seamless")
    harness.say("ticket_open", operator="wallet", **GAME)
    for word in ("lost", "rollback", "void"):
        harness.say(f"ticket_{word}", operator="wallet")
    harness.deliver()
    rollback = records.notices(operator="wallet")[1].id

    with pytest.raises(NotPossible, match="settle it by hand") as refusal:
        triage.resolve(rollback, Resolution.RETRY)
    assert refusal.value.instead == (Resolution.SKIP_DELIVERED,)
    triage.resolve(rollback, Resolution.SKIP_DELIVERED)
    assert harness.deliver() == [("T", "ticket_void")]


def test_a_skipped_result_takes_a_rollback_along_that_has_no_call(harness, records, triage):
    """Rule 18: the wallet has no call for it, so it is dead from the start."""
    harness.add_operator("wallet", protocol="seamless")
    harness.say("ticket_open", operator="wallet", **GAME)
    for word in ("lost", "rollback", "void"):
        harness.say(f"ticket_{word}", operator="wallet")
    harness.deliver(GONE)
    lost, rollback, _ = records.notices(operator="wallet")
    assert (lost.ended, rollback.ended) == ("dead", "dead")

    triage.resolve(lost.id, Resolution.SKIP_NOT_DELIVERED)

    ends = [row.ended for row in records.notices(operator="wallet")]
    assert ends == ["skipped", "withdrawn", None]
    assert harness.deliver() == [("T", "ticket_void")]


def test_a_second_skipped_result_takes_its_rollback_along_too(harness, records, triage, dead_win):
    """Rule 18: what counts is the newest result the partner never had."""
    triage.resolve(dead_win, Resolution.SKIP_NOT_DELIVERED)
    harness.publish(harness.event("ticket_rollback"), harness.event("ticket_lost"))
    harness.deliver(GONE)
    triage.resolve(records.notice(3).id, Resolution.SKIP_NOT_DELIVERED)
    harness.publish(harness.event("ticket_rollback"), harness.event("ticket_void", **AMOUNTS))

    ends = [row.ended for row in records.notices()]
    assert ends == ["skipped", "withdrawn", "skipped", "withdrawn", None]
    assert harness.deliver() == [("T", "ticket_void")]


def test_who_and_why_are_kept_with_the_ticket(records, triage, dead_win):
    triage.resolve(dead_win, Resolution.SKIP_NOT_DELIVERED)

    (kept,) = triage.kept()
    assert (kept.who, kept.why, kept.did) == ("anna", "their clock was slow", "notice_skipped")
    assert (kept.ticket, kept.operator) == (records.ticket().id, "acme")
    assert (kept.facts["way"], kept.facts["notice"]) == ("skip_not_delivered", dead_win)


def test_the_list_says_what_each_holds_up_newest_first(harness, triage, engine, dead_win):
    harness.say("ticket_rollback")
    harness.wait(timedelta(hours=1))
    harness.add_operator("betsy")
    harness.say("ticket_void", "V", operator="betsy", **SLIP)
    harness.record(harness.claim_one(), PERHAPS)

    def listed(selection: Selection, limit: int = 10) -> list[str]:
        with engine.begin() as connection:
            return [notice.action for notice in list_dead(connection, selection, limit=limit)]

    with engine.begin() as connection:
        newest, oldest = list_dead(connection, Selection(), limit=10)
        history = find_dead(connection, dead_win)
    assert (newest.action, newest.perhaps_delivered, newest.behind) == ("ticket_void", True, 0)
    assert (oldest.id, oldest.behind, oldest.http_status) == (dead_win, 1, 200)
    assert [notice.action for notice in history.waiting] == ["ticket_rollback"]
    assert [attempt.verdict for attempt in history.attempts] == ["dead"]
    assert listed(Selection(), limit=1) == ["ticket_void"]
    assert listed(Selection(operator="acme")) == ["ticket_win"]
    assert listed(Selection(reason="NO ANSWER")) == ["ticket_void"]
    assert listed(Selection(ticket_id="T")) == ["ticket_win"]
    assert listed(Selection(since=harness.now)) == ["ticket_void"]
