"""When the delivery loop polls for due notices, when it waits for responses, and when a run ends.

A frozen value and pure functions, so that every case can be tested by table. All times are readings
of the loop's monotonic clock, in seconds.
"""

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

from models.platform.backoff import Backoff

POLL_SECONDS: Final = 0.25  # between two polls while no wakeup arrives
RETRY_PAUSES: Final = tuple(timedelta(seconds=pause) for pause in (0.1, 0.3, 1.0, 3.0))


@dataclass(frozen=True, slots=True)
class DeliverySchedule:
    """What the loop remembers from one step to the next, and from one run to the next."""

    ends_at: float = 0.0  # the run ends then, even if there is more to do
    stopping: bool = False  # claim nothing more; the run ends when its calls are over
    poll_requested: bool = False  # notices may be due that no poll has seen
    more_due_soon: bool = False  # the last poll left due notices that may go in a moment
    last_claim_was_full: bool = False  # it took all that there was room for: more may be due
    next_poll_at: float = 0.0
    database_retry_at: float = 0.0  # the database is not used before
    database_failures: int = 0  # in a row


@dataclass(frozen=True, slots=True)
class OpenWork:
    """What is unfinished at the moment."""

    calls: int = 0  # in flight
    recording: bool = False  # a batch of results is being recorded
    results: bool = False  # there are results that the next batch will record


@dataclass(frozen=True, slots=True)
class Wait:
    """Wait for responses, but no longer than this."""

    until: float


@dataclass(frozen=True, slots=True)
class FinishRecording:
    """The run is over, but for the batch that is being recorded."""


@dataclass(frozen=True, slots=True)
class Done:
    """The run ends. *more*: there is more to do, so another run is needed."""

    more: bool


NextAction = Wait | FinishRecording | Done


def start(schedule: DeliverySchedule, *, ends_at: float) -> DeliverySchedule:
    """Begin a run that lasts until *ends_at*."""
    return replace(schedule, ends_at=ends_at, stopping=False)


def stop(schedule: DeliverySchedule, *, ends_at: float) -> DeliverySchedule:
    """Claim nothing more, and give open calls until *ends_at*. Stopping again extends nothing."""
    return schedule if schedule.stopping else replace(schedule, ends_at=ends_at, stopping=True)


def may_use_database(schedule: DeliverySchedule, now: float) -> bool:
    """Return whether enough time has passed since the database failed, if it did."""
    return now >= schedule.database_retry_at


def is_poll_due(schedule: DeliverySchedule, now: float) -> bool:
    """Return whether to look for due notices now."""
    if not may_use_database(schedule, now):
        return False
    return schedule.poll_requested or now >= schedule.next_poll_at


def next_action(schedule: DeliverySchedule, work: OpenWork, now: float) -> NextAction:
    """Return what to do once a due poll was made."""
    if _is_done(schedule, work):
        return Done(more=False)
    if now < schedule.ends_at:
        return Wait(min(_wake_at(schedule, work, now), schedule.ends_at))
    if work.recording and may_use_database(schedule, now):
        return FinishRecording()
    return Done(more=True)  # the next run records what is left


def after_poll(
    schedule: DeliverySchedule,
    *,
    began_at: float,
    now: float,
    full: bool,
    again_in: timedelta | None,
) -> DeliverySchedule:
    """Plan the next poll. *full*, *again_in*: as `worker.delivery.admission.Admitted` has them."""
    next_poll_at = began_at + POLL_SECONDS
    if again_in is not None:
        next_poll_at = min(next_poll_at, now + again_in.total_seconds())
    return replace(
        schedule,
        poll_requested=False,
        more_due_soon=again_in is not None,
        last_claim_was_full=full,
        next_poll_at=next_poll_at,
        database_failures=0,
    )


def after_recording(
    schedule: DeliverySchedule, *, recorded: bool, all_delivered: bool
) -> DeliverySchedule:
    """Ask for a poll if more may be due now.

    *recorded*: results were recorded, whose followers may be due. *all_delivered*: all results that
    wait are successes. Their calls left room, whether or not they are recorded yet. After a failure
    the circuit must know first, because it may stop further claims.
    """
    if recorded or (schedule.last_claim_was_full and all_delivered):
        return replace(schedule, poll_requested=True)
    return schedule


def after_failure(schedule: DeliverySchedule, now: float) -> DeliverySchedule:
    """Leave the database alone for a while; then poll again."""
    backoff = Backoff(RETRY_PAUSES, failures=schedule.database_failures)
    return replace(
        schedule,
        poll_requested=True,
        database_retry_at=now + backoff.next().total_seconds(),
        database_failures=backoff.failures,
    )


def _is_done(schedule: DeliverySchedule, work: OpenWork) -> bool:
    """Nothing in flight, nothing to record, and nothing due as far as the last poll saw."""
    if work.calls or work.recording or work.results:
        return False
    return schedule.stopping or not (
        schedule.poll_requested or schedule.more_due_soon or schedule.database_failures
    )


def _wake_at(schedule: DeliverySchedule, work: OpenWork, now: float) -> float:
    if not may_use_database(schedule, now):
        return schedule.database_retry_at
    if work.results or (schedule.poll_requested and not schedule.stopping):
        return now
    return schedule.ends_at if schedule.stopping else schedule.next_poll_at
