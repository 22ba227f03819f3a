"""When a partner's token is used, fetched, renewed and dropped. Pure: time and chance are given.

A token is fetched for the first notice that needs it, one call at a time, and renewed between 75 %
and 90 % of its lifetime, where chance says: many processes do not renew at the same moment, and an
endpoint that is down for less than the rest is never noticed. After a failed call the endpoint is
left alone for a while.

A 401 of the partner is judged by what is known of the token. One that the partner took before has
expired early or was revoked: it is dropped and a new one is fetched, at most once a minute. One
that it never took shows that no token of these credentials helps: that is the known lock-out.

All times are readings of a monotonic clock, in seconds.
"""

from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Final

from models.access.values import ClientCredentials
from models.notices.responses import LOCKED_OUT
from models.platform.backoff import Backoff
from worker.delivery.token_endpoint import Granted, NotGranted

_UNAUTHORIZED: Final = 401
_RENEWED_FROM: Final = 0.75  # of the lifetime
_RENEWED_WITHIN: Final = 0.15
_MARGIN_SECONDS_MAX: Final = 10.0  # a call that is under way must find its token valid
_MARGIN: Final = 0.1  # of a short lifetime
_RENEWALS_APART_SECONDS: Final = 60.0  # of those for a 401
PAUSES: Final = tuple(timedelta(seconds=seconds) for seconds in (5, 15, 30, 60))
RETRY_AFTER_MAX: Final = timedelta(minutes=5)  # an endpoint can put us off this far
_JITTER: Final = 0.25
_NO_TIME: Final = timedelta()


@dataclass(frozen=True, slots=True)
class Token:
    """A token, the *number*th that this process has of these credentials."""

    value: str = field(repr=False)
    number: int
    renew_at: float
    ends_at: float
    is_proven: bool = False  # the partner took it


@dataclass(frozen=True, slots=True)
class TokenState:
    """What a process knows of the tokens of one partner's credentials."""

    credentials: ClientCredentials
    token: Token | None = None
    is_fetching: bool = False
    fetched: int = 0
    failures: int = 0  # in a row
    retry_at: float = 0.0  # the endpoint is not called before
    problem: str = ""  # of the last call, if it failed
    renewed_at: float | None = None  # for a 401
    refused: int = 0  # the last token that the partner refused although it was new


@dataclass(frozen=True, slots=True)
class Usable:
    """Send with this token. *renews*: fetch the next one meanwhile."""

    token: Token
    renews: bool = False


@dataclass(frozen=True, slots=True)
class Awaited:
    """There will be a token. *fetches*: by a call that begins now."""

    fetches: bool = False


@dataclass(frozen=True, slots=True)
class NoToken:
    """There is none, and the endpoint was asked a moment ago."""

    problem: str


def look_up(state: TokenState, now: float) -> Usable | Awaited | NoToken:
    """Return what a notice does that needs a token now."""
    may_call = not state.is_fetching and now >= state.retry_at
    token = state.token
    if token is not None and now < token.ends_at:
        return Usable(token, renews=may_call and now >= token.renew_at)
    if state.is_fetching or may_call:
        return Awaited(fetches=may_call)
    return NoToken(state.problem)


def fetching(state: TokenState) -> TokenState:
    """Return the state while a call of the endpoint is under way."""
    return replace(state, is_fetching=True)


def after_call(
    state: TokenState,
    met: Granted | NotGranted,
    *,
    began_at: float,
    now: float,
    chance: float,
    retry_after: timedelta = _NO_TIME,
) -> TokenState:
    """Return the state after a call of the endpoint that began at *began_at*.

    *chance*: from 0 to 1. A token that is still valid stays in use when its renewal fails.
    """
    if isinstance(met, NotGranted):
        backoff = Backoff(PAUSES, failures=state.failures)
        pause = max(backoff.next() * (1 + _JITTER * chance), min(retry_after, RETRY_AFTER_MAX))
        return replace(
            state,
            is_fetching=False,
            failures=backoff.failures,
            retry_at=now + pause.total_seconds(),
            problem=met.problem,
        )
    lifetime = met.lifetime.total_seconds()
    number = state.fetched + 1
    token = Token(
        value=met.token,
        number=number,
        renew_at=began_at + lifetime * (_RENEWED_FROM + _RENEWED_WITHIN * chance),
        ends_at=began_at + lifetime - min(_MARGIN_SECONDS_MAX, lifetime * _MARGIN),
    )
    return replace(
        state,
        token=token,
        is_fetching=False,
        fetched=number,
        failures=0,
        retry_at=0.0,
        problem="",
    )


def after_response(
    state: TokenState, number: int, status: int, *, sent_once: bool, now: float
) -> tuple[TokenState, bool]:
    """Return the state after the partner answered a call with the token *number*.

    Also returns whether a 401 is about that token alone, so that the next one helps. *sent_once*:
    the call was a create or reserve, whose 401 may be about the player: it drops a token only
    where that would be renewed anyway.
    """
    token = state.token
    is_current = token is not None and token.number == number
    if status not in LOCKED_OUT:
        if token is not None and is_current and not token.is_proven:
            state = replace(state, token=replace(token, is_proven=True))
        return state, False
    if token is None or not is_current:
        # Several calls were under way with it, and another one's answer dropped it.
        return state, status == _UNAUTHORIZED and number > state.refused
    is_early = state.renewed_at is not None and now < state.renewed_at + _RENEWALS_APART_SECONDS
    if status == _UNAUTHORIZED and token.is_proven and not is_early:
        return replace(state, token=None, renewed_at=now), True
    if sent_once:
        return state, False
    return replace(state, token=None, refused=number), False
