"""What opens a partner's circuit, what closes it, and when it is probed (decision 0008)."""

from dataclasses import replace
from datetime import timedelta

import pytest

from models.outbox.circuit import PROBE_INTERVAL, REFUSALS_MAX, CircuitState
from models.outbox.values import (
    Attempt,
    Dead,
    Delivered,
    RetryLater,
    TokenTrouble,
    Unanswered,
    Verdict,
)
from models.vocabulary import SENT_ONCE, Action
from tests.support.sample_notice import NOW, WIN

MOMENT = timedelta(microseconds=1)
TOOK = timedelta(milliseconds=50)
MINUTE = timedelta(minutes=1)
AGAIN = RetryLater(MINUTE)
REFUSED = Dead("answered 404")
OUT_OF_TIME = Dead("not taken within 48 h", out_of_time=True)


@pytest.fixture
def circuit() -> CircuitState:
    return CircuitState(1)


@pytest.fixture
def opened() -> CircuitState:
    """A circuit that was opened at NOW."""
    made = CircuitState(1)
    made.open("answered 401", now=NOW)
    return made


def attempt(
    verdict: Verdict,
    status: int | None = None,
    *,
    action: Action = Action.WIN,
    after: timedelta = -TOOK,
) -> Attempt:
    """Claimed so long *after* NOW."""
    claim = replace(WIN, action=action, claimed_at=NOW + after)
    problem = None if status is None else f"answered {status}"
    return Attempt(claim, verdict, TOOK, http_status=status, problem=problem)


def probe(verdict: Verdict, status: int | None = None) -> Attempt:
    return attempt(verdict, status, after=PROBE_INTERVAL)


def fail(circuit: CircuitState, *attempts: Attempt) -> list[Verdict]:
    return [circuit.on_failure(attempt, now=NOW).verdict for attempt in attempts]


def test_the_tenth_refusal_in_a_row_opens_it_and_is_none(circuit):
    verdicts = fail(circuit, *[attempt(REFUSED, 404)] * 11)

    assert verdicts == [REFUSED] * 9 + [RetryLater(PROBE_INTERVAL)] * 2
    assert circuit.is_open
    assert circuit.reason == "refused 10 notices in a row; the last: answered 404"


@pytest.mark.parametrize("action", [Action.WIN, Action.CREATE])
@pytest.mark.parametrize("verdict", [AGAIN, OUT_OF_TIME], ids=repr)
def test_without_a_token_it_opens_whatever_should_be_sent_and_says_why(circuit, action, verdict):
    missing = replace(
        attempt(verdict, action=action),
        problem="the token endpoint https://id.example/ answered 401",
        token_trouble=TokenTrouble.MISSING,
    )

    (kept,) = fail(circuit, missing)

    assert circuit.is_open
    assert circuit.reason == "the token endpoint https://id.example/ answered 401"
    assert isinstance(kept, RetryLater) or action in SENT_ONCE


def test_a_401_that_a_new_token_makes_up_for_does_not_open_it(circuit, opened):
    renewed = replace(attempt(RetryLater(timedelta()), 401), token_trouble=TokenTrouble.RENEWED)

    assert fail(circuit, *[renewed] * 32) == [RetryLater(timedelta())] * 32
    assert circuit == CircuitState(1)
    fail(opened, replace(renewed, claim=probe(AGAIN).claim))
    assert opened.is_open
    assert opened.probe_at == NOW + 2 * PROBE_INTERVAL


def test_a_success_in_between_restarts_the_row(circuit):
    fail(circuit, *[attempt(REFUSED, 404)] * 9)
    circuit.on_success(attempt(Delivered(), 200), now=NOW)

    assert fail(circuit, *[attempt(REFUSED, 404)] * 9) == [REFUSED] * 9
    assert not circuit.is_open


def test_a_temporary_failure_neither_counts_nor_restarts_the_row(circuit):
    """In a row means without a success."""
    fail(circuit, *[attempt(REFUSED, 404)] * 9, attempt(RetryLater(TOOK), 503))
    assert not circuit.is_open

    fail(circuit, attempt(REFUSED, 404))

    assert circuit.is_open


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize("action", [action for action in Action if action not in SENT_ONCE])
def test_every_401_and_403_opens_it(circuit, status, action):
    fail(circuit, attempt(RetryLater(TOOK), status, action=action))

    assert circuit.is_open
    assert circuit.reason == f"answered {status}"
    assert circuit.probe_at == NOW + PROBE_INTERVAL


