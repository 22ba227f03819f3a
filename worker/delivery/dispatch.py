"""The steps of a delivery for one process: claim, sign, send, receive, classify."""

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

from models.database.engine import Transaction
from models.notices.request import OutgoingRequest
from models.outbox.claim import release
from models.outbox.values import Attempt, Claim, Partner
from models.platform.clock import Clock
from models.platform.encryption import Vault
from models.settings.settings import Settings
from worker.delivery.admission import Admission, Admitted
from worker.delivery.http.client import HttpClient
from worker.delivery.http.exchange import FinishedCall, HttpCall, NoResponse
from worker.delivery.http.limits import TransferLimits
from worker.delivery.log import log_sent
from worker.delivery.outcome import RetryPolicy, classify, classify_unsent
from worker.delivery.partners import Partners, Ready, Unusable
from worker.delivery.protocols import ADAPTERS

log = logging.getLogger(__name__)

REQUEST_BUILD_FAILED: Final = "request_build_failed"
RESPONSE_NOT_READ: Final = "response_not_read"


@dataclass(frozen=True, slots=True)
class SignedCall:
    """A claim whose request is ready to be sent."""

    claim: Claim
    partner: Ready
    request: OutgoingRequest


class Dispatch:
    """The calls of one process. For one thread; `interrupt` may come from any."""

    def __init__(
        self,
        *,
        transaction: Transaction,
        clock: Clock,
        settings: Settings,
        vault: Vault,
        monotonic: Callable[[], float],
        chance: Callable[[], float],
        unusable: Callable[[Mapping[str, bool]], None],
    ) -> None:
        self._transaction = transaction
        self._monotonic = monotonic
        self._chance = chance
        self._timeout = settings.partner_timeout
        self._policy = RetryPolicy.of(settings)
        self._partners = Partners(vault, ADAPTERS, monotonic=monotonic, unusable=unusable)
        self._admission = Admission(
            transaction=transaction, clock=clock, settings=settings, monotonic=monotonic
        )
        self._http = HttpClient(TransferLimits.of(settings), calls_max=settings.in_flight_max)
        self._sent: dict[int, SignedCall] = {}
        self._calls = 0
        self._late: list[Claim] = []

    @property
    def calls_open(self) -> int:
        """How many calls are in flight, or finished and not yet returned by `receive`."""
        return self._http.calls_open

    @property
    def longest_timeout(self) -> timedelta:
        """The longest timeout that a call may have."""
        own = [partner.timeout for partner in self._partners.enabled if partner.timeout is not None]
        return max((self._timeout, *own))

    def claim(self, places: int) -> Admitted:
        """Claim up to *places* due notices. Raises errors of the database."""
        return self._admission.claim(
            places,
            partners=self._partners.enabled,
            refresh=self._partners.refresh if self._partners.is_stale else None,
        )

    def in_time(self, admitted: Admitted) -> Iterator[Claim]:
        """Yield the claims for which enough of the lease is left; set the others aside."""
        for claim in admitted.claims:
            if self._monotonic() > admitted.send_by:
                self._late.append(claim)
            else:
                yield claim

    def release_late(self) -> int:
        """Release what was claimed too late to be sent. Raises errors of the database.

        Returns the number released. What cannot be released comes due again when its lease is over.
        """
        if not self._late:
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
        return SignedCall(claim, partner, partner.authorized(request))

    def send(self, signed: SignedCall) -> None:
        """Start the call. Never waits."""
        self._calls += 1
        self._sent[self._calls] = signed
        self._admission.in_flight.started(signed.claim.operator)
        self._http.start(
            HttpCall(
                call_id=self._calls,
                url=signed.request.url,
                headers=signed.request.headers,
                body=signed.request.body,
                timeout=signed.claim.timeout or self._timeout,
                own_connection=signed.claim.sent_once,
                connection=signed.partner.connection,
            )
        )
        log_sent(signed.claim)

    def receive(self, wait: timedelta) -> list[FinishedCall]:
        """Return the calls that are over: at once if there are any, else after *wait* at most."""
        return self._http.finished(wait)

    def classify(self, call: FinishedCall) -> Attempt:
        """Turn a finished call into an attempt: delivered, again, unanswered or dead."""
        signed = self._sent.pop(call.call_id)
        self._admission.in_flight.ended(signed.claim.operator)
        try:
            return self._attempt(signed, call)
        except Exception as error:  # the other responses must be recorded all the same
            log.exception(RESPONSE_NOT_READ, extra={"notice_id": signed.claim.notice})
            unread = NoResponse(f"the response could not be read ({type(error).__name__})")
            return self._attempt(signed, replace(call, result=unread))

    def interrupt(self) -> None:
        """Make a waiting `receive` return. Safe in a signal handler."""
        self._http.interrupt()

    def close(self) -> None:
        """Close all connections. Calls that are still open get no response; their leases expire."""
        self._http.close()

    def _attempt(self, signed: SignedCall, call: FinishedCall) -> Attempt:
        attempt = classify(
            signed.claim,
            signed.partner.redacted(call.result),
            took=call.took,
            partner=signed.partner.partner,
            policy=self._policy.of_partner(signed.partner.partner),
            chance=self._chance(),
            remote_address=call.remote_address,
            by_proxy=call.by_proxy,
        )
        return signed.partner.explained(attempt)

    def _unsent(self, claim: Claim, partner: Partner, problem: str) -> Attempt:
        policy = self._policy.of_partner(partner)
        return classify_unsent(claim, problem, policy=policy, chance=self._chance())
