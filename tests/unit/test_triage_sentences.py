"""What the triage commands say they will do, and which selections they refuse."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from models.lifecycle.advance import NO_WINDOW
from models.outbox.dead_letters import Resolution
from models.triage import EventResolution, ResolvedNotice
from models.triage.event_sentences import did_retry, will_drop, will_retry
from models.triage.sentences import did_resolve, will_resolve
from worker.cli.errors import WrongUsage
from worker.cli.notices.sentences import outlook
from worker.cli.triage.display import counted
from worker.cli.triage.options import SelectionOptions

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
END = EventResolution(
    operator="acme",
    ticket_id="T",
    event_id="e-1",
    action="ticket_win",
    selected=True,
    was_outcome="rejected",
    was_reason="window_ended",
    outcome="applied",
    reason=None,
    message=None,
    status_before="open",
    status_after="resulted/won",
    notices=("ticket_win",),
)
RESOLVED = ResolvedNotice(
    id=7,
    operator="acme",
    ticket_id="T",
    action="ticket_win",
    generation=1,
    resolution=Resolution.SKIP_NOT_DELIVERED,
    perhaps_delivered=False,
    status="resulted/won",
    is_current_result=True,
    withdrawn=False,
    close_due_at=None,
    close_delay=timedelta(hours=24),
    next_action=None,
    next_generation=None,
    next_dead=False,
    operator_disabled=False,
    on_hold=False,
)


def fate(**facts: Any) -> str:  # noqa: ANN401 - whatever an end has
    """What is said after `is` of an event that ended so."""
    (sentence,) = did_retry([replace(END, notices=(), **facts)])
    return sentence.removeprefix("ticket_win e-1 of ticket T of acme is ")


def resolved(resolution: Resolution, **facts: Any) -> str:  # noqa: ANN401 - whatever a notice has
    return will_resolve(replace(RESOLVED, resolution=resolution, **facts))


def test_a_retry_names_the_event_its_outcome_and_what_the_partner_will_be_sent():
    along = replace(END, selected=False, event_id="e-2", action="ticket_rollback", notices=())

    assert will_retry([END, along], as_now=False) == [
        (
            "ticket_win e-1 of ticket T of acme (rejected, window_ended) will be processed again: "
            "it will be applied (open to resulted/won); the partner will be sent ticket_win; "
            "along with it, ticket_rollback e-2 of ticket T of acme will be applied "
            "(open to resulted/won)"
        )
    ]


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({"reason": "late_open", "status_after": "open"}, "applied (late_open)"),
        (
            {"outcome": "superseded", "reason": "older_rollback", "message": "it is older"},
            "superseded (older_rollback): it is older; as now (--as-now) gives it the current time",
        ),
        (
            {"outcome": "rejected", "reason": "number_used", "message": "number 2 was decided"},
            (
                "rejected again (number_used): number 2 was decided; a sequence number counts "
                "once, so this stays rejected"
            ),
        ),
        (
            {"outcome": "parked", "reason": "waits_for_result", "park_until": NOON},
            "parked until 2026-11-20T12:00:00Z (waits_for_result)",
        ),
        (
            {"outcome": "parked", "reason": "waits_for_ticket", "park_until": NO_WINDOW},
            "parked until the partner responds (waits_for_ticket)",
        ),
        (
            {"outcome": "confirmed", "reason": "same_result"},
            "confirmed (same_result); nothing is sent",
        ),
        ({"outcome": "duplicate"}, "a duplicate: it already arrived another way, and counts once"),
    ],
)
def test_the_outcome_of_an_event_is_given_with_its_reason(facts, expected):
    assert fate(**facts) == expected


def test_a_drop_says_that_it_is_for_good_and_which_number_goes_with_it():
    parked = replace(END, was_outcome="parked", was_reason="waits_for_ticket", gives_up=3)
    raw = replace(END, event_id="", action="", entry_id="1-0")

    assert will_drop([parked]) == [
        (
            "ticket_win e-1 of ticket T of acme (parked, waits_for_ticket) will be rejected with "
            "the reason dropped and never applied; its sequence number 3 is used up"
        )
    ]
    assert will_drop([raw])[0].startswith("entry 1-0 (rejected, window_ended) will leave the list")


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (
            {},
            (
                "; its rollback, if one comes, is withdrawn too; the close delay of 24h does not "
                "start, so the ticket does not close by itself; nothing waits behind it"
            ),
        ),
        (
            {"withdrawn": True, "is_current_result": False, "next_action": "ticket_lost"},
            (
                "; its rollback is withdrawn too; no close delay starts; next comes ticket_lost "
                "of generation None"
            ),
        ),
        ({"action": "ticket_update"}, "; nothing waits behind it"),
        (
            {"action": "ticket_discard"},
            (
                "; if the partner has debited the stake, that stands until it is settled by hand; "
                "nothing waits behind it"
            ),
        ),
        (
            {"action": "ticket_closed"},
            "; the ticket stays closed here; nothing waits behind it",
        ),
    ],
)
def test_a_skip_says_what_is_lost(facts, expected):
    """Rule 18."""
    action = facts.get("action", "ticket_win")

    assert resolved(Resolution.SKIP_NOT_DELIVERED, **facts) == (
        f"the partner will never be sent {action} of generation 1 of ticket T of acme{expected}"
    )


def test_what_counts_as_delivered_starts_the_clock_of_the_result_in_force():
    """Rules 16 and 18."""
    in_force = resolved(Resolution.SKIP_DELIVERED, close_due_at=NOON)
    overtaken = resolved(Resolution.SKIP_DELIVERED, is_current_result=False)
    rollback = resolved(
        Resolution.SKIP_DELIVERED, action="ticket_rollback", is_current_result=False
    )

    assert (
        "; its close delay of 24h starts, so the ticket closes at 2026-11-20T12:00:00Z" in in_force
    )
    assert (
        "; no close delay of 24h starts: this is no longer the ticket's current result" in overtaken
    )
    assert "24h" not in rollback
    done = replace(RESOLVED, resolution=Resolution.SKIP_DELIVERED, close_due_at=NOON)
    assert did_resolve(done).endswith(
        "counts as delivered; the ticket closes at 2026-11-20T12:00:00Z"
    )


def test_a_notice_sent_again_is_doubted_and_held_aloud():
    sentence = resolved(Resolution.RETRY, perhaps_delivered=True, operator_disabled=True)

    assert "the partner may have it: it gets the same Idempotency-Key again" in sentence
    assert "the operator is disabled, so it is held until the operator is enabled" in sentence
    assert "which is dead too" in resolved(
        Resolution.SKIP_DELIVERED, next_action="ticket_rollback", next_generation=1, next_dead=True
    )
    assert "acme, although an attempt had no response; its rollback" in resolved(
        Resolution.SKIP_NOT_DELIVERED, perhaps_delivered=True
    )


def test_what_follows_from_skipping_many_is_counted():
    """Rule 18: before one of the two words is given."""
    delivered = replace(RESOLVED, resolution=Resolution.SKIP_DELIVERED, close_due_at=NOON)
    behind = replace(RESOLVED, withdrawn=True, next_action="ticket_lost")

    assert outlook([delivered, behind, RESOLVED], ["a rollback is never skipped"] * 2) == (
        "; close delays that start: 1; rollbacks withdrawn: 1; sent next: 1 notice"
        " (1 ticket_lost); not possible: 2 (a rollback is never skipped)"
    )
    assert outlook([], []) == ""


def test_many_are_counted_by_what_they_are():
    assert counted(["b", "a", "b"], "dead notice") == "3 dead notices (1 a, 2 b)"
    assert counted(["a"], "dead notice") == "1 dead notice (1 a)"


@pytest.mark.parametrize(
    ("ids", "selection", "message"),
    [
        ((), SelectionOptions(), "select what to change"),
        ((), SelectionOptions(limit=5), "select what to change"),
        (("e-1",), SelectionOptions(reason="dropped"), "cannot be combined with ids"),
        (("e-1",), SelectionOptions(since=timedelta(hours=1)), "cannot be combined with ids"),
    ],
)
def test_nothing_is_guessed_about_what_is_to_be_changed(ids, selection, message):
    with pytest.raises(WrongUsage, match=message):
        selection.check(ids)


def test_ids_may_be_narrowed_and_filters_stand_alone():
    SelectionOptions(operator="acme", ticket="T").check(["e-1"])
    SelectionOptions(reason="ticket_closed").check([])
    SelectionOptions(since=timedelta(hours=1)).check([])
    SelectionOptions(ticket="T").check([])
