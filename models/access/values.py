"""A partner's access, decrypted: what its calls carry for the gateway in front of it.

Every secret is left out of a `repr`; `Access.secrets` lists what no log and no page may hold.
"""

from dataclasses import dataclass, field
from typing import Final


@dataclass(frozen=True, slots=True)
class Header:
    """A header of our own in every call."""

    name: str
    value: str = field(repr=False)
    secret: bool = True


@dataclass(frozen=True, slots=True)
class Basic:
    """A user and a password (RFC 7617)."""

    user: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class ClientCredentials:
    """OAuth 2 client credentials (RFC 6749, 4.4). *in_body*: id and secret go into the form."""

    token_url: str
    client_id: str
    client_secret: str = field(repr=False)
    scope: str | None = None
    audience: str | None = None
    in_body: bool = False


@dataclass(frozen=True, slots=True)
class ClientCertificate:
    """A certificate with its chain, and its unencrypted key, both PEM."""

    chain: str
    key: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Access:
    """How Slipway gets through to a partner. At most one of basic, bearer and oauth."""

    headers: tuple[Header, ...] = ()
    basic: Basic | None = None
    bearer: str | None = field(default=None, repr=False)
    oauth: ClientCredentials | None = None
    certificate: ClientCertificate | None = None
    authorities: str | None = None  # PEM: the partner's own, instead of those trusted for all

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must never be shown."""
        values = [header.value for header in self.headers if header.secret]
        if self.basic is not None:
            values.append(self.basic.password)
        if self.bearer is not None:
            values.append(self.bearer)
        if self.oauth is not None:
            values.append(self.oauth.client_secret)
        if self.certificate is not None:
            values.append(self.certificate.key)
        return tuple(values)


NO_ACCESS: Final = Access()
