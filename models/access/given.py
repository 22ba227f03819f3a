"""An access as a person or a program gives it: checked for its form, with its secrets inline."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from models.access.certificates import client_certificate
from models.access.check import PEM_CHARACTERS_MAX, VALUE_CHARACTERS_MAX
from models.access.pem import plain_certificates
from models.access.values import Access, Basic, ClientCertificate, ClientCredentials, Header

_FORM = ConfigDict(extra="forbid", hide_input_in_errors=True)
Secret = Annotated[SecretStr, Field(max_length=VALUE_CHARACTERS_MAX)]
Pem = Annotated[str, Field(max_length=PEM_CHARACTERS_MAX, examples=["-----BEGIN CERTIFICATE-----"])]
Text = Annotated[str, Field(max_length=VALUE_CHARACTERS_MAX)]


class GivenHeader(BaseModel):
    """A header of each call. *secret*: its value is never shown again."""

    model_config = _FORM

    name: Annotated[str, Field(max_length=1000, examples=["X-Api-Key"])]
    value: Secret
    secret: bool = True


class GivenBasic(BaseModel):
    """A user and a password."""

    model_config = _FORM

    user: Text
    password: Secret


class GivenClientCredentials(BaseModel):
    """OAuth 2 client credentials. *in_body*: id and secret are sent in the form, not as Basic."""

    model_config = _FORM

    token_url: Annotated[str, Field(max_length=2000, examples=["https://login.example/token"])]
    client_id: Text
    client_secret: Secret
    scope: Text | None = None
    audience: Text | None = None
    in_body: bool = False


class GivenCertificate(BaseModel):
    """A client certificate with its chain, and its key, both PEM."""

    model_config = _FORM

    chain: Pem
    key: Annotated[SecretStr, Field(max_length=PEM_CHARACTERS_MAX)]
    passphrase: Secret | None = None


class GivenAccess(BaseModel):
    """All that the calls to a partner carry for what stands in front of it; empty: nothing."""

    model_config = _FORM

    headers: list[GivenHeader] = Field(default_factory=list, max_length=1000)
    basic: GivenBasic | None = None
    bearer: Secret | None = None
    oauth: GivenClientCredentials | None = None
    certificate: GivenCertificate | None = None
    authorities: Pem | None = None

    def access(self) -> Access:
        """Return the values. Raises ValueError for a key that cannot be read."""
        basic, oauth = self.basic, self.oauth
        return Access(
            headers=tuple(
                Header(header.name, header.value.get_secret_value(), header.secret)
                for header in self.headers
            ),
            basic=None if basic is None else Basic(basic.user, basic.password.get_secret_value()),
            bearer=None if self.bearer is None else self.bearer.get_secret_value(),
            oauth=None
            if oauth is None
            else ClientCredentials(
                oauth.token_url,
                oauth.client_id,
                oauth.client_secret.get_secret_value(),
                oauth.scope,
                oauth.audience,
                oauth.in_body,
            ),
            certificate=None if self.certificate is None else _certificate(self.certificate),
            authorities=None if self.authorities is None else plain_certificates(self.authorities),
        )


def _certificate(given: GivenCertificate) -> ClientCertificate:
    passphrase = given.passphrase
    return client_certificate(
        given.chain,
        given.key.get_secret_value(),
        passphrase=None if passphrase is None else passphrase.get_secret_value(),
    )
