"""What a token endpoint is sent, and what its response means (RFC 6749, 4.4, 5.1 and 5.2)."""

import json
import re
from base64 import b64encode
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from math import isfinite
from typing import Any, Final
from urllib.parse import quote_plus, urlencode

from models.access.values import ClientCredentials
from models.notices.request import OutgoingRequest
from worker.delivery.http.exchange import CallResult, HttpResponse
from worker.delivery.response_headers import masked_address, redirect_note

TOKEN_CHARACTERS_MAX: Final = 16 * 1024
LIFETIME_UNSAID: Final = timedelta(minutes=5)
LIFETIME_MIN: Final = timedelta(seconds=10)  # below, each notice would need a token of its own
LIFETIME_MAX: Final = timedelta(days=1)
_DESCRIPTION_CHARACTERS_MAX: Final = 200
_REDACTED_CHARACTERS_MIN: Final = 8  # a shorter one cannot be told from the rest of a text
_TOKEN: Final = re.compile(r"[!-~]+")
_DIGITS: Final = re.compile(r"[0-9]{1,18}")
_ERROR: Final = re.compile(r"[A-Za-z0-9_.:/-]{1,80}")
_BEARER: Final = "bearer"
_SUCCESSES: Final = range(200, 300)
_REDIRECTS: Final = range(300, 400)
_NOT_FOUND: Final = frozenset({404, 405, 410})
_CREDENTIALS_REFUSED: Final = frozenset({401, 403})
# Begins the problem of an attempt or a ping; `models.outbox.causes` knows it.
NOTHING_SENT: Final = "no token could be had, so nothing was sent: "
_CREDENTIALS: Final = "correct client_id and client_secret, or in_body if it wants them in the form"
_ADVICE: Final = {
    "invalid_client": _CREDENTIALS,
    "invalid_scope": "correct scope",
    "invalid_target": "correct audience",
    "invalid_request": "it misses something: scope, audience or in_body",
    "unauthorized_client": "ask the partner to allow this client the grant client_credentials",
    "unsupported_grant_type": "ask the partner for an endpoint with the grant client_credentials",
}


class TokenOutcome(StrEnum):
    """How a call of a token endpoint ended, for the metrics."""

    GRANTED = "granted"
    REFUSED = "refused"  # it responded, without a token that can be used
    NO_RESPONSE = "no_response"


@dataclass(frozen=True, slots=True)
class Granted:
    """The endpoint issued a token, which may be used for *lifetime*."""

    token: str = field(repr=False)
    lifetime: timedelta


@dataclass(frozen=True, slots=True)
class NotGranted:
    """There is no token. *retry_after*: the header of that name, as it came."""

    problem: str
    outcome: TokenOutcome
    retry_after: str | None = None


def token_request(credentials: ClientCredentials, *, user_agent: str | None) -> OutgoingRequest:
    """Build the request for a token. *user_agent*: the partner's own, if it has one."""
    form = {"grant_type": "client_credentials"}
    if credentials.scope is not None:
        form["scope"] = credentials.scope
    if credentials.audience is not None:
        form["audience"] = credentials.audience
    headers = {
        "Content-Type": "application/x-www-form-urlencoded",
        "Accept": "application/json",
    }
    if user_agent is not None:
        headers["User-Agent"] = user_agent
    if credentials.in_body:
        form |= {"client_id": credentials.client_id, "client_secret": credentials.client_secret}
    else:
        headers["Authorization"] = f"Basic {encoded_client(credentials)}"
    return OutgoingRequest(credentials.token_url, headers, urlencode(form).encode())


def encoded_client(credentials: ClientCredentials) -> str:
    """Return id and secret as Basic sends them: each form-encoded first (RFC 6749, 2.3.1)."""
    pair = f"{quote_plus(credentials.client_id)}:{quote_plus(credentials.client_secret)}"
    return b64encode(pair.encode()).decode()


def secret_forms(credentials: ClientCredentials) -> tuple[str, ...]:
    """Return the secret in the forms in which it is sent, which a response may repeat."""
    secret = credentials.client_secret
    return tuple({secret, quote_plus(secret), encoded_client(credentials)})


