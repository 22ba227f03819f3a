"""Results are kept with all their text while the database fails and no result is to blame."""

import pytest
from sqlalchemy.exc import DBAPIError

from models.database.errors import UNEXPLAINED_TRIES
from models.outbox.values import Attempt, Delivered, RetryLater
from tests.support.delivery_setup import delivery_settings
from tests.support.harness import TOOK, Harness
from tests.support.manual_clock import ManualClock
from tests.support.poison import refuse_attempts
from tests.support.records import Records
from worker.delivery.recorder import ResultBuffer

FAILING = ["XX000", "XX001", "26000", "25P02", "P0001"]
COUNT = 20


@pytest.fixture
def harness(engine) -> Harness:
    made = Harness(engine, ManualClock())
    made.add_operator()
    made.publish(*(made.event("ticket_win", f"T{number:02}") for number in range(COUNT)))
    return made


@pytest.fixture
def records(engine) -> Records:
    return Records(engine)


@pytest.fixture
def now() -> list[float]:
    return [100.0]


@pytest.fixture
def recorder(engine, harness, now) -> ResultBuffer:
    made = ResultBuffer(
        transaction=engine.begin,
        clock=harness.clock,
        settings=delivery_settings(),
        monotonic=lambda: now[0],
    )
    made.add(attempts(harness))
    return made


def attempts(harness: Harness) -> list[Attempt]:
    """All were taken except one, which failed with its reason."""
    claims = harness.claim()
    assert len(claims) == COUNT
    failed = Attempt(
        claims[7],
        RetryLater(TOOK),
        TOOK,
        http_status=500,
        answer="its text",
        problem="why it failed",
    )
    return [
        *(Attempt(claim, Delivered(), TOOK) for claim in claims if claim is not claims[7]),
        failed,
    ]


@pytest.mark.parametrize("sqlstate", FAILING)
def test_while_all_fail_all_are_kept_and_none_is_changed(
    recorder, records, engine, sqlstate, caplog
):
    heal = refuse_attempts(engine, sqlstate=sqlstate)
    for _ in range(3 * UNEXPLAINED_TRIES):
        with pytest.raises(DBAPIError):
            recorder.flush()
        assert len(recorder) == recorder.waiting == COUNT

    heal()
    counts = recorder.flush()

    assert counts == {"delivered": COUNT - 1, "again": 1}
    (failed,) = [row for row in records.attempts() if row.verdict == "again"]
    assert (failed.answer, failed.problem) == ("its text", "why it failed")
    assert caplog.messages == []


@pytest.mark.parametrize("sqlstate", FAILING)
def test_one_that_fails_alone_holds_up_no_other_and_is_recorded_whole_later(
    recorder, records, engine, now, sqlstate
):
    heal = refuse_attempts(engine, "NEW.answer = 'its text'", sqlstate=sqlstate)
    for _ in range(UNEXPLAINED_TRIES):
        with pytest.raises(DBAPIError):
            recorder.flush()
    others = recorder.flush()
    recorder.refresh()

    assert others == {"delivered": COUNT - 1}
    assert (len(recorder), recorder.waiting) == (1, 0)

    heal()
    now[0] += 11
    recorder.refresh()

    assert recorder.flush() == {"again": 1}
    (failed,) = [row for row in records.attempts() if row.verdict == "again"]
    assert (failed.answer, failed.problem) == ("its text", "why it failed")