@pytest.mark.parametrize("status", [401, 403])
def test_a_wallet_that_says_in_its_body_what_became_of_the_call_let_us_in(circuit, status):
    fail(circuit, replace(attempt(RetryLater(TOOK), status), remarks={"code": 999}))
    assert not circuit.is_open

    fail(circuit, replace(attempt(RetryLater(TOOK), status), remarks={"by_proxy": True}))
    assert circuit.is_open


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize("action", sorted(SENT_ONCE))
@pytest.mark.parametrize("verdict", [REFUSED, RetryLater(TOOK)], ids=repr)
def test_a_create_that_is_not_let_in_proves_nothing(circuit, status, action, verdict):
    """It may be about the player; the discard that follows shows whether it is about us."""
    fail(circuit, attempt(verdict, status, action=action))
    assert not circuit.is_open

    fail(circuit, attempt(RetryLater(TOOK), status, action=Action.DISCARD))

    assert circuit.is_open


def test_a_success_with_such_a_status_does_not(circuit):
    """A wallet's word stands in its body, whatever the status."""
    circuit.on_success(attempt(Delivered(), 403), now=NOW)

    assert not circuit.is_open


@pytest.mark.parametrize("action", [Action.CREATE, Action.RESERVE])
def test_a_refused_create_is_an_answer_and_proves_nothing(circuit, action):
    """Ten players without money are no reason to stop."""
    verdicts = fail(circuit, *[attempt(Dead("answered 402"), 402, action=action)] * 20)

    assert verdicts == [Dead("answered 402")] * 20
    assert circuit.is_healthy


def test_what_dies_of_its_age_is_no_refusal(circuit):
    assert fail(circuit, *[attempt(OUT_OF_TIME, 503)] * 20) == [OUT_OF_TIME] * 20
    assert circuit.is_healthy


def test_nothing_dies_while_it_is_open(opened):
    in_doubt = replace(OUT_OF_TIME, perhaps_delivered=True)
    verdicts = fail(
        opened, attempt(REFUSED, 404), attempt(OUT_OF_TIME), attempt(in_doubt), probe(in_doubt)
    )

    again, unanswered = RetryLater(PROBE_INTERVAL), Unanswered(PROBE_INTERVAL)
    assert verdicts == [again, again, unanswered, unanswered]


def test_a_create_that_fails_meanwhile_has_its_answer_all_the_same(opened):
    """Rule 10: it is never sent again, so there is nothing to spare."""
    refused = attempt(Dead("answered 402"), 402, action=Action.CREATE)

    assert fail(opened, refused) == [Dead("answered 402")]


def test_a_probe_that_succeeds_closes_it(opened):
    later = NOW + PROBE_INTERVAL + TOOK
    opened.on_success(probe(Delivered(), 200), now=later)

    assert (opened.is_open, opened.closed_at, opened.probe_at) == (False, later, None)
    assert opened.is_healthy


def test_a_success_of_before_it_opened_closes_nothing(opened):
    """The secret was changed meanwhile: the other calls in flight prove nothing."""
    opened.changed = False
    opened.on_success(attempt(Delivered(), 200, after=timedelta()), now=NOW + TOOK)

    assert opened.is_open
    assert not opened.changed


@pytest.mark.parametrize(
    "verdict", [RetryLater(TOOK), Unanswered(TOOK), REFUSED, OUT_OF_TIME], ids=repr
)
def test_the_next_probe_goes_an_interval_after_a_failed_one(opened, verdict):
    opened.probe_at = NOW + timedelta(seconds=40)  # as its claim left it: had it been lost
    opened.on_failure(probe(verdict), now=NOW + PROBE_INTERVAL + TOOK)

    assert opened.probe_at == NOW + 2 * PROBE_INTERVAL


def test_a_probe_that_took_longer_than_the_interval_is_followed_at_once(opened):
    late = NOW + 3 * PROBE_INTERVAL
    opened.on_failure(probe(Unanswered(TOOK)), now=late)

    assert opened.probe_at == late


def test_failures_of_before_it_opened_do_not_move_the_probe(opened):
    fail(opened, *[attempt(Unanswered(TOOK))] * 30)

    assert opened.probe_at == NOW + PROBE_INTERVAL


def test_after_a_refused_probe_the_other_end_is_tried(opened):
    """Old tickets that a partner will never know must not cut off the new ones."""
    turns = []
    for verdict in (RetryLater(TOOK), REFUSED, REFUSED, REFUSED, Unanswered(TOOK), REFUSED):
        opened.on_failure(probe(verdict), now=NOW + PROBE_INTERVAL)
        turns.append(opened.probe_youngest)

    assert turns == [False, True, False, True, False, True]


