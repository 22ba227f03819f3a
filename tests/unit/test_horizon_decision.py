"""The horizon of rule 17, decided from one look at the stream."""

from datetime import UTC, datetime, timedelta

import pytest

from worker.sweep.horizon import Look, arrived, decide

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


def id_at(moment: datetime, counter: int = 0) -> str:
    return f"{int(moment.timestamp() * 1000)}-{counter}"


def ago(**span: float) -> str:
    return id_at(NOON - timedelta(**span))


def test_with_nothing_unapplied_the_horizon_is_now():
    assert decide(Look(NOON, None, None)) == NOON


@pytest.mark.parametrize(
    ("pending", "undelivered", "oldest"),
    [
        (ago(seconds=9), None, ago(seconds=9)),
        (None, ago(seconds=4), ago(seconds=4)),
        (ago(seconds=9), ago(seconds=4), ago(seconds=9)),
        (ago(seconds=4), ago(seconds=9), ago(seconds=9)),  # a clock that was set back and forth
    ],
)
def test_the_horizon_lies_just_before_the_oldest_unapplied_entry(pending, undelivered, oldest):
    horizon = decide(Look(NOON, pending, undelivered))

    assert horizon is not None
    assert timedelta() < arrived(oldest) - horizon < timedelta(milliseconds=1)


def test_a_close_due_in_the_very_millisecond_of_a_rollback_waits():
    rollback_at = NOON - timedelta(seconds=1)
    horizon = decide(Look(NOON, None, id_at(rollback_at, counter=7)))

    assert horizon is not None
    assert horizon < rollback_at


def test_an_entry_that_claims_to_come_from_the_future_hides_the_horizon():
    """Its id does not tell when it really arrived, so nothing may be closed while it waits."""
    assert decide(Look(NOON, None, id_at(NOON + timedelta(milliseconds=1)))) is None


def test_ids_are_compared_by_time_and_not_as_text():
    assert arrived("999-0") < arrived("1000-0")
