"""OpenID Connect: the authorization code flow with PKCE, state and nonce.

Authlib checks the claims and builds the requests; the calls go through `worker.identity_provider`.
"""

import json
import secrets
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, Self

from authlib.oauth2.rfc6749.parameters import prepare_grant_uri
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from models.platform.errors import SlipwayError
from models.settings.settings import Settings
from models.users import Role
from worker.console.sign_in.roles import mapped_role, names_in
from worker.identity_provider.https_client import ProviderUnavailable
from worker.identity_provider.provider import client_secret, discover, json_object, open_client

CALLBACK: Final = "/sign-in/oidc/back"
ATTEMPT_SECONDS: Final = 600  # in which a person must come back from the provider
# Signatures with a private key; `none` and shared secrets are no proof.
_ALGORITHMS: Final = ("RS256", "PS256", "ES256", "ES384", "RS384", "RS512", "EdDSA", "Ed25519")
_FRESH: Final = timedelta(minutes=10)  # then metadata and keys are fetched again
_RETRIED: Final = timedelta(seconds=30)  # keys, if a token names an unknown one
_LEEWAY_SECONDS: Final = 60
_RANDOM_BYTES: Final = 32


class NotSignedIn(SlipwayError):
    """The provider signed nobody in, or what it says does not hold."""


@dataclass(frozen=True, slots=True)
class SignInAttempt:
    """What the browser keeps, encrypted, until it comes back from the provider."""

    state: str
    nonce: str = field(repr=False)
    verifier: str = field(repr=False)
    wanted: str  # the page to go to

    @classmethod
    def begin(cls, wanted: str) -> Self:
        """Return an attempt with new random values."""
        state, nonce, verifier = (secrets.token_urlsafe(_RANDOM_BYTES) for _ in range(3))
        return cls(state, nonce, verifier, wanted)

    def dump(self) -> str:
        """Return it as text, to be encrypted."""
        return json.dumps({"oidc": [self.state, self.nonce, self.verifier, self.wanted]})

    @classmethod
    def load(cls, text: str) -> Self:
        """Return what `dump` gave. Raises ValueError for anything else."""
        try:
            state, nonce, verifier, wanted = json.loads(text)["oidc"]
        except (KeyError, TypeError) as error:
            raise ValueError("not an attempt to sign in") from error
        return cls(state, nonce, verifier, wanted)


@dataclass(frozen=True, slots=True)
class OidcPerson:
    """Whom the provider has identified: the subject never changes, the name may."""

    subject: str
    name: str
    role: Role | None


