"""How many notices of an operator may be claimed: cap, rate, and the minute after a circuit closed.

design.md 5.4; issue: `--rate` and `--in-flight` per operator, ramped up over a minute.
"""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.outbox.rate_limit import PartnerLimits

NOW = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)
GATE = PartnerLimits(
    operator=1,
    cap=32,
    rate=None,
    others=0,
    closed_at=None,
    probe_at=None,
    probe_youngest=False,
    tokens=0.0,
    tokens_at=None,
)


def seconds(count: float) -> timedelta:
    return timedelta(seconds=count)


def free(gate: PartnerLimits, *, calls: int = 0, now: datetime = NOW) -> int:
    return gate.quota(calls=calls, now=now).free


@pytest.mark.parametrize(
    ("calls", "others", "left"), [(0, 0, 32), (10, 0, 22), (10, 20, 2), (10, 22, 0), (40, 9, 0)]
)
def test_all_deliverers_together_keep_to_the_cap(calls, others, left):
    assert free(replace(GATE, others=others), calls=calls) == left


@pytest.mark.parametrize(
    ("since", "cap"), [(0, 4), (6, 4), (15, 8), (30, 16), (59, 32), (60, 32), (9999, 32)]
)
def test_after_a_circuit_closed_the_cap_grows_over_a_minute(since, cap):
    assert free(replace(GATE, closed_at=NOW - seconds(since))) == cap


def test_a_cap_of_one_is_one_from_the_beginning():
    assert free(replace(GATE, cap=1, closed_at=NOW)) == 1


@pytest.mark.parametrize(("since", "rate"), [(0, 10.0), (30, 50.0), (60, 100.0), (9999, 100.0)])
def test_after_a_circuit_closed_the_rate_grows_over_a_minute(since, rate):
    gate = replace(GATE, rate=100.0, closed_at=NOW - seconds(since))

    assert gate.quota(calls=0, now=NOW).rate == rate


def test_a_quarter_of_a_second_s_worth_goes_out_at_once():
    gate = replace(GATE, rate=40.0)

    assert free(gate) == 10
    assert free(replace(gate, tokens=0.0, tokens_at=NOW - seconds(3600))) == 10


def test_the_slowest_rate_lets_one_go():
    assert free(replace(GATE, rate=0.001)) == 1


def test_tokens_come_back_with_time():
    gate = replace(GATE, rate=40.0, tokens=0.5, tokens_at=NOW)

    assert [free(gate, now=NOW + seconds(s)) for s in (0, 0.01, 0.0125, 0.1, 0.2)] == [
        0, 0, 1, 4, 8,
    ]  # fmt: skip


def test_a_clock_that_was_set_back_gives_no_tokens_and_takes_none():
    gate = replace(GATE, rate=40.0, tokens=3.0, tokens_at=NOW + seconds(60))

    assert free(gate) == 3


def test_the_cap_holds_under_a_rate_too():
    assert free(replace(GATE, rate=1000.0, cap=5), calls=3) == 2


def test_it_says_when_the_rate_lets_the_next_one_go():
    allowance = replace(GATE, rate=40.0).quota(calls=0, now=NOW)

    assert allowance.left(10) == 0
    assert allowance.until_next(10) == seconds(1 / 40)
    assert allowance.until_next(9) is None, "the tenth was not due"


def test_without_a_rate_nothing_is_held_back():
    allowance = GATE.quota(calls=0, now=NOW)

    assert allowance.left(32) is None
    assert allowance.until_next(32) is None


def test_while_a_circuit_is_open_only_its_probe_goes_and_only_when_it_is_time():
    """Whatever is in flight: a partner that hangs must not hang its own probe up."""
    gate = replace(GATE, probe_at=NOW, others=40)

    early, in_time = gate.quota(calls=9, now=NOW - seconds(1)), gate.quota(calls=9, now=NOW)

    assert (early.is_probe, early.free) == (True, 0)
    assert (in_time.is_probe, in_time.free) == (True, 1)


@given(
    st.floats(min_value=0.01, max_value=1000),
    st.lists(st.floats(min_value=0, max_value=5), min_size=1, max_size=60),
)
def test_in_any_time_no_more_goes_than_the_rate_and_one_bucket(rate, pauses):
    """By however many deliverers: they share the bucket."""
    gate, now, sent = replace(GATE, rate=rate, cap=10_000), NOW, 0
    for pause in pauses:
        now += seconds(pause)
        allowance = gate.quota(calls=0, now=now)
        sent += allowance.free
        gate = replace(gate, tokens=allowance.left(allowance.free) or 0.0, tokens_at=now)

    passed = (now - NOW).total_seconds() - pauses[0]  # the bucket was full at the first
    assert sent <= passed * rate + max(1.0, rate / 4) + 0.001
