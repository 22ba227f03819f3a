"""The partners as delivery needs them: each with its protocol adapter and its decrypted secret."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

from sqlalchemy import Connection

from models.operators.partners import enabled_partners
from models.outbox.values import Partner
from models.platform.encryption import DecryptionFailed, Vault
from worker.delivery.http.exchange import CallResult, HttpResponse
from worker.delivery.protocols.adapter import ProtocolAdapter

log = logging.getLogger(__name__)

PARTNER_UNUSABLE: Final = "partner_unusable"
_REFRESH_SECONDS: Final = 1.0  # a new or disabled operator is known after this time
_REDACTED_CHARACTERS_MIN: Final = 8


@dataclass(frozen=True, slots=True)
class Ready:
    """A partner that can be sent to."""

    partner: Partner
    adapter: ProtocolAdapter
    secret: str = field(repr=False)

    def redacted(self, result: CallResult) -> CallResult:
        """Return *result* without our secret: what a partner repeats of it must not be stored.

        A secret of a few characters cannot be told from the rest of a response.
        """
        if not isinstance(result, HttpResponse) or len(self.secret) < _REDACTED_CHARACTERS_MIN:
            return result
        secret = self.secret.encode()
        if secret not in result.body and not any(secret in line for line in result.headers):
            return result
        return replace(
            result,
            body=result.body.replace(secret, b"(secret)"),
            headers=[line.replace(secret, b"(secret)") for line in result.headers],
        )


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
            return Ready(partner, adapter, self._vault.decrypt(partner.secret))
        except DecryptionFailed as error:
            return _unusable(partner, f"its secret cannot be decrypted: {error}")


def _unusable(partner: Partner, problem: str) -> Unusable:
    log.error(PARTNER_UNUSABLE, extra={"operator": partner.code, "problem": problem})
    return Unusable(partner, problem)
