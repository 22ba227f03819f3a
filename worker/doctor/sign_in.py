"""Checks the OpenID Connect provider that people sign in to the console with."""

from collections.abc import Iterator
from typing import Final

from models.settings.errors import InvalidSettings
from models.settings.settings import Settings
from models.settings.urls import shown_host
from worker.doctor.finding import Finding, doubtful, ok, wrong
from worker.identity_provider.https_client import ProviderUnavailable
from worker.identity_provider.provider import NotTheProvider, client_secret, discover, open_client

SIGN_IN: Final = "sign-in provider"
_ELSEWHERE: Final = "unless this is not the console's machine, and all is well there"


def check_sign_in(settings: Settings) -> Iterator[Finding]:
    """Read the files that the settings name, and what the provider says of itself.

    A console may run elsewhere, with files and a way to the provider that are missing here.
    """
    issuer = settings.console_oidc_issuer
    if issuer is None:
        return
    try:
        client_secret(settings)
        https = open_client(settings)
    except InvalidSettings as error:
        yield doubtful(
            SIGN_IN,
            f"the console does not start: {'; '.join(error.problems)}",
            remedy=f"mount the file where the console runs, {_ELSEWHERE}",
        )
        return
    try:
        discover(https, issuer)
    except NotTheProvider as error:
        yield wrong(
            SIGN_IN,
            f"nobody can sign in: {error}",
            remedy="set SLIPWAY_CONSOLE_OIDC_ISSUER to the `issuer` that the provider shows under"
            " /.well-known/openid-configuration",
        )
    except ProviderUnavailable as error:
        yield doubtful(
            SIGN_IN,
            f"nobody can sign in: {error}",
            remedy="correct SLIPWAY_CONSOLE_OIDC_ISSUER, let the console through to it, or start"
            f" the provider, {_ELSEWHERE}",
        )
    else:
        yield ok(SIGN_IN, f"{shown_host(issuer)} is the provider of SLIPWAY_CONSOLE_OIDC_ISSUER")
