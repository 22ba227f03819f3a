"""Checks whether one partner responds, with the same HTTP client as every delivery.

`ping` is what the protocol has for this purpose. `ping_signed` sends a call that the partner can
verify, and that touches no ticket. Both store nothing and block for the timeout at most; twice, if
a token is fetched first.
"""

from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final, assert_never
from uuid import uuid4

from models.access.document import open_access
from models.access.values import NO_ACCESS, Access
from models.notices.request import OutgoingRequest
from models.notices.responses import LOCKED_OUT
from models.outbox.values import Partner
from models.platform.encryption import Vault
from models.platform.errors import ConflictError
from models.settings.errors import InvalidSettings
from models.settings.settings import Settings
from worker.delivery.http.client import HttpClient
from worker.delivery.http.exchange import (
    CallResult,
    FinishedCall,
    HttpCall,
    HttpResponse,
    NoResponse,
    NotReached,
)
from worker.delivery.http.limits import TransferLimits
from worker.delivery.partners import Ready
from worker.delivery.protocols import ADAPTERS
from worker.delivery.token_endpoint import NOTHING_SENT
from worker.delivery.token_step import TokenStep, call_once, fetch_token

BEGINNING_CHARACTERS_MAX: Final = 500


class CallsNotSigned(ConflictError):
    """Calls to this partner carry no signature, so there is none to test."""


class SignatureCheck(StrEnum):
    """What the response to a signed call says about its signature."""

    ACCEPTED = "accepted"
    REFUSED = "refused"  # 401 or 403: another secret, or our address is not let in
    UNKNOWN = "unknown"  # no response, or one that does not tell


@dataclass(frozen=True, slots=True)
class PingResult:
    """The response to a ping. *there*: it is that of a partner with this protocol."""

    there: bool
    url: str
    sent: str
    took_ms: float
    status: int | None = None  # None without a response
    problem: str | None = None
    beginning: str = field(default="", repr=False)  # of the response
    remote_address: str | None = None  # what was connected to
    by_proxy: bool = False  # then that is the proxy, which checks the partner's address
    signature: SignatureCheck | None = None  # None: the call was not signed
    note: str | None = None  # what is wrong with the response, where its status does not tell
    token: TokenStep | None = None  # None: its calls carry none

    @property
    def facts(self) -> dict[str, Any]:
        """The result as it is recorded: without what was sent."""
        return {
            "there": self.there,
            "status": self.status,
            "took_ms": self.took_ms,
            "address": self.remote_address,
            "by_proxy": self.by_proxy,
            "signature": self.signature,
            "problem": self.problem or self.note,
            "answer": self.beginning,
            **({} if self.token is None else {"token": asdict(self.token)}),
        }


def ping(
    partner: Partner,
    *,
    secret: str,
    access: Access = NO_ACCESS,
    limits: TransferLimits,
    timeout: timedelta,
) -> PingResult:
    """Send the ping of the partner's protocol, and wait for the response."""
    adapter = ADAPTERS[partner.protocol]
    ready = Ready.of(partner, adapter, secret=secret, access=access)
    request = ready.authorized(adapter.build_ping(partner, secret=secret))
    exchange = _exchange(ready, request, limits=limits, timeout=timeout)
    match exchange.result:
        case HttpResponse() as response:
            return _result(
                request,
                exchange,
                response,
                there=adapter.is_ping_response(partner, response),
                note=adapter.explain(partner, response),
            )
        case NotReached(problem) | NoResponse(problem):
            return _result(request, exchange, problem)
        case unexpected:
            assert_never(unexpected)


