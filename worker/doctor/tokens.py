"""Checks the token endpoints of partners: one token is fetched from each, and none is kept."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Final
from urllib.parse import urlsplit

from models.access.values import Access, ClientCredentials
from worker.delivery.gateway_access import connection_options
from worker.delivery.http.address_policy import may_connect
from worker.delivery.http.client import HttpClient
from worker.delivery.http.egress import CallRefused, check_proxied
from worker.delivery.http.limits import TransferLimits
from worker.delivery.token_step import fetch_token
from worker.doctor.at_once import ALL_MAX, PartCheck, run_at_once
from worker.doctor.finding import Finding, State, doubtful, ok, wrong
from worker.doctor.terms import addresses_of

# A call that takes as long as all checks may has no result, whichever ends first.
_CALL_MAX: Final = ALL_MAX + timedelta(seconds=1)
_FETCHED: Final = "its token endpoint issued a token"


@dataclass(frozen=True, slots=True)
class CheckedEndpoint:
    """An operator's token endpoint, with what a call of it needs."""

    code: str
    part: str
    what: str  # what the sentences call its access
    access: Access = field(repr=False)
    is_used: bool = True  # now; the credentials of a later one may not be valid yet
    user_agent: str | None = None
    timeout: timedelta | None = None  # the partner's own

    @property
    def credentials(self) -> ClientCredentials:
        """What the partner gave us."""
        assert self.access.oauth is not None, "chosen for that"
        return self.access.oauth


@dataclass(frozen=True, slots=True)
class TokenCheck:
    """How token endpoints are called: as every delivery does it. *fetches*: they are called."""

    limits: TransferLimits
    timeout: timedelta
    fetches: bool = True


def check_endpoints(
    endpoints: Sequence[CheckedEndpoint], check: TokenCheck, *, within: timedelta = ALL_MAX
) -> Iterator[Finding]:
    """Report what is wrong with an endpoint, and last how many issued a token.

    One that did not answer *within* that time is unknown.
    """
    checks = [PartCheck(endpoint.part, partial(_check, endpoint, check)) for endpoint in endpoints]
    fetched = 0
    for finding in run_at_once(checks, within=within) if checks else []:
        if finding.state is not State.OK:
            yield finding
        fetched += finding.detail == _FETCHED
    if fetched:
        yield ok("tokens", f"fetched for {fetched} of {len(checks)} partners whose calls carry one")


def _check(endpoint: CheckedEndpoint, check: TokenCheck) -> Finding:
    url = endpoint.credentials.token_url
    is_proxied = check.limits.egress.proxy_for(url) is not None
    addresses = [] if is_proxied else addresses_of(url)
    problem = _proxied_problem(url, check) if is_proxied else _problem(url, addresses, check)
    if problem is not None:
        return wrong(
            endpoint.part,
            f"the token endpoint of {endpoint.what} cannot be called: {problem}",
            remedy="correct token_url, or name its network in SLIPWAY_PARTNER_NETWORKS for the"
            f" deliverers: {_command(endpoint)}",
        )
    is_public = is_proxied or any(may_connect(address, allowed=()) for address in addresses)
    if is_public and urlsplit(url).scheme == "http":
        return doubtful(
            endpoint.part,
            f"the token URL of {endpoint.what} is http, not https: everyone on the way can read the"
            " client's secret and the tokens, so none was fetched to try it",
            remedy=f"ask the partner for an https address, and set it: {_command(endpoint)}",
        )
    if not (check.fetches and endpoint.is_used):
        return ok(endpoint.part, "its token endpoint may be called")
    return _fetch(endpoint, check)


def _fetch(endpoint: CheckedEndpoint, check: TokenCheck) -> Finding:
    client = HttpClient(check.limits, calls_max=1)
    try:
        step, _token = fetch_token(
            client,
            endpoint.credentials,
            code=endpoint.code,
            user_agent=endpoint.user_agent,
            connection=connection_options(endpoint.access),
            timeout=min(endpoint.timeout or check.timeout, _CALL_MAX),
        )
    finally:
        client.close()
    if step.problem is None:
        return ok(endpoint.part, _FETCHED)
    return wrong(
        endpoint.part,
        f"no token can be had: {step.problem}",
        remedy="nothing is sent to this partner until that is corrected, and nothing is lost:"
        f" {_command(endpoint)}",
    )


def _command(endpoint: CheckedEndpoint) -> str:
    return f"slipway operators access {endpoint.code} --file access.yaml"


def _proxied_problem(url: str, check: TokenCheck) -> str | None:
    try:
        check_proxied(url, allowed=check.limits.networks)
    except CallRefused as refusal:
        return str(refusal)
    return None


def _problem(url: str, addresses: Sequence[str], check: TokenCheck) -> str | None:
    host = urlsplit(url).hostname
    if not addresses:
        return f"{host} has no address"
    if any(may_connect(address, allowed=check.limits.networks) for address in addresses):
        return None
    return f"{host} is {addresses[0]}, a private address outside SLIPWAY_PARTNER_NETWORKS"
