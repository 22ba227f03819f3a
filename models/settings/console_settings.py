"""The settings of the console: where people open it, and how they sign in."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Final

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings

from models.settings.errors import variable_name
from models.settings.types import (
    HttpsUrl,
    Networks,
    PositiveDuration,
    PublicUrl,
    RoleMapping,
    TraceUrl,
)

_CLIENT_SECRET: Final = variable_name("console_oidc_client_secret")
_EITHER_SECRET: Final = f"set either {_CLIENT_SECRET} or {_CLIENT_SECRET}_FILE"


class ConsoleSettings(BaseSettings):
    """What only the console reads; a part of `models.settings.settings.Settings`."""

    console_url: PublicUrl | None = Field(
        default=None, json_schema_extra={"shown_default": "the request's own address"}
    )
    """The address under which people open the console, with the path prefix if it has one:
    `https://ops.example.com/slipway`. With https, cookies are `Secure` and browsers are told to
    come back with https only; needed for OpenID Connect and for a path prefix."""

    console_proxy_networks: Networks = Field(
        default=(), json_schema_extra={"shown_default": "none"}
    )
    """Networks of the proxies in front of the console, separated by commas. Only from these are
    `X-Forwarded-For` and `X-Forwarded-Proto` believed."""

    console_proxy_user_header: str | None = None
    """A header in which those proxies name the person they have signed in, for instance
    `X-Forwarded-User`; they must remove it from what browsers send. Empty: nobody signs in so."""

    console_proxy_role_header: str | None = None
    """A header in which those proxies name the person's roles or groups, separated by commas."""

    console_roles: RoleMapping = Field(default=(), json_schema_extra={"shown_default": "none"})
    """What a role or group of a proxy or of OpenID Connect means here, separated by commas:
    `slipway-ops=operations,helpdesk=support,staff=viewer`. The highest one counts; without one the
    person needs an account (`slipway users add`)."""

    console_oidc_issuer: HttpsUrl | None = None
    """The OpenID Connect provider that people sign in with: `https://login.example.com/realms/ops`,
    as its `issuer` says. Needs `SLIPWAY_CONSOLE_URL`; register
    `<SLIPWAY_CONSOLE_URL>/sign-in/oidc/back` there."""

    console_oidc_client_id: str | None = None
    """The console's client id at the provider."""

    console_oidc_client_secret: SecretStr | None = None
    """The console's client secret at the provider."""

    console_oidc_client_secret_file: Path | None = None
    """A file with that secret, instead of the secret itself."""

    console_oidc_scope: str = "openid profile email"
    """What the provider is asked for; some need another scope for groups."""

    console_oidc_name_claim: str = "preferred_username"
    """The claim that names the person in the console."""

    console_oidc_role_claim: str = "groups"
    """The claim with the person's roles or groups: a text, or a list of texts."""

    console_oidc_networks: Networks = Field(default=(), json_schema_extra={"shown_default": "none"})
    """Private networks in which the provider may be, separated by commas."""

    console_oidc_ca_file: Path | None = None
    """The authority that issued the provider's certificate, if it is one of your own (PEM)."""

    console_session_max: PositiveDuration = timedelta(hours=12)
    """A person who signed in to the console must sign in again after this long."""

    console_session_idle: PositiveDuration = timedelta(hours=1)
    """A person who signed in to the console and makes no request for this long must sign in again.
    """

    console_trace_url: TraceUrl | None = None
    """The page of a trace in your tracing system, to which a ticket's page links:
    `https://tempo.example.com/trace/{trace_id}`, with the placeholder once, behind the host. Empty:
    the page shows the trace's id alone."""

    def console_problems(self) -> Iterator[str]:
        """Yield what contradicts each other, or is missing for a way to sign in."""
        if self.console_oidc_issuer is not None:
            for name in ("console_oidc_client_id", "console_url"):
                if getattr(self, name) is None:
                    issuer = variable_name("console_oidc_issuer")
                    yield f"{variable_name(name)} is not set, and {issuer} needs it"
            if None not in self._client_secrets():
                yield _EITHER_SECRET
        if self.console_proxy_user_header is not None and not self.console_proxy_networks:
            header = variable_name("console_proxy_user_header")
            yield f"{variable_name('console_proxy_networks')} is empty, and {header} needs it"

    def secret_problems(self) -> Iterator[str]:
        """Yield which secret is missing that no process has but the console."""
        if self.console_oidc_issuer is not None and not any(self._client_secrets()):
            yield _EITHER_SECRET

    def _client_secrets(self) -> tuple[SecretStr | None, Path | None]:
        return self.console_oidc_client_secret, self.console_oidc_client_secret_file