def ping_signed(
    partner: Partner,
    *,
    secret: str,
    access: Access = NO_ACCESS,
    at: datetime,
    limits: TransferLimits,
    timeout: timedelta,
) -> PingResult:
    """Send a signed test that touches no ticket, and wait for the response.

    *at* is the time that is signed. What is sent, by protocol: deploy/PARTNERS.md. A 2xx is as good
    as a refusal that the contract knows: both show that the partner read the call. Raises
    CallsNotSigned.
    """
    adapter = ADAPTERS[partner.protocol]
    ready = Ready.of(partner, adapter, secret=secret, access=access)
    request = adapter.build_test(partner, secret=secret, at=at, test_id=uuid4().hex)
    if request is None:
        raise CallsNotSigned(
            f"calls to {partner.code} are not signed, so there is no signature to test; the ping"
            " without one shows whether it responds. If the wallet verifies signatures:"
            f" slipway operators set {partner.code} --sign"
        )
    request = ready.authorized(request)
    exchange = _exchange(ready, request, limits=limits, timeout=timeout)
    match exchange.result:
        case HttpResponse() as response:
            there = adapter.is_test_response(partner, response)
            signature = SignatureCheck.ACCEPTED if there else SignatureCheck.UNKNOWN
            if response.status in LOCKED_OUT:
                signature = SignatureCheck.REFUSED
            note = None if there else adapter.explain(partner, response)
            return _result(request, exchange, response, there=there, signature=signature, note=note)
        case NotReached(problem) | NoResponse(problem):
            return _result(request, exchange, problem, signature=SignatureCheck.UNKNOWN)
        case unexpected:
            assert_never(unexpected)


def ping_as_configured(
    partner: Partner, *, signed: bool, at: datetime, vault: Vault, settings: Settings
) -> PingResult:
    """Ping the partner, or send it the signed test, within the limits of every delivery.

    Raises CallsNotSigned, and DecryptionFailed if the call needs a secret that no key decrypts.
    """
    # An unsigned ping needs no secret, so it works while the secret cannot be decrypted.
    secret = vault.decrypt(partner.secret) if signed or partner.sign_calls else ""
    access = NO_ACCESS if partner.access is None else open_access(partner.access, vault)
    try:
        limits = TransferLimits.of(settings)
    except InvalidSettings as error:
        problem = f"nothing was sent: {'; '.join(error.problems)}"
        return PingResult(there=False, url=partner.url, sent="", took_ms=0.0, problem=problem)
    timeout = settings.partner_timeout if partner.timeout is None else partner.timeout
    if signed:
        return ping_signed(
            partner, secret=secret, access=access, at=at, limits=limits, timeout=timeout
        )
    return ping(partner, secret=secret, access=access, limits=limits, timeout=timeout)


@dataclass(frozen=True, slots=True)
class _Exchange:
    """The call, and the step before it that fetched its token. *result*: without our secrets."""

    call: FinishedCall
    result: CallResult
    token: TokenStep | None = None


def _exchange(
    ready: Ready, request: OutgoingRequest, *, limits: TransferLimits, timeout: timedelta
) -> _Exchange:
    """Send *request*, with a token if the partner wants one; without one nothing is sent."""
    credentials = ready.access.oauth
    step, token = None, None
    client = HttpClient(limits, calls_max=1)
    try:
        if credentials is not None:
            step, token = fetch_token(
                client,
                credentials,
                code=ready.partner.code,
                user_agent=ready.partner.user_agent,
                connection=ready.connection,
                timeout=timeout,
            )
            if token is None:
                unsent = NotReached(f"{NOTHING_SENT}{step.problem}")
                return _Exchange(FinishedCall(1, unsent, timedelta()), unsent, step)
            request = ready.with_token(request, token)
        call = call_once(
            client,
            HttpCall(
                1,
                request.url,
                request.headers,
                request.body,
                timeout,
                connection=ready.connection,
            ),
        )
    finally:
        client.close()
    return _Exchange(call, ready.redacted(call.result, token=token), step)


def _result(
    request: OutgoingRequest,
    exchange: _Exchange,
    met: HttpResponse | str,
    *,
    there: bool = False,
    signature: SignatureCheck | None = None,
    note: str | None = None,
) -> PingResult:
    """Return what *met* the call: a response, or the problem for which there was none."""
    status, problem, beginning = None, None, ""
    call = exchange.call
    if isinstance(met, str):
        problem = met
    else:
        status = met.status
        beginning = met.body[: 4 * BEGINNING_CHARACTERS_MAX].decode(errors="replace")
    return PingResult(
        there=there,
        url=request.url,
        sent=request.body.decode(),
        took_ms=round(call.took / timedelta(milliseconds=1), 1),
        status=status,
        problem=problem,
        beginning=beginning[:BEGINNING_CHARACTERS_MAX],
        remote_address=call.remote_address,
        by_proxy=call.by_proxy,
        signature=signature,
        note=note,
        token=exchange.token,
    )
