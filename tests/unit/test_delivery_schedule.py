"""When the delivery loop polls, waits and ends: each case of its schedule."""

from datetime import timedelta
from typing import Any

import pytest

from worker.delivery.schedule import (
    POLL_SECONDS,
    RETRY_PAUSES,
    DeliverySchedule,
    Done,
    FinishRecording,
    NextAction,
    OpenWork,
    Wait,
    after_failure,
    after_poll,
    after_recording,
    is_poll_due,
    next_action,
    start,
    stop,
)

NOW = 100.0
ENDS_AT = 120.0
NEXT_POLL = NOW + 0.2
RETRY = NOW + 0.05

CALLS = OpenWork(calls=3)
RECORDING = OpenWork(recording=True)
RESULTS = OpenWork(results=True)
NOTHING = OpenWork()


def schedule(**fields: object) -> DeliverySchedule:
    """A run that has just polled."""
    polled: dict[str, Any] = {"ends_at": ENDS_AT, "next_poll_at": NEXT_POLL}
    return DeliverySchedule(**(polled | fields))


@pytest.mark.parametrize(
    ("fields", "due"),
    [
        ({}, False),
        ({"next_poll_at": NOW}, True),
        ({"poll_requested": True}, True),
        ({"poll_requested": True, "database_retry_at": RETRY}, False),
        ({"next_poll_at": NOW, "database_retry_at": RETRY}, False),
        ({"next_poll_at": NOW, "database_retry_at": NOW}, True),
        ({"poll_requested": True, "stopping": True}, True),  # it publishes what is in flight
        ({"poll_requested": True, "ends_at": NOW}, True),  # a run polls at least once
    ],
)
def test_a_poll_is_due_when_requested_or_after_its_interval(fields, due):
    assert is_poll_due(schedule(**fields), NOW) is due


@pytest.mark.parametrize(
    ("fields", "work", "action"),
    [
        # Nothing is open: the run ends, unless more may be due.
        ({}, NOTHING, Done(more=False)),
        ({"stopping": True}, NOTHING, Done(more=False)),
        ({"poll_requested": True}, NOTHING, Wait(NOW)),
        ({"poll_requested": True, "stopping": True}, NOTHING, Done(more=False)),
        ({"more_due_soon": True}, NOTHING, Wait(NEXT_POLL)),
        ({"more_due_soon": True, "stopping": True}, NOTHING, Done(more=False)),
        ({"last_claim_was_full": True}, NOTHING, Done(more=False)),
        # Calls are open: wait for responses, but not beyond the next poll or the end of the run.
        ({}, CALLS, Wait(NEXT_POLL)),
        ({"next_poll_at": ENDS_AT + 1}, CALLS, Wait(ENDS_AT)),
        ({"poll_requested": True}, CALLS, Wait(NOW)),
        ({"stopping": True}, CALLS, Wait(ENDS_AT)),
        ({"stopping": True, "poll_requested": True}, CALLS, Wait(ENDS_AT)),
        # Results wait: they are recorded at once, unless a batch is being recorded.
        ({}, RESULTS, Wait(NOW)),
        ({"stopping": True}, RESULTS, Wait(NOW)),
        ({}, RECORDING, Wait(NEXT_POLL)),
        # The database is unavailable: responses are collected, and nothing ends.
        (
            {"database_failures": 1, "database_retry_at": RETRY, "poll_requested": True},
            NOTHING,
            Wait(RETRY),
        ),
        ({"database_failures": 1, "database_retry_at": RETRY}, RESULTS, Wait(RETRY)),
        ({"database_failures": 1, "database_retry_at": ENDS_AT + 1}, CALLS, Wait(ENDS_AT)),
        ({"database_failures": 1}, NOTHING, Wait(NEXT_POLL)),
        ({"database_failures": 1, "stopping": True}, NOTHING, Done(more=False)),
        # The time of the run is over.
        ({"ends_at": NOW}, NOTHING, Done(more=False)),
        ({"ends_at": NOW}, CALLS, Done(more=True)),
        ({"ends_at": NOW}, RESULTS, Done(more=True)),
        ({"ends_at": NOW}, RECORDING, FinishRecording()),
        ({"ends_at": NOW, "database_retry_at": RETRY}, RECORDING, Done(more=True)),
        ({"ends_at": NOW, "poll_requested": True}, NOTHING, Done(more=True)),
        ({"ends_at": NOW, "more_due_soon": True}, NOTHING, Done(more=True)),
    ],
)
def test_what_to_do_after_the_poll(fields: dict[str, Any], work: OpenWork, action: NextAction):
    assert next_action(schedule(**fields), work, NOW) == action


