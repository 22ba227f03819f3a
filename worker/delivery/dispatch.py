"""The steps of a delivery for one process: claim, sign, send, receive, classify."""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from http import HTTPStatus
from itertools import count
from typing import Final

from models.database.engine import Transaction
from models.notices.request import with_trace
from models.outbox.circuit import is_refusal
from models.outbox.claim import release
from models.outbox.values import (
    Attempt,
    Claim,
    Delivered,
    Partner,
    RetryLater,
    TokenTrouble,
)
from models.platform.clock import Clock
from models.platform.encryption import Vault
from models.settings.settings import Settings
from models.tracing.traceparent import TRACEPARENT_NAME
from models.tracing.tracer import Tracer
from worker.delivery.admission import Admission, Admitted
from worker.delivery.http.client import HttpClient
from worker.delivery.http.exchange import FinishedCall, HttpCall, NoResponse
from worker.delivery.http.limits import TransferLimits
from worker.delivery.log import log_sent
from worker.delivery.outcome import RetryPolicy, classify, classify_unsent
from worker.delivery.partners import Partners, Unusable
from worker.delivery.protocols import ADAPTERS
from worker.delivery.signed_call import SignedCall
from worker.delivery.spans import begin_send, end_send
from worker.delivery.token_calls import TokenCalls
from worker.delivery.token_endpoint import NOTHING_SENT
from worker.delivery.tokens import NoToken, Token

log = logging.getLogger(__name__)

REQUEST_BUILD_FAILED: Final = "request_build_failed"
RESPONSE_NOT_READ: Final = "response_not_read"


