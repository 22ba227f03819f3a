"""The sentence at the top of `slipway ticket`, which says why a ticket is not closed."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from models.history import public
from models.history.explain import why_not_closed
from models.history.values import (
    AttemptFact,
    EventFact,
    InterventionFact,
    NoticeFact,
    OpenCircuit,
    SweepFact,
    TicketFact,
    TicketHistory,
)
from models.vocabulary import Action, NoticeEnd, Outcome, Result, Status

NOW = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)
DAY = timedelta(hours=24)


def ticket(status: Status, result: Result = Result.PENDING, **facts: Any) -> TicketFact:  # noqa: ANN401 - any field of the dataclass
    blank = TicketFact(
        operator="acme",
        ticket_id="T-1",
        status=status,
        result=result,
        generation=0 if result is Result.PENDING else 1,
        settled_at=None,
        close_due_at=None,
        closed_at=None,
        parked=0,
        unfinished=0,
        on_hold_at=None,
        cancelled_by=None,
        created_at=NOW - DAY,
        changed_at=NOW,
        close_delay=DAY,
        operator_disabled_at=None,
        operator_ended_at=None,
    )
    return replace(blank, **facts)


def notice(action: Action = Action.WIN, **facts: Any) -> NoticeFact:  # noqa: ANN401 - any field of the dataclass
    blank = NoticeFact(
        id=7,
        number=1,
        action=action,
        generation=1,
        event_id="e-1",
        head=True,
        created_at=NOW - DAY,
        due_at=NOW,
        leased_until=None,
        tries=0,
        perhaps_delivered=False,
        ended=None,
        ended_at=None,
        reason=None,
        attempts=(),
    )
    return replace(blank, **facts)


def attempt(http_status: int | None, problem: str | None = None) -> AttemptFact:
    return AttemptFact(
        claim=1,
        verdict="again",
        took=timedelta(milliseconds=12),
        http_status=http_status,
        problem=problem,
        answer=None,
        recorded_at=NOW,
    )


def parked(action: Action, until: datetime) -> EventFact:
    return EventFact(
        event_id="e-2",
        action=action,
        data={},
        occurred_at=NOW,
        order_time=NOW,
        sequence=None,
        received_at=NOW,
        outcome=Outcome.PARKED,
        reason="waits_for_rollback",
        status_before=Status.RESULTED,
        status_after=Status.RESULTED,
        decided_at=NOW,
        park_until=until,
        repeats=0,
        repeated_at=None,
    )


def explanation(
    about: TicketFact, notices: tuple[NoticeFact, ...] = (), events: tuple[EventFact, ...] = ()
) -> str:
    history = TicketHistory(about, events, notices, interventions=(), refused=(), cut=False)
    return why_not_closed(history, now=NOW)


def test_an_undelivered_result_says_what_the_partner_answered():
    """The close delay starts when the partner accepts the result, not before (rule 16)."""
    tried = notice(
        attempts=(attempt(None, "timed out"), attempt(503), attempt(500)),
        due_at=NOW + timedelta(minutes=2),
    )

    assert explanation(ticket(Status.RESULTED, Result.WON), (tried,)) == (
        "resulted (won); the partner has not accepted ticket_win yet (3 attempts, last: 500; next"
        " in 2m); the close delay of 24h has not started."
    )


def test_a_delivered_result_names_the_closing_time():
    delivered = notice(ended=NoticeEnd.DELIVERED, ended_at=NOW - timedelta(hours=1), head=False)
    due = ticket(Status.RESULTED, Result.WON, close_due_at=NOW + timedelta(hours=23))

    assert explanation(due, (delivered,)) == (
        "resulted (won); closes at 2026-11-21T09:00:00Z (in 23h), 24h after the partner accepted"
        " ticket_win at 2026-11-20T09:00:00Z."
    )


@pytest.mark.parametrize(
    ("about", "notices", "expected"),
    [
        (ticket(Status.OPEN), (), "open: no result has come yet."),
        (
            ticket(Status.OPEN, generation=1),
            (notice(Action.ROLLBACK),),
            (
                "open: its result was rolled back and no new one has come yet; the partner has not"
                " accepted ticket_rollback yet (not tried; due now)."
            ),
        ),
        (
            ticket(Status.NEW),
            (notice(Action.CREATE, leased_until=NOW + timedelta(seconds=5)),),
            (
                "new: it opens when the partner responds with 200; the partner has not accepted"
                " ticket_create yet (being sent now)."
            ),
        ),
        (ticket(Status.RESERVED), (), "reserved: it waits for ticket_paid."),
        (
            ticket(Status.CANCELLED, cancelled_by="ticket_create: 402"),
            (),
            "cancelled by ticket_create: 402: it never closes.",
        ),
        (
            ticket(Status.CLOSED, Result.LOST, closed_at=NOW),
            (),
            "closed at 2026-11-20T10:00:00Z.",
        ),
        (ticket(Status.ABSENT), (), "not opened yet: every event that named it was rejected."),
    ],
)
def test_every_status_says_what_the_ticket_waits_for(about, notices, expected):
    assert explanation(about, notices) == expected


def test_a_dead_notice_asks_for_a_person():
    dead = notice(ended=NoticeEnd.DEAD, ended_at=NOW, reason="404 ten times")
    behind = notice(Action.ROLLBACK, number=2, head=False)

    sentence = explanation(ticket(Status.OPEN, generation=1), (dead, behind))

    assert "ticket_win is dead (404 ten times): a person must retry or skip it" in sentence
    assert "waiting behind it: ticket_rollback" in sentence


def test_a_skipped_result_never_starts_the_clock():
    """Rule 18: the partner does not have it, so nothing may close."""
    skipped = notice(ended=NoticeEnd.SKIPPED, ended_at=NOW, head=False)

    sentence = explanation(ticket(Status.RESULTED, Result.WON), (skipped,))

    assert "ticket_win was skipped by hand, so the close delay of 24h has not started" in sentence


def test_a_disabled_operator_is_named_as_the_reason():
    held = ticket(Status.RESULTED, Result.WON, operator_disabled_at=NOW)

    assert "its operator has been disabled since 2026-11-20T10:00:00Z" in explanation(
        held, (notice(),)
    )


def test_a_parked_event_says_what_it_waits_for_and_until_when():
    waiting = parked(Action.LOST, NOW + timedelta(minutes=10))
    held = ticket(Status.RESULTED, Result.WON, parked=1, close_due_at=NOW - timedelta(seconds=5))

    assert explanation(held, events=(waiting,)) == (
        "resulted (won); it was due to close at 2026-11-20T09:59:55Z, 5s ago, but it does not"
        " close while events are parked; 1 parked event (ticket_lost) waits for a rollback of the"
        " current result, until 2026-11-20T10:10:00Z."
    )


@pytest.mark.parametrize(
    ("sweep", "expected"),
    [
        (None, "no round of the sweep has ended yet"),
        (SweepFact(NOW, NOW), "the next sweep closes it"),
        (
            SweepFact(NOW - timedelta(minutes=2), NOW),
            "the sweep has stalled: its last round ended at 2026-11-20T09:58:00Z",
        ),
        (SweepFact(NOW, None), "the sweep could not read the stream in its last round"),
        (
            SweepFact(NOW, NOW - timedelta(minutes=5)),
            "events from 2026-11-20T09:55:00Z on are still on the stream",
        ),
    ],
)
def test_an_overdue_close_says_what_keeps_the_sweep_from_it(sweep, expected):
    """Rule 17: not before what is older than the due time was applied."""
    due = NOW - timedelta(minutes=3)
    overdue = ticket(Status.RESULTED, Result.WON, close_due_at=due, sweep=sweep)

    assert f", 3m ago: {expected}" in explanation(overdue)


def test_an_open_circuit_says_since_when_why_and_when_it_is_probed():
    """A publisher is not shown what the partner responded."""
    circuit = OpenCircuit(NOW - timedelta(minutes=9), "timed out", NOW + timedelta(seconds=40))
    about = ticket(Status.RESULTED, Result.WON, circuit=circuit)
    history = TicketHistory(about, (), (notice(attempts=(attempt(503),)),), (), (), cut=False)

    assert why_not_closed(history, now=NOW) == (
        "resulted (won); the partner has not accepted ticket_win yet (1 attempt, last: 503): its"
        " partner's circuit has been open since 2026-11-20T09:51:00Z, because timed out, so only a"
        " probe is sent (the next one in 40s); once one succeeds, this is sent too; the close"
        " delay of 24h has not started."
    )
    assert "timed out" not in why_not_closed(public(history), now=NOW)


def test_a_ticket_on_hold_says_who_holds_it_and_why():
    """Rule 23. The present hold counts, not an earlier one."""
    since = NOW - timedelta(hours=2)
    held = ticket(Status.OPEN, generation=1, on_hold_at=since)
    history = TicketHistory(
        ticket=held,
        events=(),
        notices=(notice(Action.ROLLBACK, head=False, attempts=(attempt(503),)),),
        interventions=(
            InterventionFact(NOW - DAY, "anna", "an earlier one", "ticket_held"),
            InterventionFact(since, "vera", "the player disputes it", "ticket_held"),
            InterventionFact(NOW, "paul", "fixed", "event_dropped"),
        ),
        refused=(),
        cut=False,
    )

    assert why_not_closed(history, now=NOW) == (
        "open: its result was rolled back and no new one has come yet; the partner has not accepted"
        " ticket_rollback yet (1 attempt, last: 503; not sent while on hold); on hold since"
        " 2026-11-20T08:00:00Z, by vera, because 'the player disputes it': until its release"
        " nothing is sent and it does not close."
    )
    shown = why_not_closed(public(history), now=NOW)
    assert "on hold since 2026-11-20T08:00:00Z: until its release nothing is sent" in shown
    assert "vera" not in shown
    assert "disputes" not in shown


def test_a_closing_that_fell_due_on_hold_says_so():
    due = ticket(
        Status.RESULTED,
        Result.WON,
        close_due_at=NOW - timedelta(hours=1),
        on_hold_at=NOW - timedelta(hours=2),
    )

    assert explanation(due, ()) == (
        "resulted (won); it was due to close at 2026-11-20T09:00:00Z, 1h ago, but it does not close"
        " while it is on hold; on hold since 2026-11-20T08:00:00Z: until its release nothing is"
        " sent and it does not close."
    )


def test_a_result_that_is_not_wanted_says_since_when_the_clock_runs():
    """Rule 27."""
    won = ticket(Status.RESULTED, Result.WON, close_due_at=NOW + timedelta(hours=23))
    ended = notice(
        head=False,
        unwanted=True,
        ended=NoticeEnd.NOT_WANTED,
        ended_at=NOW - timedelta(hours=1),
        reason="the partner does not want it",
    )

    assert explanation(won, (ended,)) == (
        "resulted (won); closes at 2026-11-21T09:00:00Z (in 23h), 24h after the turn of ticket_win,"
        " which the partner does not want, at 2026-11-20T09:00:00Z."
    )


def test_what_is_not_wanted_is_never_said_to_be_sent():
    rolled_back = notice(Action.ROLLBACK, attempts=(attempt(503),))
    lost = notice(Action.LOST, number=2, generation=2, head=False, unwanted=True)
    waiting = ticket(Status.RESULTED, Result.LOST, generation=2)
    held = replace(waiting, on_hold_at=NOW)

    assert "waiting behind it: ticket_lost (not wanted, so never sent); the close delay" in (
        explanation(waiting, (rolled_back, lost))
    )
    assert (
        "ticket_lost, which the partner does not want, ends with the ticket's release without being"
        " sent; the close delay of 24h has not started"
    ) in explanation(held, (lost,))
