"""Which of an operator's secrets signs, and which are accepted, during a rotation.

A rotation has two moments: until `switch_at` the old secret signs, afterwards the new one; until
`forget_at` either is accepted. So both parties can change over without exact timing.
"""

import hashlib
from dataclasses import dataclass, field
from datetime import datetime

from models.platform.encryption import Vault


@dataclass(frozen=True, slots=True)
class EncryptedSecrets:
    """An operator's secrets as its row holds them: encrypted, two of them during a rotation."""

    secret: str = field(repr=False)
    next_secret: str | None = field(default=None, repr=False)
    switch_at: datetime | None = None
    forget_at: datetime | None = None

    @property
    def version(self) -> str:
        """Digest of what is stored, which discloses none of it: another one after every change."""
        stored = f"{self.secret} {self.next_secret} {self.switch_at} {self.forget_at}"
        return hashlib.sha256(stored.encode()).hexdigest()[:16]

    def signing(self, now: datetime) -> str:
        """Return the secret that signs at *now*, still encrypted."""
        if self.next_secret is None or self.switch_at is None or now < self.switch_at:
            return self.secret
        return self.next_secret

    def verifying(self, now: datetime) -> tuple[str, ...]:
        """Return the secrets accepted at *now*, still encrypted, the signing one first."""
        if self.next_secret is None or self.forget_at is None:
            return (self.secret,)
        if now >= self.forget_at:
            return (self.next_secret,)
        both = (self.secret, self.next_secret)
        return both if self.signing(now) == self.secret else both[::-1]


def signing_secret(secrets: EncryptedSecrets, vault: Vault, now: datetime) -> str:
    """Decrypt the secret that signs at *now*. Raises DecryptionFailed."""
    return vault.decrypt(secrets.signing(now))


def verifying_secrets(secrets: EncryptedSecrets, vault: Vault, now: datetime) -> tuple[str, ...]:
    """Decrypt the secrets that a signature may be made with at *now*, the likeliest first.

    One, or two during a rotation: for `models.platform.signing.verify`. Raises DecryptionFailed.
    """
    return tuple(vault.decrypt(secret) for secret in secrets.verifying(now))
