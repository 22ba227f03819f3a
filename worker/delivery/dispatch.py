"""Claims due notices, words and starts their calls, and makes attempts of what comes back."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection

from models.database.engine import Transaction
from models.operators.partners import enabled_partners
from models.outbox.claim import release
from models.outbox.values import Attempt, Claim
from models.platform.clock import Clock
from models.platform.encryption import Vault
from models.settings.settings import Settings
from worker.delivery.admission import Admission
from worker.delivery.http.client import HttpClient
from worker.delivery.http.exchange import FinishedCall, HttpCall, NoAnswer
from worker.delivery.http.transfer import TransferLimits
from worker.delivery.outcome import judge, not_sent
from worker.delivery.partners import Partners, Ready, Unusable
from worker.delivery.protocols.registry import DIALECTS
from worker.delivery.retry import RetryPolicy
from worker.delivery.trace_log import tell_sent

log = logging.getLogger(__name__)

REQUEST_NOT_WORDED: Final = "request_not_worded"
ANSWER_NOT_READ: Final = "answer_not_read"

_PARTNERS_SECONDS: Final = 1.0  # a new or disabled operator is known after this time


@dataclass(frozen=True, slots=True)
class Looked:
    """What a look for due notices gave: how many were claimed, and those that cannot be sent.

    *filled*: a partner got all that there was room for. *again_in*: more is due that may not go
    before (a rate) or was in another's hands.
    """

    claimed: int
    filled: bool
    unsendable: list[Attempt]
    again_in: timedelta | None


@dataclass(frozen=True, slots=True)
class _Sent:
    claim: Claim
    account: Ready


class Dispatch:
    """The calls of one process. For one thread; `nudge` may come from any."""

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
        self._clock = clock
        self._settings = settings
        self._monotonic = monotonic
        self._chance = chance
        self._unusable = unusable
        self._policy = RetryPolicy.of(settings)
        self._accounts = Partners(vault, DIALECTS)
        self._renew_at = monotonic()
        self._turnstile = Admission(settings, monotonic)
        self._wire = HttpClient(TransferLimits.of(settings), calls_max=settings.in_flight_max)
        self._sent: dict[int, _Sent] = {}
        self._tokens = 0
        self._unstarted: list[Claim] = []

    @property
    def calls_open(self) -> int:
        """How many calls are in flight, or answered and not yet handed out."""
        return self._wire.calls_open

    def look(self, places: int) -> Looked:
        """Claim up to *places* due notices and start their calls. Raises errors of the database.

        Without a place, or room for a call at any partner, it only tells the other deliverers what
        is in flight here, and learns who the partners are.
        """
        room = self._turnstile.has_room(self._accounts.partners)
        unknown = self._monotonic() >= self._renew_at
        if not (places and (room or unknown)) and not self._turnstile.has_news:
            return Looked(0, filled=True, unsendable=[], again_in=None)
        before = self._monotonic()
        with self._transaction() as connection:
            now = self._clock.now(connection)
            self._renew_partners(connection, now)
            passed = self._turnstile.claim(
                connection, self._accounts.partners, places=places, now=now
            )
        self._turnstile.keep(passed)
        # A lease counts from before the claim; the part a call may take must be left of it.
        latest = before + (self._settings.lease - self._settings.call_needs).total_seconds()
        unsendable: list[Attempt] = []
        for one in passed.claims:
            if self._monotonic() > latest:
                self._unstarted.append(one)
            elif (attempt := self._send(one)) is not None:
                unsendable.append(attempt)
        return Looked(len(passed.claims), passed.filled, unsendable, passed.again_in)

    def give_back(self) -> int:
        """Release what was claimed too late to be started; how many. Raises errors of the database.

        What cannot be released comes due again when its lease is over.
        """
        if not self._unstarted:
            return 0
        with self._transaction() as connection:
            release(connection, self._unstarted)
        given_back = len(self._unstarted)
        self._unstarted.clear()
        return given_back

    def answered(self, wait: timedelta) -> list[Attempt]:
        """Judge the calls that are over: at once if there are any, else after *wait* at most."""
        return [self._judged(one) for one in self._wire.finished(wait)]

    def nudge(self) -> None:
        """Make whoever waits in `answered` come back. Safe in a signal handler."""
        self._wire.nudge()

    def close(self) -> None:
        """Hang up. Calls that are still open get no answer; their leases run out."""
        self._wire.close()

    def _renew_partners(self, connection: Connection, now: datetime) -> None:
        if self._monotonic() >= self._renew_at:
            self._accounts.renew(enabled_partners(connection, now=now))
            self._unusable(self._accounts.unusable)
            self._renew_at = self._monotonic() + _PARTNERS_SECONDS

    def _send(self, one: Claim) -> Attempt | None:
        """Start the call, or say why it cannot be."""
        account = self._accounts.of(one.operator)
        if isinstance(account, Unusable):
            return not_sent(one, account.problem, policy=self._policy, chance=self._chance())
        try:
            request = account.dialect.request(
                one, account.partner, secret=account.secret, at=one.claimed_at
            )
        except Exception as error:  # its neighbours are claimed too, and must be sent
            log.exception(REQUEST_NOT_WORDED, extra={"notice_id": one.notice})
            problem = f"the request could not be worded ({type(error).__name__})"
            return not_sent(one, problem, policy=self._policy, chance=self._chance())
        self._tokens += 1
        self._sent[self._tokens] = _Sent(one, account)
        self._turnstile.lanes.started(one.operator)
        self._wire.start(
            HttpCall(
                token=self._tokens,
                url=request.url,
                headers=request.headers,
                body=request.body,
                timeout=self._settings.partner_timeout,
                alone=one.sent_once,
            )
        )
        tell_sent(one)
        return None

    def _judged(self, answered: FinishedCall) -> Attempt:
        sent = self._sent.pop(answered.token)
        self._turnstile.lanes.ended(sent.claim.operator)
        try:
            return self._attempt(sent, answered)
        except Exception as error:  # the neighbours' answers came too, and must be kept
            log.exception(ANSWER_NOT_READ, extra={"notice_id": sent.claim.notice})
            unread = NoAnswer(f"the answer could not be read ({type(error).__name__})")
            return self._attempt(sent, replace(answered, reply=unread))

    def _attempt(self, sent: _Sent, answered: FinishedCall) -> Attempt:
        return judge(
            sent.claim,
            sent.account.veiled(answered.reply),
            took=answered.took,
            dialect=sent.account.dialect,
            policy=self._policy,
            chance=self._chance(),
        )