def test_it_keeps_the_first_reason(opened):
    fail(opened, attempt(RetryLater(TOOK), 403))
    opened.open("20 attempts in a row led to nothing", now=NOW + MOMENT)

    assert (opened.reason, opened.opened_at) == ("answered 401", NOW)


def test_beside_the_first_reason_it_keeps_what_the_last_probe_met(opened):
    """The partner may be in other trouble by now, and the advice follows the last one."""
    reasons = []
    for status in (401, 502, 301, 301):
        fail(opened, probe(RetryLater(TOOK), status))
        reasons.append(opened.reason)

    assert reasons == [
        "answered 401",
        "answered 401; the last: answered 502",
        "answered 401; the last: answered 301",
        "answered 401; the last: answered 301",
    ]


def test_what_was_sent_before_it_opened_explains_nothing(opened):
    fail(opened, attempt(RetryLater(TOOK), 502))

    assert opened.reason == "answered 401"


def test_one_that_opens_again_forgets_when_it_was_closed(opened):
    """Else what was postponed before would be due."""
    opened.on_success(probe(Delivered(), 200), now=NOW + PROBE_INTERVAL)
    opened.open("answered 403", now=NOW + 2 * PROBE_INTERVAL)

    assert opened.is_open
    assert opened.closed_at is None


def test_a_row_restarts_when_it_closes(opened):
    opened.on_success(probe(Delivered(), 200), now=NOW + PROBE_INTERVAL)

    assert fail(opened, *[attempt(REFUSED, 404)] * (REFUSALS_MAX - 1)) == [REFUSED] * 9


def test_a_calm_one_is_not_changed_by_what_changes_nothing(circuit):
    circuit.on_success(attempt(Delivered(), 200), now=NOW)
    fail(circuit, attempt(RetryLater(TOOK), 503), attempt(Unanswered(TOOK)))

    assert not circuit.changed


# --- `Retry-After`: the probe waits as long as the partner asked for ------------------------------


@pytest.fixture
def stored() -> CircuitState:
    """A circuit that was opened at NOW, and stored since."""
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
def test_the_first_probe_waits_as_long_as_the_last_responses_asked_for(stored, status):
    """From the response on, whatever was recorded when, and in whichever order."""
    for retry_after in (MINUTE, 2 * MINUTE, MINUTE):
        stored.on_failure(busy(retry_after=retry_after, status=status), now=NOW + TOOK)

    assert stored.probe_at == NOW + 2 * MINUTE
    assert stored.changed


def test_the_next_probe_waits_as_long_as_the_response_before_asked_for(stored):
    """The newest word of the partner is the one that counts."""
    stored.on_failure(busy(retry_after=10 * MINUTE), now=NOW)
    probe = busy(after=10 * MINUTE)

    stored.on_failure(probe, now=NOW + 10 * MINUTE + TOOK)

    assert stored.probe_at == NOW + 10 * MINUTE + TOOK + MINUTE


def test_less_than_the_interval_brings_no_probe_forward(stored):
    stored.on_failure(busy(retry_after=timedelta(seconds=1)), now=NOW)

    assert stored.probe_at == NOW + PROBE_INTERVAL
    assert not stored.changed


@pytest.mark.parametrize("verdict", [Unanswered(MINUTE), Dead("answered 404")], ids=repr)
def test_who_asks_for_nothing_has_the_interval(stored, verdict):
    stored.on_failure(replace(busy(retry_after=timedelta()), verdict=verdict), now=NOW)

    assert stored.probe_at == NOW + PROBE_INTERVAL


@pytest.mark.parametrize("status", [401, 403])
def test_a_partner_that_locked_us_out_is_probed_every_interval(stored, status):
    """What waits goes out within a minute of the right secret."""
    stored.on_failure(busy(retry_after=120 * MINUTE, status=status), now=NOW)

    assert stored.probe_at == NOW + PROBE_INTERVAL


def test_a_closed_circuit_is_not_touched():
    """Of a partner that is well each notice waits for itself."""
    circuit = CircuitState(1)
    circuit.on_failure(busy(), now=NOW)

    assert (circuit.probe_at, circuit.changed) == (None, False)


def test_a_success_closes_it_whatever_pause_was_asked_for_before(stored):
    stored.on_failure(busy(retry_after=10 * MINUTE), now=NOW)
    later = NOW + 10 * MINUTE
    stored.on_success(replace(busy(after=10 * MINUTE), verdict=Delivered()), now=later)

    assert (stored.is_open, stored.probe_at) == (False, None)
