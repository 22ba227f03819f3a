"""Checks what calls carry for partners' gateways: certificates, the key, the token endpoint."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection, text

from models.access.document import open_access
from models.access.facts import expiries, token_url
from models.platform.encryption import DecryptionFailed, Vault
from models.platform.timestamps import format_timestamp
from worker.doctor.finding import Finding, State, doubtful, ok, wrong
from worker.doctor.tokens import CheckedEndpoint, TokenCheck, check_endpoints

ACCESS: Final = "access"
SOON: Final = timedelta(days=30)
_OPERATORS_MAX: Final = 200

ACCESSES: Final = text("""
    SELECT code, access, access_facts, next_access, next_access_facts, access_switch_at,
           user_agent, timeout
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
    user_agent: str | None = None  # the operator's own
    timeout: timedelta | None = None

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
        own = {"user_agent": row.user_agent, "timeout": row.timeout}
        switch_at = row.access_switch_at
        if switch_at is None or switch_at > now:
            facts = row.access_facts or {}
            accesses.append(CheckedAccess(row.code, row.access, facts, None, **own))
        if switch_at is not None:
            since = switch_at if switch_at > now else None
            facts = row.next_access_facts or {}
            accesses.append(CheckedAccess(row.code, row.next_access, facts, since, **own))
    return accesses


def check_accesses(
    accesses: Sequence[CheckedAccess], *, vault: Vault, now: datetime, tokens: TokenCheck
) -> Iterator[Finding]:
    """Report what cannot be decrypted, what has expired or will, and where no token can be had."""
    if not accesses:
        return
    findings = [finding for access in accesses for finding in _check_stored(access, vault, now)]
    endpoints = [
        endpoint for access in accesses if (endpoint := _endpoint(access, vault)) is not None
    ]
    findings += check_endpoints(endpoints, tokens)
    yield from findings
    if all(finding.state is State.OK for finding in findings):
        yield ok(ACCESS, _summary(accesses))


def _endpoint(access: CheckedAccess, vault: Vault) -> CheckedEndpoint | None:
    """Return its token endpoint, if it has one and can be decrypted."""
    if access.sealed is None or token_url(access.facts) is None:
        return None
    try:
        opened = open_access(access.sealed, vault)
    except DecryptionFailed:
        return None  # reported
    return CheckedEndpoint(
        access.code,
        access.part,
        access.what,
        opened,
        is_used=access.since is None,
        user_agent=access.user_agent,
        timeout=access.timeout,
    )


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
