"""Checks what calls carry for partners' gateways: certificates, the key, the token endpoint."""

import socket
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final
from urllib.parse import urlsplit

from sqlalchemy import Connection, text

from models.access.document import open_access
from models.access.facts import expiries, token_url
from models.platform.encryption import DecryptionFailed, Vault
from models.platform.timestamps import format_timestamp
from worker.delivery.http.address_policy import Network, may_connect
from worker.delivery.http.egress import DIRECT, CallRefused, Egress, check_proxied
from worker.doctor.at_once import PartCheck, run_at_once
from worker.doctor.finding import Finding, doubtful, ok, wrong

ACCESS: Final = "access"
SOON: Final = timedelta(days=30)
_OPERATORS_MAX: Final = 200

ACCESSES: Final = text("""
    SELECT code, access, access_facts, next_access, next_access_facts, access_switch_at
      FROM operator
     WHERE ended_at IS NULL AND (access IS NOT NULL OR access_switch_at IS NOT NULL)
     ORDER BY code LIMIT :limit
""")


@dataclass(frozen=True, slots=True)
class CheckedAccess:
    """One access of an operator: the one in force, or the one that replaces it."""

    code: str
    sealed: str | None = field(repr=False)  # None: calls carry nothing
    facts: Mapping[str, Any]
    since: datetime | None = None  # it is not in force before

    @property
    def part(self) -> str:
        """What the findings are about."""
        return f"{ACCESS} of {self.code}"

    @property
    def what(self) -> str:
        """What the sentences call it."""
        if self.since is None:
            return "the access"
        return f"the access used from {format_timestamp(self.since, 'seconds')} on"


def read_accesses(connection: Connection, *, now: datetime) -> list[CheckedAccess]:
    """Read the accesses of the first 200 operators by code that have any."""
    accesses = []
    for row in connection.execute(ACCESSES, {"limit": _OPERATORS_MAX}):
        switch_at = row.access_switch_at
        if switch_at is None or switch_at > now:
            accesses.append(CheckedAccess(row.code, row.access, row.access_facts or {}))
        if switch_at is not None:
            since = switch_at if switch_at > now else None
            facts = row.next_access_facts or {}
            accesses.append(CheckedAccess(row.code, row.next_access, facts, since))
    return accesses


def check_accesses(
    accesses: Sequence[CheckedAccess],
    *,
    vault: Vault,
    networks: Sequence[Network],
    now: datetime,
    egress: Egress = DIRECT,
) -> Iterator[Finding]:
    """Report what cannot be decrypted, what has expired or will, and where no token is fetched."""
    if not accesses:
        return
    findings = [
        *(finding for access in accesses for finding in _check_stored(access, vault, now)),
        *_token_endpoints(accesses, networks, egress),
    ]
    yield from findings
    if not findings:
        yield ok(ACCESS, _summary(accesses))


def _summary(accesses: Sequence[CheckedAccess]) -> str:
    in_force = sum(access.since is None and access.sealed is not None for access in accesses)
    waiting = [access for access in accesses if access.since is not None]
    switches = "".join(
        f"; {access.code} switches at {format_timestamp(access.since, 'seconds')}"
        for access in waiting
        if access.since is not None
    )
    return f"all can be decrypted and none expires within {SOON.days} days: {in_force}{switches}"


def _check_stored(access: CheckedAccess, vault: Vault, now: datetime) -> Iterator[Finding]:
    try:
        if access.sealed is not None:
            open_access(access.sealed, vault)
    except DecryptionFailed:
        yield wrong(
            access.part,
            f"no key in SLIPWAY_SECRET_KEY decrypts {access.what}: nothing can be sent with it",
            remedy="put the key that encrypted it back behind the present ones, or enter it again:"
            f" slipway operators access {access.code} --file access.yaml",
        )
    for what, moment in expiries(access.facts):
        # The one that waits must hold from its moment on.
        left = moment - max(now, access.since or now)
        if left > SOON:
            continue
        state, verb = (wrong, "expired") if left <= timedelta() else (doubtful, "expires")
        if access.since is not None:
            verb = "expires"
        yield state(
            access.part,
            f"the {what} of {access.what} {verb} at {format_timestamp(moment, 'seconds')}",
            remedy="ask the partner for a new one, and set it before:"
            f" slipway operators access {access.code} --file access.yaml --switch-at TIME",
        )


def _token_endpoints(
    accesses: Sequence[CheckedAccess], networks: Sequence[Network], egress: Egress
) -> list[Finding]:
    checks = [
        PartCheck(access.part, partial(_check_endpoint, access, url, networks, egress))
        for access in accesses
        if (url := token_url(access.facts)) is not None
    ]
    findings = run_at_once(checks) if checks else []
    return [finding for finding in findings if finding.remedy is not None]


def _check_endpoint(
    access: CheckedAccess, url: str, networks: Sequence[Network], egress: Egress
) -> Finding:
    """Check to where a token call would go; nothing is sent."""
    problem = (
        _direct_problem(url, networks)
        if egress.proxy_for(url) is None
        else _proxied_problem(url, networks)
    )
    if problem is None:
        return ok(access.part, "its token endpoint may be called")
    return wrong(
        access.part,
        f"the token endpoint of {access.what} cannot be called: {problem}",
        remedy="correct token_url, or name its network in SLIPWAY_PARTNER_NETWORKS for the"
        f" deliverers: slipway operators access {access.code} --file access.yaml",
    )


def _proxied_problem(url: str, networks: Sequence[Network]) -> str | None:
    try:
        check_proxied(url, allowed=networks)
    except CallRefused as refusal:
        return str(refusal)
    return None


def _direct_problem(url: str, networks: Sequence[Network]) -> str | None:
    host = urlsplit(url).hostname
    assert host is not None, "checked when it was entered"
    try:
        entries = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return f"{host} has no address"
    addresses = sorted({str(entry[4][0]) for entry in entries})
    if any(may_connect(address, allowed=networks) for address in addresses):
        return None
    return f"{host} is {addresses[0]}, a private address outside SLIPWAY_PARTNER_NETWORKS"