class OidcProvider:
    """The provider of `SLIPWAY_CONSOLE_OIDC_ISSUER`. Its methods block; safe in any thread."""

    def __init__(self, settings: Settings, monotonic: Callable[[], float]) -> None:
        """Prepare; the first sign-in connects. Raises InvalidSettings for a file that is no use."""
        assert settings.console_oidc_issuer is not None, "else there is no provider"
        assert settings.console_oidc_client_id is not None, "checked with the settings"
        assert settings.console_url is not None, "checked with the settings"
        self._settings = settings
        self._issuer = settings.console_oidc_issuer
        self._client_id = settings.console_oidc_client_id
        self._secret = client_secret(settings)
        self._callback = settings.console_url + CALLBACK
        self._https = open_client(settings)
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._metadata: tuple[float, Mapping[str, Any]] | None = None
        self._keys: tuple[float, KeySet] | None = None

    def address_for(self, attempt: SignInAttempt) -> str:
        """Return where the browser goes to sign in. Raises ProviderUnavailable."""
        return str(
            prepare_grant_uri(
                self._endpoint("authorization_endpoint"),
                self._client_id,
                "code",
                redirect_uri=self._callback,
                scope=self._settings.console_oidc_scope,
                state=attempt.state,
                nonce=attempt.nonce,
                code_challenge=create_s256_code_challenge(attempt.verifier),
                code_challenge_method="S256",
            )
        )

    def person(self, attempt: SignInAttempt, code: str, *, now: datetime) -> OidcPerson:
        """Exchange the code and return whom it stands for.

        Raises NotSignedIn, ProviderUnavailable.
        """
        tokens = self._tokens(attempt, code)
        claims = self._verified(tokens, attempt, now)
        wanted = (self._settings.console_oidc_name_claim, self._settings.console_oidc_role_claim)
        if any(name not in claims for name in wanted) and "access_token" in tokens:
            claims = {**self._user_info(tokens["access_token"], claims["sub"]), **claims}
        name = next(
            (
                claims[claim]
                for claim in (wanted[0], "email", "sub")
                if isinstance(claims.get(claim), str) and claims[claim]
            ),
            "",
        )
        role = mapped_role(names_in(claims.get(wanted[1])), self._settings.console_roles)
        return OidcPerson(f"{self._issuer} {claims['sub']}", name, role)

    def _tokens(self, attempt: SignInAttempt, code: str) -> dict[str, Any]:
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self._callback,
            "code_verifier": attempt.verifier,
        }
        client = (self._client_id, self._secret)
        tokens = json_object(
            self._https.post(self._endpoint("token_endpoint"), form, client=client), self._issuer
        )
        if not isinstance(tokens.get("id_token"), str):
            raise NotSignedIn("the identity provider sent no id token")
        return tokens

    def _verified(
        self, tokens: Mapping[str, Any], attempt: SignInAttempt, now: datetime
    ) -> dict[str, Any]:
        """Return the claims of the id token if all of them hold. Raises NotSignedIn."""
        options = {
            "iss": {"essential": True, "value": self._issuer},
            "aud": {"essential": True, "value": self._client_id},
            "sub": {"essential": True},
        }
        expected = {
            "nonce": attempt.nonce,
            "client_id": self._client_id,
            "access_token": tokens.get("access_token"),
        }
        try:
            token = self._decoded(tokens["id_token"])
            claims = CodeIDToken(token.claims, token.header, options, expected)
            claims.validate(now=int(now.timestamp()), leeway=_LEEWAY_SECONDS)
        except (JoseError, ValueError) as error:
            raise NotSignedIn(f"the id token does not hold: {error}") from None
        return dict(claims)

    def _decoded(self, id_token: str) -> jwt.Token:
        try:
            return jwt.decode(id_token, self._key_set(_FRESH), algorithms=_ALGORITHMS)
        except (JoseError, ValueError):  # perhaps a key that is newer than ours
            return jwt.decode(id_token, self._key_set(_RETRIED), algorithms=_ALGORITHMS)

    def _user_info(self, access_token: object, subject: object) -> dict[str, Any]:
        """Return the claims of the user-info endpoint, if they are the same person's."""
        if not isinstance(access_token, str) or "userinfo_endpoint" not in self._discovered():
            return {}
        claims = json_object(
            self._https.get(self._endpoint("userinfo_endpoint"), token=access_token), self._issuer
        )
        if claims.get("sub") != subject:
            raise NotSignedIn("the identity provider's user info is about somebody else")
        return claims

    def _endpoint(self, name: str) -> str:
        address = self._discovered().get(name)
        if not isinstance(address, str) or not address.startswith("https://"):
            raise ProviderUnavailable(f"the identity provider names no https address as its {name}")
        return address

    def _discovered(self) -> Mapping[str, Any]:
        with self._lock:
            known = self._metadata
        if known is not None and self._monotonic() - known[0] < _FRESH.total_seconds():
            return known[1]
        metadata = discover(self._https, self._issuer)
        with self._lock:
            self._metadata = (self._monotonic(), metadata)
        return metadata

    def _key_set(self, fresh: timedelta) -> KeySet:
        with self._lock:
            known = self._keys
        if known is not None and self._monotonic() - known[0] < fresh.total_seconds():
            return known[1]
        document: Any = json_object(self._https.get(self._endpoint("jwks_uri")), self._issuer)
        try:
            keys = KeySet.import_key_set(document)
        except (JoseError, ValueError, KeyError, TypeError):
            raise ProviderUnavailable("the identity provider's keys cannot be read") from None
        with self._lock:
            self._keys = (self._monotonic(), keys)
        return keys