class Dispatch:
    """The calls of one process. For one thread; `interrupt` may come from any."""

    def __init__(  # noqa: PLR0913 - what the loop passes on to its one dispatch
        self,
        *,
        transaction: Transaction,
        clock: Clock,
        settings: Settings,
        vault: Vault,
        monotonic: Callable[[], float],
        chance: Callable[[], float],
        unusable: Callable[[Mapping[str, bool]], None],
        token_called: Callable[[str, str], None],
        tracer: Tracer | None = None,
    ) -> None:
        self._transaction = transaction
        self._monotonic = monotonic
        self._chance = chance
        self._tracer = tracer
        self._timeout = self._longest_timeout = settings.partner_timeout
        self._policy = RetryPolicy.of(settings)
        self._partners = Partners(vault, ADAPTERS, monotonic=monotonic, unusable=unusable)
        self._admission = Admission(
            transaction=transaction, clock=clock, settings=settings, monotonic=monotonic
        )
        # A claim in the last place may begin a call for its token, and be sent meanwhile.
        calls_max = 2 * settings.in_flight_max
        self._http = HttpClient(TransferLimits.of(settings), calls_max=calls_max)
        self._call_ids = count(1)
        self._sent: dict[int, SignedCall] = {}
        self._tokens = TokenCalls(
            self._http,
            call_ids=self._call_ids,
            timeout=settings.partner_timeout,
            monotonic=monotonic,
            chance=chance,
            called=token_called,
        )
        self._send_by = 0.0  # monotonic: of what is signed at the moment
        self._late: list[Claim] = []

    @property
    def calls_open(self) -> int:
        """How many calls are in flight, finished and not yet classified, or wait for a token."""
        return len(self._sent) + self._tokens.waiting

    @property
    def places_taken(self) -> int:
        """How many of the process's places are taken; also by calls of token endpoints."""
        return self._http.calls_open + self._tokens.waiting

    @property
    def has_late(self) -> bool:
        """Whether `release_late` has claims to release."""
        self._set_aside(self._tokens.give_up())
        return bool(self._late)

    @property
    def longest_timeout(self) -> timedelta:
        """The longest timeout that a call has had, also of a partner that has another by now."""
        return self._longest_timeout

    def claim(self, places: int) -> Admitted:
        """Claim up to *places* due notices. Raises errors of the database."""
        return self._admission.claim(
            places,
            partners=self._partners.enabled,
            refresh=self._partners.refresh if self._partners.is_stale else None,
        )

    def in_time(self, admitted: Admitted) -> Iterator[Claim]:
        """Yield the claims for which enough of the lease is left; set the others aside.

        What waits for a token may do so until then, too.
        """
        self._send_by = admitted.send_by
        for claim in admitted.claims:
            if self._monotonic() > admitted.send_by:
                self._late.append(claim)
            else:
                yield claim

    def release_late(self) -> int:
        """Release what was claimed, or got its token, too late. Raises errors of the database.

        Returns the number released. What cannot be released comes due again when its lease is over.
        """
        if not self.has_late:
            return 0
        with self._transaction() as connection:
            release(connection, self._late)
        released = len(self._late)
        self._late.clear()
        return released

    def sign(self, claim: Claim) -> SignedCall | Attempt:
        """Build and sign the request of *claim*. Returns a failed attempt if that fails."""
        partner = self._partners.get(claim.operator)
        if isinstance(partner, Unusable):
            return self._unsent(claim, partner.partner, partner.problem)
        try:
            request = partner.adapter.build_request(
                claim, partner.partner, secret=partner.secret, at=claim.claimed_at
            )
        except Exception as error:  # the other claims must be sent all the same
            log.exception(REQUEST_BUILD_FAILED, extra={"notice_id": claim.notice})
            problem = f"the request could not be built ({type(error).__name__})"
            return self._unsent(claim, partner.partner, problem)
        span = None
        if self._tracer is not None:
            span = begin_send(self._tracer, claim, request.url)
        trace = claim.traceparent if span is None else span.traceparent
        if trace is not None and partner.partner.pass_trace:
            request = with_trace(request, trace)
        return SignedCall(claim, partner, partner.authorized(request), self._send_by, span=span)

    def send(self, signed: SignedCall) -> Attempt | None:
        """Start the call, or let it wait for its token. Never waits itself.

        Returns a failed attempt if there is no token for it.
        """
        own = signed.claim.timeout
        if own is not None and own > self._longest_timeout:
            self._longest_timeout = own
        self._admission.in_flight.started(signed.claim.operator)
        return self._start(signed)

    def _start(self, signed: SignedCall) -> Attempt | None:
        credentials = signed.partner.access.oauth
        if credentials is not None:
            authorized = self._tokens.authorize(signed, credentials)
            if authorized is None:
                return None
            if isinstance(authorized, NoToken):
                return self._without_token(signed, authorized.problem)
            signed = authorized
        call_id = next(self._call_ids)
        self._sent[call_id] = signed
        self._http.start(
            HttpCall(
                call_id=call_id,
                url=signed.request.url,
                headers=signed.request.headers,
                body=signed.request.body,
                timeout=signed.claim.timeout or self._timeout,
                own_connection=signed.claim.sent_once,
                connection=signed.partner.connection,
            )
        )
        log_sent(signed.claim)
        return None

    def receive(self, wait: timedelta) -> list[FinishedCall]:
        """Return the calls that are over: at once if there are any, else after *wait* at most."""
        return self._http.finished(wait)

    def classify(self, call: FinishedCall) -> list[Attempt]:
        """Turn a finished call into an attempt: delivered, again, unanswered or dead.

        That of a token endpoint starts the calls that waited for it; without a token, they failed.
        """
        if self._tokens.is_own(call):
            return self._resume(self._tokens.ended(call))
        signed = self._sent.pop(call.call_id)
        self._admission.in_flight.ended(signed.claim.operator)
        try:
            attempt = self._attempt(signed, call)
        except Exception as error:  # the other responses must be recorded all the same
            log.exception(RESPONSE_NOT_READ, extra={"notice_id": signed.claim.notice})
            unread = NoResponse(f"the response could not be read ({type(error).__name__})")
            attempt = self._attempt(signed, replace(call, result=unread))
        if signed.span is not None:
            end_send(signed.span, attempt)
        return [attempt]

    def stop_waiting(self) -> None:
        """Set aside what waits for a token: `release_late` releases it."""
        self._set_aside(self._tokens.give_up(all_of_them=True))

    def interrupt(self) -> None:
        """Make a waiting `receive` return. Safe in a signal handler."""
        self._http.interrupt()

    def close(self) -> None:
        """Close all connections. Calls that are still open get no response; their leases expire."""
        self._http.close()

    def _attempt(self, signed: SignedCall, call: FinishedCall) -> Attempt:
        attempt = classify(
            signed.claim,
            signed.partner.redacted(
                call.result, token=None if signed.token is None else signed.token.value
            ),
            took=call.took,
            partner=signed.partner.partner,
            policy=self._policy.of_partner(signed.partner.partner),
            chance=self._chance(),
            remote_address=call.remote_address,
            by_proxy=call.by_proxy,
        )
        passed = signed.request.headers.get(TRACEPARENT_NAME)
        if passed is not None:
            attempt = replace(attempt, traceparent=passed)
        explained = signed.partner.explained(attempt)
        return explained if signed.token is None else self._judged(signed, signed.token, explained)

    def _judged(self, signed: SignedCall, token: Token, attempt: Attempt) -> Attempt:
        """Return *attempt*; after a 401 that is about its token alone, to be repeated at once.

        As a new claim, not within this one: each claim sends once, and its lease covers one call.
        """
        if attempt.http_status is None:
            return attempt
        is_let_in = isinstance(attempt.verdict, Delivered) or is_refusal(attempt)
        is_let_in = is_let_in or attempt.wallet_reported
        status = HTTPStatus.OK if is_let_in else attempt.http_status
        renewed = self._tokens.answered(signed, token, status)
        if not renewed or signed.claim.sent_once:
            return attempt
        return replace(
            attempt,
            verdict=RetryLater(timedelta()),
            problem=f"{attempt.problem}; a new token is fetched",
            token_trouble=TokenTrouble.RENEWED,
        )

    def _resume(self, waited: Iterable[SignedCall]) -> list[Attempt]:
        """Send what waited for a token, where there is still time."""
        failed: list[Attempt] = []
        for signed in waited:
            if self._monotonic() > signed.send_by:
                self._set_aside([signed])
            elif (attempt := self._start(signed)) is not None:
                failed.append(attempt)
        return failed

    def _set_aside(self, calls: Iterable[SignedCall]) -> None:
        for signed in calls:
            self._admission.in_flight.ended(signed.claim.operator)
            self._late.append(signed.claim)

    def _without_token(self, signed: SignedCall, problem: str) -> Attempt:
        self._admission.in_flight.ended(signed.claim.operator)
        attempt = self._unsent(signed.claim, signed.partner.partner, f"{NOTHING_SENT}{problem}")
        return replace(attempt, token_trouble=TokenTrouble.MISSING)

    def _unsent(self, claim: Claim, partner: Partner, problem: str) -> Attempt:
        policy = self._policy.of_partner(partner)
        return classify_unsent(claim, problem, policy=policy, chance=self._chance())
