"""The tokens of one process: kept for each partner, fetched from its endpoint when they are needed.

`tokens.py` decides; here are the calls, made with the HTTP client that calls the partners, and what
waits for them. No token is stored or leaves the process: each fetches its own.
"""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from models.access.values import ClientCredentials
from worker.delivery import tokens
from worker.delivery.http.client import HttpClient
from worker.delivery.http.exchange import FinishedCall, HttpCall
from worker.delivery.outcome import read_retry_after
from worker.delivery.partners import Ready
from worker.delivery.signed_call import SignedCall
from worker.delivery.token_endpoint import Granted, NotGranted, read_token, token_request
from worker.delivery.tokens import Awaited, NoToken, Token, TokenState, Usable

log = logging.getLogger(__name__)

TOKEN_NOT_GRANTED: Final = "token_not_granted"  # noqa: S105 - a log event, not a secret
TokenKey = tuple[int, ClientCredentials]
"""An operator, and one version of its credentials."""


@dataclass(frozen=True, slots=True)
class _RunningCall:
    """A call of a token endpoint that is under way."""

    key: TokenKey
    partner: Ready
    began_at: float  # monotonic
    at: datetime  # by the database's clock, a moment before


class TokenCalls:
    """Fetches tokens, and keeps the calls that wait for one. For one thread."""

    def __init__(
        self,
        http: HttpClient,
        *,
        call_ids: Iterator[int],
        timeout: timedelta,
        monotonic: Callable[[], float],
        chance: Callable[[], float],
        called: Callable[[str, str], None],
    ) -> None:
        """*timeout*: of a call, where the partner has none of its own.

        *called* is told the operator's code and the outcome of each call of an endpoint.
        """
        self._http = http
        self._call_ids = call_ids
        self._timeout = timeout
        self._monotonic = monotonic
        self._chance = chance
        self._called = called
        self._states: dict[TokenKey, TokenState] = {}
        self._running: dict[int, _RunningCall] = {}
        self._waiting: dict[TokenKey, list[SignedCall]] = {}

    @property
    def waiting(self) -> int:
        """How many calls wait for a token."""
        return sum(map(len, self._waiting.values()))

    def authorize(
        self, signed: SignedCall, credentials: ClientCredentials
    ) -> SignedCall | NoToken | None:
        """Return *signed* with its token, or why there is none; None: it waits for one.

        Begins a call of the endpoint if there has to be one.
        """
        key = (signed.claim.operator, credentials)
        state = self._states.get(key) or self._begin(key)
        way = tokens.look_up(state, self._monotonic())
        match way:
            case Usable(token, renews):
                if renews:
                    self._fetch(key, signed)
                return signed.with_token(token)
            case Awaited(fetches):
                if fetches:
                    self._fetch(key, signed)
                self._waiting.setdefault(key, []).append(signed)
                return None
            case NoToken():
                return way

    def is_own(self, call: FinishedCall) -> bool:
        """Return whether *call* was one of a token endpoint."""
        return call.call_id in self._running

    def ended(self, call: FinishedCall) -> list[SignedCall]:
        """Take the result of a call of an endpoint. Returns the calls that waited for it."""
        running = self._running.pop(call.call_id)
        key, code = running.key, running.partner.partner.code
        met = read_token(call.result, key[1], code=code)
        retry_after = timedelta()
        if isinstance(met, NotGranted):
            log.warning(TOKEN_NOT_GRANTED, extra={"operator": code, "problem": met.problem})
            retry_after = read_retry_after(met.retry_after, now=running.at + call.took)
        self._called(code, "granted" if isinstance(met, Granted) else met.outcome)
        self._states[key] = tokens.after_call(
            self._states[key],
            met,
            began_at=running.began_at,
            now=self._monotonic(),
            chance=self._chance(),
            retry_after=retry_after,
        )
        return self._waiting.pop(key, [])

    def answered(self, signed: SignedCall, token: Token, status: int) -> bool:
        """Take the status that the partner answered to *token*.

        Returns whether it refused the token alone, so that the next one helps.
        """
        credentials = signed.partner.access.oauth
        assert credentials is not None, "it had a token"
        key = (signed.claim.operator, credentials)
        state = self._states.get(key)
        if state is None:  # its credentials were replaced meanwhile
            return False
        self._states[key], renewed = tokens.after_response(
            state, token.number, status, sent_once=signed.claim.sent_once, now=self._monotonic()
        )
        return renewed

    def give_up(self, *, all_of_them: bool = False) -> list[SignedCall]:
        """Return the calls that have waited too long for their leases, or all; they wait no more.

        The call of the endpoint goes on: the next ones use its token.
        """
        now = self._monotonic()
        given_up = []
        for key, waiting in list(self._waiting.items()):
            late = [signed for signed in waiting if all_of_them or now > signed.send_by]
            if len(late) == len(waiting):
                del self._waiting[key]
            elif late:
                self._waiting[key] = [signed for signed in waiting if signed not in late]
            given_up += late
        return given_up

    def _begin(self, key: TokenKey) -> TokenState:
        """Begin with new credentials. The tokens of those that they replace are forgotten."""
        operator = key[0]
        running = {call.key for call in self._running.values()}
        for old in [old for old in self._states if old[0] == operator and old not in running]:
            del self._states[old]
        self._states[key] = TokenState(key[1])
        return self._states[key]

    def _fetch(self, key: TokenKey, signed: SignedCall) -> None:
        """Begin a call of the endpoint, for *signed* and all that come until it is over."""
        partner, terms = signed.partner, signed.partner.partner
        request = token_request(key[1], user_agent=terms.user_agent)
        call_id = next(self._call_ids)
        self._states[key] = tokens.fetching(self._states[key])
        self._running[call_id] = _RunningCall(
            key, partner, self._monotonic(), signed.claim.claimed_at
        )
        self._http.start(
            HttpCall(
                call_id=call_id,
                url=request.url,
                headers=request.headers,
                body=request.body,
                timeout=terms.timeout or self._timeout,
                own_connection=True,  # it is rare, and a kept one may be dead
                connection=partner.connection,
            )
        )
