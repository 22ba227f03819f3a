"""The partners as delivery needs them: which dialect each speaks, and its secret, opened."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from models.outbox.values import Partner
from models.platform.encryption import DecryptionFailed, Vault
from worker.delivery.http.exchange import HttpResponse, Reply
from worker.delivery.protocols.adapter import ProtocolAdapter

log = logging.getLogger(__name__)

PARTNER_UNUSABLE: Final = "partner_unusable"
_VEILED_CHARACTERS_MIN: Final = 8


@dataclass(frozen=True, slots=True)
class Ready:
    """A partner that can be sent to."""

    partner: Partner
    dialect: ProtocolAdapter
    secret: str = field(repr=False)

    def veiled(self, reply: Reply) -> Reply:
        """Give *reply* without our secret: what a partner repeats of it must not be kept.

        A secret of a few characters cannot be told from the rest of an answer.
        """
        if not isinstance(reply, HttpResponse) or len(self.secret) < _VEILED_CHARACTERS_MIN:
            return reply
        secret = self.secret.encode()
        if secret not in reply.body:
            return reply
        return replace(reply, body=reply.body.replace(secret, b"(secret)"))


@dataclass(frozen=True, slots=True)
class Unusable:
    """A partner that cannot be sent to until somebody mends what *problem* says."""

    partner: Partner
    problem: str


Account = Ready | Unusable


class Partners:
    """The enabled partners, as of the last `renew`. Each secret is opened once."""

    def __init__(self, vault: Vault, dialects: Mapping[str, ProtocolAdapter]) -> None:
        """*dialects*: by the operator's `protocol`."""
        self._vault = vault
        self._dialects = dialects
        self._accounts: dict[int, Account] = {}

    @property
    def partners(self) -> list[Partner]:
        """The enabled partners."""
        return [account.partner for account in self._accounts.values()]

    @property
    def unusable(self) -> Mapping[str, bool]:
        """Say of each enabled partner, by code, whether it cannot be sent to."""
        return {one.partner.code: isinstance(one, Unusable) for one in self._accounts.values()}

    def of(self, operator: int) -> Account:
        """Give the account of one of `partners`."""
        return self._accounts[operator]

    def renew(self, partners: Sequence[Partner]) -> None:
        """Take over the partners as the database has them now."""
        known = self._accounts
        self._accounts = {}
        for partner in partners:
            account = known.get(partner.id)
            if account is None or account.partner != partner:
                account = self._opened(partner)
            self._accounts[partner.id] = account

    def _opened(self, partner: Partner) -> Account:
        dialect = self._dialects.get(partner.protocol)
        if dialect is None:
            spoken = ", ".join(sorted(self._dialects))
            return _unusable(partner, f"its protocol is {partner.protocol}; spoken here: {spoken}")
        try:
            return Ready(partner, dialect, self._vault.open(partner.secret))
        except DecryptionFailed as error:
            return _unusable(partner, f"its secret cannot be opened: {error}")


def _unusable(partner: Partner, problem: str) -> Unusable:
    log.error(PARTNER_UNUSABLE, extra={"operator": partner.code, "problem": problem})
    return Unusable(partner, problem)
