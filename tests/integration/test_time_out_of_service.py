"""Time in which nothing could be delivered is not time in which a notice was tried.

The retry limit: the 48 h do not count while an operator is disabled, its circuit is open, or
nobody can deliver. No test here writes to the notices that wait, and neither does `enable`.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta

import pytest
from sqlalchemy import text

from models.outbox.values import Claim, Dead, RetryLater
from tests.support.deliverers import AGAIN, Deliverer
from tests.support.harness import Harness
from tests.support.records import Records
from worker.delivery.outcome import RetryPolicy, classify_unsent

SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
WEEKEND = timedelta(hours=64)
NOTHING = timedelta()
A_MOMENT = timedelta(seconds=20)  # in service between the attempt and the outage, in some of them
LIMIT = 48 * HOUR
LONGEST = 2 * HOUR
INTERVAL = timedelta(seconds=15)  # of a circuit's probes
POLICY = RetryPolicy(
    schedule=(10 * SECOND, 30 * SECOND, 2 * MINUTE, 10 * MINUTE, 30 * MINUTE, HOUR, LONGEST),
    jitter=0.2,
    limit=LIMIT,
    discard_interval=30 * MINUTE,
)
ATTEMPTS = 31  # of a notice whose every attempt is made in time
DISCARDS = 97
LATE_MAX = 100  # pauses that are left out because their end was late

BEFORE_UPGRADE = text("""
    UPDATE notice
       SET tries = 8, first_tried_at = :first, postponed_at = :postponed, due_at = :due""")


@dataclass
class Tried:
    """A notice that its partner never takes, as a deliverer sees it."""

    harness: Harness
    deliverer: Deliverer
    records: Records
    pauses: list[timedelta] = field(default_factory=list)  # after each attempt so far
    is_dead: bool = False

    def claim(self) -> Claim:
        (claim,) = self.deliverer.claim()
        return claim

    def fail(self, *, chance: float = 0) -> None:
        """Make the attempt that is due, in vain."""
        self.record(self.claim(), chance=chance)

    def record(self, claim: Claim, *, chance: float = 0) -> None:
        self.deliverer.admission.in_flight.ended(claim.operator)
        attempt = classify_unsent(claim, "503", policy=POLICY, chance=chance)
        self.harness.record_attempts(attempt)
        match attempt.verdict:
            case RetryLater(pause):
                self.pauses.append(pause)
            case Dead(out_of_time=True):
                assert self.records.notice(1).ended == "dead"
                self.is_dead = True
            case other:
                raise AssertionError(f"{other} of an attempt in vain")

    def fail_for(self, at_least: timedelta, *, chance: float = 0) -> None:
        """Try in vain, always in time, until so much is paused; the last pause is not over."""
        self.fail(chance=chance)
        while sum(self.pauses, NOTHING) < at_least:
            self.harness.wait(self.pauses[-1])
            self.fail(chance=chance)

    def fail_until_dead(self, *, late: timedelta = NOTHING, chance: float = 0) -> None:
        """Go on in vain, each attempt *late*, until the notice is given up."""
        while not self.is_dead:
            self.harness.wait(self.pauses[-1] + late)
            self.fail(chance=chance)


@pytest.fixture
def tried(harness: Harness, records: Records) -> Tried:
    harness.say("ticket_win")
    return Tried(harness, Deliverer(harness), records)


def test_without_an_outage_it_is_given_up_after_48_hours(tried, harness):
    began = harness.now

    tried.fail_for(NOTHING)
    tried.fail_until_dead()

    assert harness.now - began == LIMIT
    assert len(tried.pauses) + 1 == ATTEMPTS


@pytest.mark.parametrize("chance", [0.4, 1.0])
def test_chance_makes_it_later_and_never_sooner(tried, harness, chance):
    began = harness.now

    tried.fail_for(NOTHING, chance=chance)
    tried.fail_until_dead(chance=chance)

    assert LIMIT <= harness.now - began <= LIMIT + 0.2 * LONGEST


# --- whatever was out of service ---


def disabled(tried: Tried) -> None:
    tried.harness.disable()
    tried.harness.wait(WEEKEND)
    assert tried.deliverer.claim() == []
    tried.harness.enable()


def deliverers_away(tried: Tried) -> None:
    """Scaled to zero, or PostgreSQL or Redis is unavailable: no deliverer claims."""
    tried.harness.wait(WEEKEND)


def disabled_twice(tried: Tried) -> None:
    disabled(tried)
    tried.harness.wait(20 * SECOND)
    disabled(tried)


def circuit_open(tried: Tried) -> None:
    """Opened by another notice, probed by this one, closed by a third."""
    _open(tried)
    tried.harness.wait(WEEKEND)
    _probe_in_vain(tried)
    tried.harness.wait(WEEKEND)
    _close(tried)


def circuit_open_while_disabled(tried: Tried) -> None:
    _open(tried)
    tried.harness.wait(HOUR)
    disabled(tried)
    _probe_in_vain(tried)
    tried.harness.wait(HOUR)
    _close(tried)


def deliverers_away_while_the_circuit_is_open(tried: Tried) -> None:
    _open(tried)
    _probe_in_vain(tried)
    deliverers_away(tried)
    _close(tried)
    deliverers_away(tried)


OUTAGES = [
    *(disabled, deliverers_away, disabled_twice),
    *(circuit_open, circuit_open_while_disabled, deliverers_away_while_the_circuit_is_open),
]


@pytest.mark.parametrize("outage", OUTAGES)
@pytest.mark.parametrize("tried_for", [NOTHING, 6 * HOUR, 40 * HOUR, 46 * HOUR, LIMIT])
def test_an_outage_takes_nothing_from_a_notice(
    tried: Tried, harness: Harness, tried_for: timedelta, outage: Callable[[Tried], None]
):
    """What was left of its 48 h is left after it: no first attempt in vain is the last."""
    tried.fail_for(tried_for)
    paused = sum(tried.pauses[:-1], NOTHING)  # the outage begins within the last one
    outage(tried)
    again = harness.now

    tried.fail()
    assert not tried.is_dead
    tried.fail_until_dead()

    assert LIMIT - paused - A_MOMENT <= harness.now - again <= LIMIT - paused + LONGEST
    assert len(tried.pauses) + 1 >= ATTEMPTS


def test_the_time_of_an_open_circuit_is_not_counted_to_the_second(tried, harness):
    """It opens a minute after an attempt: of that pause of two hours a minute counts."""
    tried.fail_for(6 * HOUR)
    paused = sum(tried.pauses[:-1], NOTHING)
    harness.wait(MINUTE)
    circuit_open(tried)

    claim = tried.claim()

    assert claim.claimed_at - claim.first_tried_at == paused + MINUTE


def test_a_result_that_could_not_be_recorded_for_days_counts_as_no_time(tried, harness):
    """PostgreSQL became unavailable during the call to the partner."""
    tried.fail_for(40 * HOUR)
    harness.wait(tried.pauses[-1])
    claim = tried.claim()
    harness.wait(WEEKEND)
    tried.record(claim)
    harness.wait(tried.pauses[-1])

    tried.fail()

    assert not tried.is_dead


def test_who_is_always_late_gets_his_attempts_and_comes_to_an_end(tried, harness):
    """More than the rate allows: each attempt is hours after its time."""
    tried.fail_for(NOTHING)

    tried.fail_until_dead(late=3 * HOUR)

    assert LATE_MAX <= len(tried.pauses) <= LATE_MAX + ATTEMPTS


def test_a_discard_is_tried_all_its_times(harness, records):
    harness.say("ticket_discard")
    tried = Tried(harness, Deliverer(harness), records)
    tried.fail_for(40 * HOUR)
    disabled(tried)
    tried.fail()
    assert not tried.is_dead

    tried.fail_until_dead()

    assert DISCARDS <= len(tried.pauses) + 1 <= DISCARDS + 1


def test_what_the_release_before_left_is_not_dead_by_the_first_attempt(tried, harness):
    """Its operator was disabled over the upgrade."""
    moments = {"first": harness.now - 70 * HOUR, "postponed": harness.now - 64 * HOUR}
    with harness.engine.begin() as connection:
        connection.execute(BEFORE_UPGRADE, {**moments, "due": harness.now - 62 * HOUR})

    claim = tried.claim()
    tried.record(claim)

    assert claim.claimed_at - claim.first_tried_at == 6 * HOUR
    assert not tried.is_dead


def _open(tried: Tried) -> None:
    """Another notice of the same partner is answered 401."""
    tried.harness.say("ticket_win", "other")
    (other,) = [claim for claim in tried.deliverer.claim() if claim.ticket_id == "other"]
    tried.deliverer.answer([other], AGAIN, 401)


def _probe_in_vain(tried: Tried) -> None:
    for _ in range(3):
        tried.harness.wait(INTERVAL)
        (probe,) = tried.deliverer.claim()
        tried.deliverer.answer([probe], AGAIN, 503)


def _close(tried: Tried) -> None:
    """The other notice is the probe that succeeds."""
    while True:
        tried.harness.wait(INTERVAL)
        (probe,) = tried.deliverer.claim()
        if probe.ticket_id == "other":
            tried.deliverer.answer([probe])
            return
        tried.deliverer.answer([probe], AGAIN, 503)
