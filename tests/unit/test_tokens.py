"""When a token is used, fetched, renewed early and dropped; time and chance are given."""

from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest

from models.access.values import ClientCredentials
from worker.delivery.token_endpoint import Granted, NotGranted, TokenOutcome
from worker.delivery.tokens import (
    PAUSES,
    RETRY_AFTER_MAX,
    Awaited,
    NoToken,
    TokenState,
    Usable,
    after_call,
    after_response,
    fetching,
    look_up,
)

HOUR = timedelta(hours=1)
MINUTE_SECONDS = 60.0
BEGAN = 100.0
NEW = TokenState(ClientCredentials("https://id.example/token", "us", "canary-secret-7Hq"))
REFUSED = NotGranted("answered 401", TokenOutcome.REFUSED)


def granted(
    state: TokenState = NEW,
    *,
    token: str = "canary-token-7Hq",
    lifetime: timedelta = HOUR,
    at: float = BEGAN,
    chance: float = 0.0,
) -> TokenState:
    met = Granted(token, lifetime)
    return after_call(fetching(state), met, began_at=at, now=at + 1, chance=chance)


def failed(state: TokenState, *, at: float, **more: object) -> TokenState:
    given: dict[str, Any] = {"chance": 0.0, **more}
    return after_call(fetching(state), REFUSED, began_at=at - 1, now=at, **given)


def proven(state: TokenState) -> TokenState:
    assert state.token is not None
    return after_response(state, state.token.number, 200, sent_once=False, now=0.0)[0]


def test_the_first_notice_fetches_and_the_next_ones_wait_for_the_same_call():
    assert look_up(NEW, BEGAN) == Awaited(fetches=True)
    assert look_up(fetching(NEW), BEGAN) == Awaited(fetches=False)


def test_a_token_is_used_then_renewed_while_it_is_used_then_over():
    """Counted from the beginning of its call: nobody knows when the endpoint began to count."""
    state = granted()
    assert state.token is not None

    assert look_up(state, BEGAN + 0.74 * 3600) == Usable(state.token)
    assert look_up(state, BEGAN + 0.76 * 3600) == Usable(state.token, renews=True)
    assert look_up(fetching(state), BEGAN + 0.76 * 3600) == Usable(state.token)
    assert look_up(state, BEGAN + 3600 - 11) == Usable(state.token, renews=True)
    assert look_up(state, BEGAN + 3600 - 9) == Awaited(fetches=True)


def test_many_processes_do_not_renew_at_the_same_moment():
    moments = [granted(chance=step / 10).token for step in range(11)]
    renewals = [token.renew_at for token in moments if token is not None]

    assert renewals[0] == BEGAN + 0.75 * 3600
    assert renewals[-1] == pytest.approx(BEGAN + 0.9 * 3600)
    assert all(before < after for before, after in pairwise(renewals))


def test_a_short_lifetime_has_a_short_margin():
    state = granted(lifetime=timedelta(seconds=10))
    assert state.token is not None

    assert (state.token.renew_at, state.token.ends_at) == (BEGAN + 7.5, BEGAN + 9.0)


def test_a_failed_call_is_not_repeated_at_once_and_the_pauses_grow_until_a_success():
    state, now = NEW, BEGAN
    for pause in [*PAUSES, PAUSES[-1]]:
        state = failed(state, at=now)
        assert look_up(state, now + pause.total_seconds() - 0.1) == NoToken("answered 401")
        now += pause.total_seconds()
        assert look_up(state, now) == Awaited(fetches=True)

    again = failed(granted(state), at=BEGAN)
    assert again.retry_at == BEGAN + PAUSES[0].total_seconds()


def test_what_the_endpoint_asks_for_counts_up_to_a_limit():
    postponed = failed(NEW, at=BEGAN, retry_after=timedelta(seconds=90))
    absurd = failed(NEW, at=BEGAN, retry_after=timedelta(hours=2))

    assert postponed.retry_at == BEGAN + 90
    assert absurd.retry_at == BEGAN + RETRY_AFTER_MAX.total_seconds()


def test_a_token_that_is_still_valid_is_used_when_its_renewal_fails():
    state = granted()
    renewing = BEGAN + 0.8 * 3600
    state = failed(state, at=renewing)
    assert state.token is not None

    assert look_up(state, renewing) == Usable(state.token)
    assert look_up(state, renewing + 6) == Usable(state.token, renews=True)


def test_a_401_to_a_token_that_was_taken_before_renews_it_once_a_minute():
    first = proven(granted())

    dropped, renewed = after_response(first, 1, 401, sent_once=False, now=BEGAN)
    assert renewed
    assert look_up(dropped, BEGAN) == Awaited(fetches=True)

    second = proven(granted(dropped))
    refused, renewed = after_response(second, 2, 401, sent_once=False, now=BEGAN + 59)
    assert not renewed, "else a notice that is always refused would circle"
    assert refused.token is None
    _, renewed = after_response(second, 2, 401, sent_once=False, now=BEGAN + MINUTE_SECONDS)
    assert renewed


@pytest.mark.parametrize("status", [401, 403])
def test_a_token_that_was_never_taken_and_is_refused_is_no_reason_for_another(status):
    """The circuit opens; its probe fetches a new token, which may have what this one lacks."""
    state, renewed = after_response(granted(), 1, status, sent_once=False, now=BEGAN)

    assert not renewed
    assert state.token is None
    _, renewed = after_response(state, 1, status, sent_once=False, now=BEGAN)
    assert not renewed, "another call with the same token"


def test_the_calls_that_were_under_way_with_a_dropped_token_are_repeated_too():
    dropped, _ = after_response(proven(granted()), 1, 401, sent_once=False, now=BEGAN)

    for state in (dropped, fetching(dropped), granted(dropped)):
        after, renewed = after_response(state, 1, 401, sent_once=False, now=BEGAN)
        assert renewed
        assert after == state, "the new token is untouched"


def test_a_403_is_not_about_the_token_alone():
    state, renewed = after_response(proven(granted()), 1, 403, sent_once=False, now=BEGAN)

    assert not renewed
    assert state.token is None


def test_a_create_s_401_drops_only_what_would_be_renewed_anyway():
    """It may be about the player: else each such player would cost a call of the endpoint."""
    fresh = granted()

    assert after_response(fresh, 1, 401, sent_once=True, now=BEGAN) == (fresh, False)
    dropped, _ = after_response(proven(fresh), 1, 401, sent_once=True, now=BEGAN)
    assert dropped.token is None


def test_other_answers_prove_the_token_and_change_nothing_else():
    fresh = granted()
    assert fresh.token is not None

    for status in (200, 404, 500):
        state, renewed = after_response(fresh, 1, status, sent_once=False, now=BEGAN)
        assert not renewed
        assert state == replace(fresh, token=replace(fresh.token, is_proven=True))
        assert after_response(state, 1, status, sent_once=False, now=BEGAN)[0] is state


def test_no_repr_holds_the_token_or_the_secret():
    shown = repr((granted(), Granted("canary-token-7Hq", HOUR), look_up(granted(), BEGAN)))

    assert "canary" not in shown