@pytest.mark.parametrize(
    ("again_in", "next_poll_at", "more_due_soon"),
    [
        (None, NOW + POLL_SECONDS, False),
        (timedelta(0), NOW + 0.01, True),
        (timedelta(seconds=0.1), NOW + 0.11, True),
        (timedelta(seconds=0.9), NOW + POLL_SECONDS, True),
    ],
)
def test_a_poll_plans_the_next_one(again_in, next_poll_at, more_due_soon):
    """The interval counts from its beginning, what it says of later from its end."""
    before = schedule(poll_requested=True, database_failures=2, next_poll_at=0.0)

    after = after_poll(before, began_at=NOW, now=NOW + 0.01, full=True, again_in=again_in)

    assert after == schedule(
        next_poll_at=pytest.approx(next_poll_at),
        more_due_soon=more_due_soon,
        last_claim_was_full=True,
    )


@pytest.mark.parametrize("full", [True, False])
@pytest.mark.parametrize("recorded", [True, False])
@pytest.mark.parametrize("all_delivered", [True, False])
def test_recorded_results_and_free_places_call_for_a_poll(full, recorded, all_delivered):
    """A failure must be recorded first: its circuit may stop further claims."""
    after = after_recording(
        schedule(last_claim_was_full=full), recorded=recorded, all_delivered=all_delivered
    )

    assert after.poll_requested is (recorded or (full and all_delivered))


def test_the_pauses_while_the_database_is_unavailable_grow_and_then_stay():
    waiting = schedule()
    pauses = []
    for _ in range(6):
        waiting = after_failure(waiting, NOW)
        pauses.append(timedelta(seconds=waiting.database_retry_at - NOW))
        assert waiting.poll_requested

    assert waiting.database_failures == 6
    assert [round(pause / timedelta(seconds=1), 3) for pause in pauses] == [
        0.1, 0.3, 1.0, 3.0, 3.0, 3.0,
    ]  # fmt: skip
    assert len(RETRY_PAUSES) == 4


def test_a_poll_that_succeeds_starts_the_pauses_again():
    failed = after_failure(after_failure(schedule(), NOW), NOW)

    after = after_poll(failed, began_at=NOW + 1, now=NOW + 1, full=False, again_in=None)

    assert after.database_failures == 0


def test_stopping_sets_the_end_once_and_a_new_run_sets_it_again():
    stopping = stop(schedule(), ends_at=NOW + 5)

    assert stop(stopping, ends_at=NOW + 9) == stopping == schedule(ends_at=NOW + 5, stopping=True)
    assert start(stopping, ends_at=NOW) == schedule(ends_at=NOW)


def test_a_new_run_keeps_what_the_last_one_knew():
    """Among it when the database may be used again."""
    failed = after_failure(schedule(last_claim_was_full=True), NOW)

    assert start(failed, ends_at=NOW + 50) == DeliverySchedule(
        ends_at=NOW + 50,
        poll_requested=True,
        last_claim_was_full=True,
        next_poll_at=NEXT_POLL,
        database_retry_at=failed.database_retry_at,
        database_failures=1,
    )
