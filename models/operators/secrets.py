"""Which of an operator's secrets signs, and which are accepted, while one is being exchanged.

An exchange has two moments: until `switch_at` the old secret signs, from then on the new one; until
`forget_at` either is accepted. Both parties can so change over without being exact to the second.
"""

from dataclasses import dataclass, field
from datetime import datetime

from models.platform.encryption import Vault


@dataclass(frozen=True, slots=True)
class EncryptedSecrets:
    """An operator's secrets as its row holds them: sealed, the new one only during an exchange."""

    secret: str = field(repr=False)
    next_secret: str | None = field(default=None, repr=False)
    switch_at: datetime | None = None
    forget_at: datetime | None = None

    def signing(self, now: datetime) -> str:
        """Give the one that signs at *now*, still sealed."""
        if self.next_secret is None or self.switch_at is None or now < self.switch_at:
            return self.secret
        return self.next_secret

    def verifying(self, now: datetime) -> tuple[str, ...]:
        """Give those that are accepted at *now*, still sealed; the one that signs is the first."""
        if self.next_secret is None or self.forget_at is None:
            return (self.secret,)
        if now >= self.forget_at:
            return (self.next_secret,)
        both = (self.secret, self.next_secret)
        return both if self.signing(now) == self.secret else both[::-1]


def signing_secret(sealed: EncryptedSecrets, vault: Vault, now: datetime) -> str:
    """Open the secret that signs at *now*. Raises NoKeyOpensIt."""
    return vault.open(sealed.signing(now))


def verifying_secrets(sealed: EncryptedSecrets, vault: Vault, now: datetime) -> tuple[str, ...]:
    """Open the secrets that a signature may be made with at *now*, the likeliest first.

    One, or two while a secret is being exchanged: for `models.platform.signing.verify`.
    Raises NoKeyOpensIt.
    """
    return tuple(vault.open(one) for one in sealed.verifying(now))
