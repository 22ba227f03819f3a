"""A partner that asks to be left alone (`Retry-After`) is, by the probe of its circuit too.

See decision 0008.
"""

from dataclasses import replace
from datetime import timedelta

import pytest

from models.outbox.circuit import PROBE_INTERVAL, CircuitState
from models.outbox.values import Attempt, Dead, Delivered, RetryLater, Unanswered
from tests.support.sample_notice import NOW, WIN

TOOK = timedelta(milliseconds=50)
MINUTE = timedelta(minutes=1)
AGAIN = RetryLater(MINUTE)


@pytest.fixture
def opened() -> CircuitState:
    """A circuit that was opened at NOW."""
    made = CircuitState(1)
    made.open("20 attempts in a row led to nothing", now=NOW)
    made.changed = False
    return made


def busy(
    *, after: timedelta = -TOOK, retry_after: timedelta = MINUTE, status: int = 503
) -> Attempt:
    """Claimed so long *after* NOW; answered with *retry_after*."""
    claim = replace(WIN, claimed_at=NOW + after)
    return Attempt(claim, AGAIN, TOOK, http_status=status, retry_after=retry_after)


@pytest.mark.parametrize("status", [429, 503])
def test_the_first_probe_waits_as_long_as_the_last_responses_asked_for(opened, status):
    """From the response on, whatever was recorded when, and in whichever order."""
    for retry_after in (MINUTE, 2 * MINUTE, MINUTE):
        opened.on_failure(busy(retry_after=retry_after, status=status), now=NOW + TOOK)

    assert opened.probe_at == NOW + 2 * MINUTE
    assert opened.changed


def test_the_next_probe_waits_as_long_as_the_response_before_asked_for(opened):
    """The newest word of the partner is the one that counts."""
    opened.on_failure(busy(retry_after=10 * MINUTE), now=NOW)
    probe = busy(after=10 * MINUTE)

    opened.on_failure(probe, now=NOW + 10 * MINUTE + TOOK)

    assert opened.probe_at == NOW + 10 * MINUTE + TOOK + MINUTE


def test_less_than_the_interval_brings_no_probe_forward(opened):
    opened.on_failure(busy(retry_after=timedelta(seconds=1)), now=NOW)

    assert opened.probe_at == NOW + PROBE_INTERVAL
    assert not opened.changed


@pytest.mark.parametrize("verdict", [Unanswered(MINUTE), Dead("answered 404")], ids=repr)
def test_who_asks_for_nothing_has_the_interval(opened, verdict):
    opened.on_failure(replace(busy(retry_after=timedelta()), verdict=verdict), now=NOW)

    assert opened.probe_at == NOW + PROBE_INTERVAL


@pytest.mark.parametrize("status", [401, 403])
def test_a_partner_that_locked_us_out_is_probed_every_interval(opened, status):
    """What waits goes out within a minute of the right secret."""
    opened.on_failure(busy(retry_after=120 * MINUTE, status=status), now=NOW)

    assert opened.probe_at == NOW + PROBE_INTERVAL


def test_a_closed_circuit_is_not_touched():
    """Of a partner that is well each notice waits for itself."""
    circuit = CircuitState(1)
    circuit.on_failure(busy(), now=NOW)

    assert (circuit.probe_at, circuit.changed) == (None, False)


def test_a_success_closes_it_whatever_pause_was_asked_for_before(opened):
    opened.on_failure(busy(retry_after=10 * MINUTE), now=NOW)
    later = NOW + 10 * MINUTE
    opened.on_success(replace(busy(after=10 * MINUTE), verdict=Delivered()), now=later)

    assert (opened.is_open, opened.probe_at) == (False, None)
