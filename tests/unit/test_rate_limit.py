"""How many notices of an operator may be claimed: cap, rate, and the minute after a circuit closed.

`--rate` and `--in-flight` per operator, ramped up over a minute.
"""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.outbox.rate_limit import PartnerLimits

NOW = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)
LIMITS = PartnerLimits(
    operator=1,
    in_flight_max=32,
    rate=None,
    calls_elsewhere=0,
    closed_at=None,
    probe_at=None,
    probe_youngest=False,
    tokens=0.0,
    tokens_at=None,
)


def seconds(count: float) -> timedelta:
    return timedelta(seconds=count)


def free(limits: PartnerLimits, *, calls: int = 0, now: datetime = NOW) -> int:
    return limits.quota(calls=calls, now=now).free


@pytest.mark.parametrize(
    ("calls", "calls_elsewhere", "left"),
    [(0, 0, 32), (10, 0, 22), (10, 20, 2), (10, 22, 0), (40, 9, 0)],
)
def test_all_deliverers_together_keep_to_the_cap(calls, calls_elsewhere, left):
    assert free(replace(LIMITS, calls_elsewhere=calls_elsewhere), calls=calls) == left


@pytest.mark.parametrize(
    ("since", "cap"), [(0, 4), (6, 4), (15, 8), (30, 16), (59, 32), (60, 32), (9999, 32)]
)
def test_after_a_circuit_closed_the_cap_grows_over_a_minute(since, cap):
    assert free(replace(LIMITS, closed_at=NOW - seconds(since))) == cap


def test_a_cap_of_one_is_one_from_the_beginning():
    assert free(replace(LIMITS, in_flight_max=1, closed_at=NOW)) == 1


@pytest.mark.parametrize(("since", "rate"), [(0, 10.0), (30, 50.0), (60, 100.0), (9999, 100.0)])
def test_after_a_circuit_closed_the_rate_grows_over_a_minute(since, rate):
    limits = replace(LIMITS, rate=100.0, closed_at=NOW - seconds(since))

    assert limits.quota(calls=0, now=NOW).rate == rate


def test_a_quarter_of_a_second_s_worth_goes_out_at_once():
    limits = replace(LIMITS, rate=40.0)

    assert free(limits) == 10
    assert free(replace(limits, tokens=0.0, tokens_at=NOW - seconds(3600))) == 10


def test_the_slowest_rate_lets_one_go():
    assert free(replace(LIMITS, rate=0.001)) == 1


def test_tokens_come_back_with_time():
    limits = replace(LIMITS, rate=40.0, tokens=0.5, tokens_at=NOW)

    assert [free(limits, now=NOW + seconds(s)) for s in (0, 0.01, 0.0125, 0.1, 0.2)] == [
        0, 0, 1, 4, 8,
    ]  # fmt: skip


def test_a_clock_that_was_set_back_gives_no_tokens_and_takes_none():
    limits = replace(LIMITS, rate=40.0, tokens=3.0, tokens_at=NOW + seconds(60))

    assert free(limits) == 3


def test_the_cap_holds_under_a_rate_too():
    assert free(replace(LIMITS, rate=1000.0, in_flight_max=5), calls=3) == 2


def test_it_says_when_the_rate_lets_the_next_one_go():
    quota = replace(LIMITS, rate=40.0).quota(calls=0, now=NOW)

    assert quota.tokens_left(10) == 0
    assert quota.wait_for_next(10) == seconds(1 / 40)
    assert quota.wait_for_next(9) is None, "the tenth was not due"


def test_without_a_rate_nothing_is_held_back():
    quota = LIMITS.quota(calls=0, now=NOW)

    assert quota.tokens_left(32) is None
    assert quota.wait_for_next(32) is None


def test_while_a_circuit_is_open_only_its_probe_goes_and_only_when_it_is_time():
    """Whatever is in flight: a partner that hangs must not hang its own probe up."""
    limits = replace(LIMITS, probe_at=NOW, calls_elsewhere=40)

    early, in_time = limits.quota(calls=9, now=NOW - seconds(1)), limits.quota(calls=9, now=NOW)

    assert (early.is_probe, early.free) == (True, 0)
    assert (in_time.is_probe, in_time.free) == (True, 1)


@given(
    st.floats(min_value=0.01, max_value=1000),
    st.lists(st.floats(min_value=0, max_value=5), min_size=1, max_size=60),
)
def test_in_any_time_no_more_goes_than_the_rate_and_one_bucket(rate, pauses):
    """By however many deliverers: they share the bucket."""
    limits, now, sent = replace(LIMITS, rate=rate, in_flight_max=10_000), NOW, 0
    for pause in pauses:
        now += seconds(pause)
        quota = limits.quota(calls=0, now=now)
        sent += quota.free
        limits = replace(limits, tokens=quota.tokens_left(quota.free) or 0.0, tokens_at=now)

    passed = (now - NOW).total_seconds() - pauses[0]  # the bucket was full at the first
    assert sent <= passed * rate + max(1.0, rate / 4) + 0.001