def shown_endpoint(credentials: ClientCredentials) -> str:
    """Return the endpoint's address without what may be secret in it."""
    return masked_address(credentials.token_url)


def read_token(
    result: CallResult, credentials: ClientCredentials, *, code: str
) -> Granted | NotGranted:
    """Return the token, or why there is none and what to change for the operator *code*."""
    endpoint = f"the token endpoint {shown_endpoint(credentials)}"
    if not isinstance(result, HttpResponse):
        problem = f"{endpoint} gave no response: {result.problem}"
        return NotGranted(problem, TokenOutcome.NO_RESPONSE)
    met = _granted(result) if result.status in _SUCCESSES else _refusal(result, credentials)
    if isinstance(met, Granted):
        return met
    problem = f"{endpoint} answered {result.status}{met} (slipway operators access {code})"
    for form in secret_forms(credentials):  # it may stand in the path of a redirect
        if len(form) >= _REDACTED_CHARACTERS_MIN:
            problem = problem.replace(form, "(secret)")
    return NotGranted(problem, TokenOutcome.REFUSED, result.retry_after)


def _granted(response: HttpResponse) -> Granted | str:  # noqa: PLR0911 - one for each mistake
    """Return the token of a success, or what is wrong with it; no word of what it holds."""
    if response.truncated:
        return f" with more than {len(response.body) // 1024} KiB: correct token_url"
    document = _document(response)
    if document is None:
        return " with what is not a JSON object: correct token_url"
    token, kind = document.get("access_token"), document.get("token_type", _BEARER)
    if not isinstance(token, str) or not token:
        return " without an access_token: correct token_url, or ask the partner"
    if not isinstance(kind, str) or kind.lower() != _BEARER:
        return " with a token that is not of the type Bearer, which is all that Slipway sends"
    if len(token) > TOKEN_CHARACTERS_MAX:
        return f" with a token of more than {TOKEN_CHARACTERS_MAX // 1024} KiB: ask the partner"
    if _TOKEN.fullmatch(token) is None:
        return " with a token that no header can hold: ask the partner"
    return Granted(token, read_lifetime(document.get("expires_in")))


def read_lifetime(expires_in: object) -> timedelta:
    """Read `expires_in`: seconds, as a number or as digits. Returns from 10 s to one day."""
    if isinstance(expires_in, str) and _DIGITS.fullmatch(expires_in):
        expires_in = int(expires_in)
    if isinstance(expires_in, bool) or not isinstance(expires_in, int | float):
        return LIFETIME_UNSAID
    if isinstance(expires_in, float) and not isfinite(expires_in):
        return LIFETIME_UNSAID
    seconds = min(max(expires_in, LIFETIME_MIN.total_seconds()), LIFETIME_MAX.total_seconds())
    return timedelta(seconds=seconds)


def _refusal(response: HttpResponse, credentials: ClientCredentials) -> str:
    """Return what stands behind the status, and what to change."""
    if response.status in _REDIRECTS:
        return f"{redirect_note(response)}; redirects are not followed: correct token_url"
    document = _document(response) or {}
    error = _shown(document.get("error"), credentials)
    known = error is not None and _ERROR.fullmatch(error) is not None
    text = f" {error}" if known else ""
    description = _shown(document.get("error_description"), credentials)
    if description is not None:
        text += f" ({description[:_DESCRIPTION_CHARACTERS_MAX]})"
    advice = _ADVICE.get(error or "")
    if advice is None and response.status in _CREDENTIALS_REFUSED:
        advice = _CREDENTIALS
    if advice is None and response.status in _NOT_FOUND:
        advice = "correct token_url"
    return text if advice is None else f"{text}: {advice}"


def _document(response: HttpResponse) -> dict[str, Any] | None:
    """Read a JSON object; a byte that is not UTF-8, as in a description, spoils nothing else."""
    try:
        document = json.loads(response.body.decode("utf-8-sig", "replace"))
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def _shown(text: object, credentials: ClientCredentials) -> str | None:
    """Return a text of the endpoint for people; None if it repeats the secret, or is no text."""
    if not isinstance(text, str) or any(form in text for form in secret_forms(credentials)):
        return None
    shown = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text).strip()
    return shown or None
