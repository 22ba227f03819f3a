"""Signing in through an OpenID Connect provider. Not behind the sign-in."""

import hmac
import logging
import time
from dataclasses import dataclass
from datetime import timedelta
from http import HTTPStatus
from typing import Annotated, Final, Self

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import RedirectResponse, Response
from sqlalchemy import Connection

from models.platform.blocking_threads import BlockingThreads
from models.platform.encryption import DecryptionFailed
from models.settings.settings import Settings
from models.users import (
    LocalUserExists,
    NewSession,
    UserDisabled,
    UserInvalid,
    UserUnknown,
    external_user,
    start_external_session,
)
from worker.console.addresses import PublicAddress, own_path
from worker.console.arrival import arrive, client_of, remote_of
from worker.console.console import Console, TheConsole
from worker.console.refusals import PageRefused, not_found
from worker.console.rendering import SEE_OTHER
from worker.console.sign_in.oidc import (
    ATTEMPT_SECONDS,
    CALLBACK,
    NotSignedIn,
    OidcProvider,
    SignInAttempt,
)
from worker.identity_provider.https_client import ProviderUnavailable

log = logging.getLogger(__name__)

ATTEMPT_COOKIE: Final = "oidc"
SOURCE: Final = "oidc"
_CODE_MAX: Final = 2000
_THREADS: Final = 2
_PATIENCE: Final = timedelta(seconds=5)

routes = APIRouter()


@dataclass(frozen=True, slots=True)
class IdentityProvider:
    """The provider, and the threads that wait for it: pages never do."""

    calls: OidcProvider
    threads: BlockingThreads

    @classmethod
    def of(cls, settings: Settings) -> Self | None:
        """Return the provider that is configured, if one is."""
        if settings.console_oidc_issuer is None:
            return None
        threads = BlockingThreads(_THREADS, patience=_PATIENCE)
        return cls(OidcProvider(settings, time.monotonic), threads)


def _provider_of(request: Request) -> IdentityProvider:
    provider = request.app.state.provider
    if provider is None:
        raise not_found("There is no page at this address.")
    assert isinstance(provider, IdentityProvider), "the application was built with one"
    return provider


TheProvider = Annotated[IdentityProvider, Depends(_provider_of)]


@routes.get("/sign-in/oidc")
async def leave(
    request: Request,
    console: TheConsole,
    provider: TheProvider,
    to: Annotated[str, Query()] = "/",
) -> Response:
    """Send the browser to the provider."""
    attempt = SignInAttempt.begin(own_path(to))
    try:
        address = await provider.threads.run(lambda: provider.calls.address_for(attempt))
    except ProviderUnavailable as error:
        raise _unavailable(error) from None
    response = RedirectResponse(address, SEE_OTHER)
    PublicAddress.of(console.settings, request).set_cookie(
        response, ATTEMPT_COOKIE, console.vault.encrypt(attempt.dump()), max_age=ATTEMPT_SECONDS
    )
    return response


@routes.get(CALLBACK)
async def come_back(
    request: Request,
    console: TheConsole,
    provider: TheProvider,
    code: Annotated[str, Query(max_length=_CODE_MAX)] = "",
    state: Annotated[str, Query(max_length=_CODE_MAX)] = "",
    iss: Annotated[str | None, Query(max_length=_CODE_MAX)] = None,
    error: Annotated[str | None, Query(max_length=_CODE_MAX)] = None,
) -> Response:
    """Sign in the person whom the provider has identified."""
    address = PublicAddress.of(console.settings, request)
    attempt = _attempt(request, console, address)
    if attempt is None or not hmac.compare_digest(attempt.state.encode(), state.encode()):
        raise _refused("this browser did not begin this sign-in, or began it too long ago")
    if iss is not None and iss != console.settings.console_oidc_issuer:
        raise _refused("the answer comes from another identity provider")
    if error is not None or not code:
        raise _refused(f"the identity provider says: {error or 'no code'}")
    session = await _session(request, console, provider, attempt, code)
    response = arrive(request, session, attempt.wanted)
    address.delete_cookie(response, ATTEMPT_COOKIE)
    return response


async def _session(
    request: Request,
    console: Console,
    provider: IdentityProvider,
    attempt: SignInAttempt,
    code: str,
) -> NewSession:
    now = await console.read(console.clock.now)
    try:
        person = await provider.threads.run(lambda: provider.calls.person(attempt, code, now=now))
    except ProviderUnavailable as error:
        raise _unavailable(error) from None
    except NotSignedIn as error:
        log.warning("oidc_refused", extra={"error": str(error)})
        raise _refused(str(error)) from None

    def begin(connection: Connection) -> NewSession:
        user = external_user(
            connection,
            source=SOURCE,
            subject=person.subject,
            name=person.name,
            role=person.role,
            now=now,
        )
        return start_external_session(
            connection,
            user,
            limits=console.sessions,
            remote=remote_of(request),
            client=client_of(request),
            now=now,
        )

    try:
        return await console.change(begin)
    except (LocalUserExists, UserDisabled, UserInvalid, UserUnknown) as error:
        raise _refused(str(error)) from None


def _attempt(request: Request, console: Console, address: PublicAddress) -> SignInAttempt | None:
    sealed = request.cookies.get(address.cookie_name(ATTEMPT_COOKIE), "")
    try:
        return SignInAttempt.load(console.vault.decrypt(sealed))
    except (DecryptionFailed, ValueError):
        return None


def _refused(why: str) -> PageRefused:
    return PageRefused(
        HTTPStatus.FORBIDDEN, "Not signed in", f"You are not signed in: {why}. Try again."
    )


def _unavailable(error: ProviderUnavailable) -> PageRefused:
    log.warning("oidc_unavailable", extra={"error": str(error)})
    return PageRefused(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "The identity provider does not respond",
        f"Nobody can sign in through it now: {error}. Try again in a moment.",
        headers={"Retry-After": "5"},
    )
