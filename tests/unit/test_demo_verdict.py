"""The demo's verdict: it is computed, so every kind of wrong evidence must change it."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from producers.publisher import OutgoingEvent, event
from producers.simulation.partner import LedgerEntry, Respond
from worker.cli.demo.database_stats import DemoCounts
from worker.cli.demo.verdict import Evidence, judge_demo

NOW = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)
DELAY = timedelta(seconds=10)
NAMED = {"operator": "acme", "ticket_id": "T-1"}


def published_events(*actions: str) -> list[OutgoingEvent]:
    return [event(action, NAMED, occurred_at=NOW) for action in actions]


def took(*steps: tuple[str, float]) -> list[LedgerEntry]:
    """Requests that the partner took, each so many seconds after the beginning."""
    return [
        LedgerEntry(
            number=number,
            received_at=NOW + timedelta(seconds=seconds),
            method="POST",
            path="/",
            headers=(),
            body=action.encode(),
            action=action,
            operator="acme",
            ticket_id="T-1",
            idempotency_key=f"acme/T-1/{action}/{number}",
            signature_ok=True,
            behaviour=Respond(),
            taken=True,
            status=200,
            answered_at=NOW + timedelta(seconds=seconds),
        )
        for number, (action, seconds) in enumerate(steps, start=1)
    ]


def counts(events: int, notices: int) -> DemoCounts:
    return DemoCounts(
        tickets={"closed": 1},
        events={"applied": events},
        unreadable=0,
        delivered=notices,
        undelivered=0,
    )


def evidence(published: Sequence[OutgoingEvent], received: Sequence[LedgerEntry]) -> Evidence:
    return Evidence(
        published=published,
        received=received,
        counts=counts(len(published), len(received)),
        left_on_stream=0,
        exits=(),
        close_delay=DELAY,
        seconds=12.3,
    )


RIGHT = evidence(
    published_events("ticket_open", "ticket_win", "ticket_rollback", "ticket_lost"),
    took(("ticket_win", 1), ("ticket_rollback", 3), ("ticket_lost", 4), ("ticket_closed", 14)),
)


def test_a_legal_life_that_is_counted_alike_on_both_sides_is_right():
    verdict = judge_demo(RIGHT)

    assert verdict.kept
    assert verdict.violations == ()
    assert verdict.lives == {"lost": 1, "rolled back to another result": 1}


@pytest.mark.parametrize(
    ("wrong", "broken"),
    [
        (replace(RIGHT, counts=replace(RIGHT.counts, events={"applied": 3})), "was applied"),
        (
            replace(RIGHT, counts=replace(RIGHT.counts, events={"applied": 3, "rejected": 1})),
            "was applied",
        ),
        (replace(RIGHT, left_on_stream=1), "was applied"),
        (replace(RIGHT, published=(), counts=counts(0, 4)), "was applied"),
        (replace(RIGHT, received=RIGHT.received[:3], counts=counts(4, 3)), "exactly one"),
        (
            replace(RIGHT, received=took(*[("ticket_closed", 14)] * 2), counts=counts(4, 2)),
            "a valid sequence",
        ),
        (
            replace(
                RIGHT,
                received=took(
                    *(("ticket_win", 1), ("ticket_rollback", 3)),
                    *(("ticket_lost", 4), ("ticket_closed", 13.9)),
                ),
            ),
            "before 10 s had passed",
        ),
        (
            replace(
                RIGHT,
                received=took(("ticket_win", 1), ("ticket_rollback", 3), ("ticket_closed", 14)),
                counts=counts(4, 3),
            ),
            "after a rollback",
        ),
        (replace(RIGHT, counts=replace(RIGHT.counts, undelivered=1)), "both sides"),
        (replace(RIGHT, counts=replace(RIGHT.counts, delivered=5)), "both sides"),
        (
            replace(
                RIGHT, received=[replace(entry, signature_ok=False) for entry in RIGHT.received]
            ),
            "was signed",
        ),
    ],
)
def test_whatever_is_wrong_turns_the_verdict(wrong, broken):
    verdict = judge_demo(wrong)

    assert not verdict.kept
    assert any(broken in check.promise for check in verdict.checks if not check.kept)
    assert verdict.violations
