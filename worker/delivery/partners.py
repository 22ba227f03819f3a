"""The partners as delivery needs them: each with its protocol adapter and its decrypted secret."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final, Self

from sqlalchemy import Connection

from models.access.document import open_access
from models.access.values import NO_ACCESS, Access
from models.notices.request import OutgoingRequest
from models.notices.responses import LOCKED_OUT
from models.operators.partners import enabled_partners
from models.outbox.values import Attempt, Partner
from models.platform.encryption import DecryptionFailed, Vault
from worker.delivery.gateway_access import (
    added_headers,
    connection_options,
    repeated_secrets,
    shown_access,
)
from worker.delivery.http.exchange import CallResult, ConnectionOptions, HttpResponse
from worker.delivery.protocols.adapter import ProtocolAdapter

log = logging.getLogger(__name__)

PARTNER_UNUSABLE: Final = "partner_unusable"
_REFRESH_SECONDS: Final = 1.0  # a new or disabled operator is known after this time
_REDACTED_CHARACTERS_MIN: Final = 8
_REDACTED: Final = b"(secret)"


@dataclass(frozen=True, slots=True)
class Ready:
    """A partner that can be sent to."""

    partner: Partner
    adapter: ProtocolAdapter
    secret: str = field(repr=False)
    access: Access = NO_ACCESS
    connection: ConnectionOptions | None = None  # one for all its calls
    added: Mapping[str, str] = field(default_factory=dict, repr=False)  # headers of each call
    hidden: Sequence[bytes] = field(default=(), repr=False)  # what no stored answer may repeat

    @classmethod
    def of(
        cls, partner: Partner, adapter: ProtocolAdapter, *, secret: str, access: Access = NO_ACCESS
    ) -> Self:
        """Prepare what each call to *partner* needs. *secret* and *access* are decrypted."""
        return cls(
            partner,
            adapter,
            secret,
            access,
            connection=connection_options(access),
            added=added_headers(access, user_agent=partner.user_agent),
            hidden=tuple(
                text.encode()
                for text in (secret, *repeated_secrets(access))
                if len(text) >= _REDACTED_CHARACTERS_MIN
            ),
        )

    def authorized(self, request: OutgoingRequest) -> OutgoingRequest:
        """Return *request* with what the partner's gateway wants in its headers, if anything."""
        if not self.added:
            return request
        return replace(request, headers={**request.headers, **self.added})

    def with_token(self, request: OutgoingRequest, token: str) -> OutgoingRequest:
        """Return *request* with a token of its endpoint (RFC 6750)."""
        return replace(request, headers={**request.headers, "Authorization": f"Bearer {token}"})

    def redacted(self, result: CallResult, *, token: str | None = None) -> CallResult:
        """Return *result* without our secrets: what a partner repeats of them must not be stored.

        A secret of a few characters cannot be told from the rest of a response. *token*: the one
        that was sent.
        """
        if not isinstance(result, HttpResponse):
            return result
        shown = () if token is None or len(token) < _REDACTED_CHARACTERS_MIN else (token.encode(),)
        for secret in (*shown, *self.hidden):
            if secret in result.body or secret in b"".join(result.headers):
                result = replace(
                    result,
                    body=result.body.replace(secret, _REDACTED),
                    headers=[line.replace(secret, _REDACTED) for line in result.headers],
                )
        return result

    def explained(self, attempt: Attempt) -> Attempt:
        """Return *attempt*; if the partner locks us out, its problem names what was shown to it."""
        if attempt.http_status not in LOCKED_OUT or attempt.problem is None:
            return attempt
        if attempt.wallet_reported:  # it let us in
            return attempt
        shown = shown_access(self.access)
        if not shown:
            return attempt
        problem = f"{attempt.problem} to {shown} (slipway operators access {self.partner.code})"
        return replace(attempt, problem=problem)


@dataclass(frozen=True, slots=True)
class Unusable:
    """A partner that cannot be sent to until a person fixes what *problem* says."""

    partner: Partner
    problem: str


PartnerState = Ready | Unusable


class Partners:
    """The enabled partners, as of the last refresh. Each secret is decrypted once."""

    def __init__(
        self,
        vault: Vault,
        adapters: Mapping[str, ProtocolAdapter],
        *,
        monotonic: Callable[[], float],
        unusable: Callable[[Mapping[str, bool]], None] = lambda _: None,
    ) -> None:
        """*adapters*: by the operator's `protocol`. *unusable* is called after each refresh."""
        self._vault = vault
        self._adapters = adapters
        self._monotonic = monotonic
        self._unusable = unusable
        self._states: dict[int, PartnerState] = {}
        self._refresh_at = monotonic()

    @property
    def enabled(self) -> list[Partner]:
        """The enabled partners."""
        return [state.partner for state in self._states.values()]

    @property
    def unusable(self) -> Mapping[str, bool]:
        """Whether each enabled partner, by code, cannot be sent to."""
        return {state.partner.code: isinstance(state, Unusable) for state in self._states.values()}

    @property
    def is_stale(self) -> bool:
        """Whether it is time to refresh."""
        return self._monotonic() >= self._refresh_at

    def get(self, operator: int) -> PartnerState:
        """Return one of the enabled partners."""
        return self._states[operator]

    def refresh(self, connection: Connection, now: datetime) -> list[Partner]:
        """Read the enabled partners as of *now*, and return them."""
        self.replace(enabled_partners(connection, now=now))
        self._unusable(self.unusable)
        self._refresh_at = self._monotonic() + _REFRESH_SECONDS
        return self.enabled

    def replace(self, partners: Sequence[Partner]) -> None:
        """Take *partners* for the enabled ones."""
        known = self._states
        self._states = {}
        for partner in partners:
            state = known.get(partner.id)
            if state is None or state.partner != partner:
                state = self._prepare(partner)
            self._states[partner.id] = state

    def _prepare(self, partner: Partner) -> PartnerState:
        adapter = self._adapters.get(partner.protocol)
        if adapter is None:
            supported = ", ".join(sorted(self._adapters))
            return _unusable(
                partner, f"its protocol {partner.protocol} is not supported; supported: {supported}"
            )
        try:
            sealed = partner.access
            access = NO_ACCESS if sealed is None else open_access(sealed, self._vault)
        except DecryptionFailed as error:
            return _unusable(partner, f"its access cannot be decrypted: {error}")
        try:
            secret = self._vault.decrypt(partner.secret)
            return Ready.of(partner, adapter, secret=secret, access=access)
        except DecryptionFailed as error:
            return _unusable(partner, f"its secret cannot be decrypted: {error}")


def _unusable(partner: Partner, problem: str) -> Unusable:
    log.error(PARTNER_UNUSABLE, extra={"operator": partner.code, "problem": problem})
    return Unusable(partner, problem)
