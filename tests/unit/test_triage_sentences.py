"""What the ways out say about what they will do, and whom they refuse to guess for."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from models.lifecycle.advance import NO_WINDOW
from models.outbox.dead_letters import Resolution
from models.triage import EventResolution, FreedNotice
from worker.cli.errors import WrongUsage
from worker.cli.triage.options import Choice
from worker.cli.triage.sentences import (
    counted,
    did_free,
    did_retry,
    outlook,
    will_drop,
    will_free,
    will_retry,
)

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
END = EventResolution(
    operator="acme",
    ticket_id="T",
    event_id="e-1",
    action="ticket_win",
    asked=True,
    was_outcome="rejected",
    was_reason="window_ended",
    outcome="applied",
    reason=None,
    message=None,
    status_before="open",
    status_after="resulted/won",
    notices=("ticket_win",),
)
FREED = FreedNotice(
    id=7,
    operator="acme",
    ticket_id="T",
    action="ticket_win",
    generation=1,
    way=Resolution.SKIP_NOT_DELIVERED,
    perhaps_delivered=False,
    status="resulted/won",
    of_force=True,
    withdrawn=False,
    close_due_at=None,
    close_delay=timedelta(hours=24),
    next_action=None,
    next_generation=None,
    next_dead=False,
    operator_disabled=False,
)


def fate(**facts: Any) -> str:  # noqa: ANN401 - whatever an end has
    """What is said after `is` of an event that ended so."""
    (said,) = did_retry([replace(END, notices=(), **facts)])
    return said.removeprefix("ticket_win e-1 of ticket T of acme is ")


def freed(way: Resolution, **facts: Any) -> str:  # noqa: ANN401 - whatever a notice has
    return will_free(replace(FREED, way=way, **facts))


def test_a_retry_names_the_event_its_end_and_what_the_partner_is_owed():
    along = replace(END, asked=False, event_id="e-2", action="ticket_rollback", notices=())

    assert will_retry([END, along], as_now=False) == [
        (
            "ticket_win e-1 of ticket T of acme (rejected, window_ended) will be taken up again: "
            "it will be applied (open to resulted/won); the partner is owed ticket_win; along with "
            "it, ticket_rollback e-2 of ticket T of acme will be applied (open to resulted/won)"
        )
    ]


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"reason": "late_open", "status_after": "open"}, "applied (late_open)"),
        (
            {"outcome": "superseded", "reason": "older_rollback", "message": "it is older"},
            "superseded (older_rollback): it is older; --as-now stamps it anew",
        ),
        (
            {"outcome": "rejected", "reason": "number_used", "message": "number 2 was decided"},
            (
                "rejected again (number_used): number 2 was decided; a number counts once, so this "
                "stays rejected"
            ),
        ),
        (
            {"outcome": "parked", "reason": "waits_for_result", "park_until": NOON},
            "parked until 2026-11-20T12:00:00Z (waits_for_result)",
        ),
        (
            {"outcome": "parked", "reason": "waits_for_ticket", "park_until": NO_WINDOW},
            "parked until the partner has answered (waits_for_ticket)",
        ),
        (
            {"outcome": "confirmed", "reason": "same_result"},
            "confirmed (same_result); nothing is sent",
        ),
        ({"outcome": "duplicate"}, "a duplicate: it came another way before, and counts once"),
    ],
)
def test_how_an_event_ends_is_told_with_its_reason(facts, said):
    assert fate(**facts) == said


def test_a_drop_says_that_it_is_for_good_and_which_number_goes_with_it():
    parked = replace(END, was_outcome="parked", was_reason="waits_for_ticket", gives_up=3)
    raw = replace(END, event_id="", action="", entry_id="1-0")

    assert will_drop([parked]) == [
        (
            "ticket_win e-1 of ticket T of acme (parked, waits_for_ticket) will be rejected with "
            "the reason dropped and never applied; its number 3 is used up"
        )
    ]
    assert will_drop([raw])[0].startswith("entry 1-0 (rejected, window_ended) will leave the list")


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        (
            {},
            (
                "; its rollback, if one comes, is withdrawn with it; the 24h do not start, so the "
                "ticket does not close by itself; nothing waits behind it"
            ),
        ),
        (
            {"withdrawn": True, "of_force": False, "next_action": "ticket_lost"},
            (
                "; its rollback is withdrawn with it; it starts no clock; next comes ticket_lost "
                "of generation None"
            ),
        ),
        ({"action": "ticket_update"}, "; nothing waits behind it"),
        (
            {"action": "ticket_discard"},
            (
                "; if it has debited the slip, that stays so until it is settled by hand; nothing "
                "waits behind it"
            ),
        ),
        (
            {"action": "ticket_closed"},
            "; the ticket stays closed here; nothing waits behind it",
        ),
    ],
)
def test_a_skip_says_what_is_lost(facts, said):
    """Rule 18."""
    action = facts.get("action", "ticket_win")

    assert freed(Resolution.SKIP_NOT_DELIVERED, **facts) == (
        f"the partner will never be told {action} of generation 1 of ticket T of acme{said}"
    )


def test_what_counts_as_delivered_starts_the_clock_of_the_result_in_force():
    """Rules 16 and 18."""
    in_force = freed(Resolution.SKIP_DELIVERED, close_due_at=NOON)
    overtaken = freed(Resolution.SKIP_DELIVERED, of_force=False)
    rollback = freed(Resolution.SKIP_DELIVERED, action="ticket_rollback", of_force=False)

    assert "; its 24h start, so the ticket closes at 2026-11-20T12:00:00Z" in in_force
    assert "; no 24h start, because the ticket does not stand at it any more" in overtaken
    assert "24h" not in rollback
    done = replace(FREED, way=Resolution.SKIP_DELIVERED, close_due_at=NOON)
    assert did_free(done).endswith("counts as delivered; the ticket closes at 2026-11-20T12:00:00Z")


def test_a_notice_sent_again_is_doubted_and_held_aloud():
    said = freed(Resolution.RETRY, perhaps_delivered=True, operator_disabled=True)

    assert "the partner perhaps has it, and gets the same Idempotency-Key again" in said
    assert "the operator is disabled, so it is held until that ends" in said
    assert "which is dead, too" in freed(
        Resolution.SKIP_DELIVERED, next_action="ticket_rollback", next_generation=1, next_dead=True
    )
    assert "acme, although an attempt had no answer; its rollback" in freed(
        Resolution.SKIP_NOT_DELIVERED, perhaps_delivered=True
    )


def test_what_follows_from_skipping_many_is_counted():
    """Rule 18: before one of the two words is given."""
    delivered = replace(FREED, way=Resolution.SKIP_DELIVERED, close_due_at=NOON)
    behind = replace(FREED, withdrawn=True, next_action="ticket_lost")

    assert outlook([delivered, behind, FREED], ["a rollback is never skipped"] * 2) == (
        "; closing times that start: 1; rollbacks withdrawn: 1; next to go: 1 notice"
        " (1 ticket_lost); not possible: 2 (a rollback is never skipped)"
    )
    assert outlook([], []) == ""


def test_many_are_counted_by_what_they_are():
    assert counted(["b", "a", "b"], "dead notice") == "3 dead notices (1 a, 2 b)"
    assert counted(["a"], "dead notice") == "1 dead notice (1 a)"


@pytest.mark.parametrize(
    ("choice", "told"),
    [
        (Choice(), "say which"),
        (Choice(limit=5, yes=True), "say which"),
        (Choice(ids=("e-1",), reason="dropped"), "leave the ids out"),
        (Choice(ids=("e-1",), since=timedelta(hours=1)), "leave the ids out"),
    ],
)
def test_nothing_is_guessed_about_what_is_to_be_changed(choice, told):
    with pytest.raises(WrongUsage, match=told):
        choice.check()


def test_ids_may_be_narrowed_and_filters_stand_alone():
    Choice(ids=("e-1",), operator="acme", ticket="T").check()
    Choice(reason="ticket_closed").check()
    Choice(since=timedelta(hours=1)).check()
    Choice(ticket="T").check()
