"""A partner's ledger of a run: the verdict on it, and the reconciliation with the backends."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from producers.publisher import event
from producers.simulation.partner import LedgerEntry, Respond
from producers.simulation.reconciliation import reconcile
from producers.simulation.verdict import check_all_sequences

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
DELAY = timedelta(seconds=10)


def entry(
    action: str,
    *,
    at: float,
    ticket: str = "1",
    key: str | None = None,
    status: int | None = 200,
) -> LedgerEntry:
    """A notice that came *at* so many seconds and was answered at once; 2xx takes it."""
    moment = NOON + timedelta(seconds=at)
    return LedgerEntry(
        number=0,
        received_at=moment,
        method="POST",
        path="/",
        headers=(),
        body=f"{action} {ticket}".encode(),
        action=action,
        operator="acme",
        ticket_id=ticket,
        idempotency_key=key or f"acme/{ticket}/{action}/1",
        signature_ok=True,
        behaviour=Respond(),
        taken=status == 200,
        status=status,
        answered_at=None if status is None else moment,
    )


WIN, CLOSED = entry("ticket_win", at=0), entry("ticket_closed", at=10)


def checked(*entries: LedgerEntry, complete: bool = True):
    return check_all_sequences(entries, close_delay=DELAY, complete=complete)


def test_a_lawful_run_is_legal_and_counted():
    run = [
        WIN,
        entry("ticket_lost", at=1, ticket="2"),
        entry("ticket_rollback", at=2, ticket="2"),
        entry("ticket_void", at=3, ticket="2"),
        CLOSED,
        entry("ticket_closed", at=13, ticket="2"),
    ]

    verdict = checked(*run)

    assert verdict.legal
    assert (verdict.tickets, verdict.results, verdict.rollbacks, verdict.closed) == (2, 3, 1, 2)


def test_a_repeat_is_counted_and_is_no_second_notice():
    repeat = replace(entry("ticket_win", at=1), repeats=True)

    verdict = checked(WIN, repeat, entry("ticket_closed", at=11))

    assert verdict.legal
    assert (verdict.results, verdict.repeats, verdict.late_repeats) == (1, 1, 0)


def test_a_repeat_after_a_later_notice_is_late():
    repeat = replace(entry("ticket_win", at=2), repeats=True)

    verdict = checked(WIN, entry("ticket_rollback", at=1), repeat)

    assert (verdict.repeats, verdict.late_repeats) == (1, 1)


def test_a_repeat_that_a_person_asked_for_is_not_late():
    repeat = replace(entry("ticket_win", at=2), repeats=True, sent_again=True)

    verdict = checked(WIN, entry("ticket_rollback", at=1), repeat)

    assert (verdict.legal, verdict.repeats, verdict.late_repeats) == (True, 1, 0)


def test_a_ticket_that_was_sent_again_is_complete_all_the_same():
    published = [event("ticket_win", {"operator": "acme", "ticket_id": "1"}, occurred_at=NOON)]
    repeats = [replace(each, repeats=True) for each in (WIN, CLOSED)]

    assert reconcile(published, [WIN, CLOSED, *repeats]).complete == 1


def test_the_same_key_with_other_bytes_is_a_violation():
    repeat = replace(entry("ticket_win", at=1), repeats=True, body=b"other")

    verdict = checked(WIN, repeat, entry("ticket_closed", at=11))

    assert not verdict.legal
    assert verdict.changed_repeats == 1


def test_the_same_notice_without_a_key_counts_twice():
    keyless = replace(WIN, idempotency_key=None)

    assert checked(keyless, keyless, CLOSED).illegal == 1


def test_a_refused_notice_is_not_part_of_the_sequence():
    refused = entry("ticket_win", at=0, status=503)

    verdict = checked(refused, entry("ticket_win", at=5), entry("ticket_closed", at=15))

    assert verdict.legal
    assert verdict.results == 1


def test_the_delay_runs_from_the_first_response_that_could_be_received():
    """Taken at 0 with the answer lost, answered at 5: a close at 12 is early."""
    lost = replace(WIN, status=None, answered_at=None)
    repeat = replace(entry("ticket_win", at=5), repeats=True)

    assert checked(lost, repeat, entry("ticket_closed", at=12)).early == 1
    assert checked(lost, repeat, entry("ticket_closed", at=15)).early == 0


def test_an_early_close_stays_early_when_it_is_refused_first():
    refused = entry("ticket_closed", at=9, status=503)

    assert checked(WIN, refused, entry("ticket_closed", at=20)).early == 1


def test_a_result_without_its_close_is_missing_only_when_the_run_is_over():
    assert checked(WIN).missing_close == 1
    assert checked(WIN, complete=False).legal


def test_bad_signatures_are_counted_and_never_believed():
    forged = replace(entry("ticket_rollback", at=1), signature_ok=False, taken=False)

    verdict = checked(WIN, forged, CLOSED)

    assert verdict.legal
    assert verdict.unsigned == 1


def test_violations_are_described_with_the_ticket_s_sequence():
    verdict = checked(WIN, entry("ticket_lost", at=1), CLOSED)

    assert verdict.violations == (
        "acme/1: ticket_lost for a ticket that is settled [win, lost, closed]",
    )


def published(*actions: str, ticket: str = "1"):
    data = {"operator": "acme", "ticket_id": ticket}
    return [event(action, data, occurred_at=NOON) for action in actions]


def test_a_ticket_that_the_partner_took_in_full_is_complete():
    reconciliation = reconcile(published("ticket_open", "ticket_win"), [WIN, CLOSED])

    assert reconciliation.balanced
    assert reconciliation.complete == 1


def test_a_sequence_without_its_overtaken_steps_is_shortened_not_wrong():
    events = published("ticket_open", "ticket_lost", "ticket_rollback", "ticket_win")

    reconciliation = reconcile(events, [WIN, CLOSED])

    assert reconciliation.balanced
    assert reconciliation.shortened == 1


@pytest.mark.parametrize("taken", [("ticket_discard",), ("ticket_create", "ticket_discard")])
def test_a_create_that_failed_is_cancelled_and_its_results_are_not_missing(taken):
    events = published("ticket_create", "ticket_win")

    reconciliation = reconcile(events, [entry(action, at=at) for at, action in enumerate(taken)])

    assert reconciliation.balanced
    assert reconciliation.cancelled == 1


def test_a_discard_after_a_result_is_wrong():
    events = published("ticket_create", "ticket_win")
    taken = [entry("ticket_create", at=0), entry("ticket_win", at=1), entry("ticket_discard", at=2)]

    assert reconcile(events, taken).wrong == 1


def test_lost_wrong_and_invented_tickets_are_named():
    events = published("ticket_win") + published("ticket_lost", ticket="2")
    invented = entry("ticket_win", at=0, ticket="3")

    reconciliation = reconcile(events, [entry("ticket_lost", at=0), CLOSED, invented])

    assert not reconciliation.balanced
    assert (reconciliation.wrong, reconciliation.missing, reconciliation.unexpected) == (1, 1, 1)
    assert len(reconciliation.discrepancies) == 3


def test_a_result_that_was_never_closed_is_wrong():
    assert reconcile(published("ticket_win"), [WIN]).wrong == 1
