"""Checks the partners: secrets can be decrypted, addresses are allowed and accept connections."""

import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta
from functools import partial
from typing import Final
from urllib.parse import urlsplit

from sqlalchemy import Connection, text

from models.operators import OperatorTerms
from models.operators.secrets import EncryptedSecrets, verifying_secrets
from models.outbox.causes import cause_of
from models.platform.encryption import DecryptionFailed, Vault
from models.settings.listening import host_and_port
from models.settings.settings import Settings
from worker.delivery.http.address_policy import Network, may_connect
from worker.delivery.http.egress import DIRECT, PROXY_CHECKS, CallRefused, Egress, check_proxied
from worker.doctor.at_once import ALL_MAX, PartCheck, run_at_once
from worker.doctor.circuit_advice import advice_for
from worker.doctor.finding import Finding, doubtful, ok, wrong
from worker.doctor.terms import settings_warnings

SECRETS: Final = "secrets"
_OPERATORS_MAX: Final = 200
_CONNECT_SECONDS: Final = 3.0
_PORTS: Final = {"http": 80, "https": 443}

_TERMS: Final = [term.name for term in fields(OperatorTerms)]
OPERATORS: Final = text(f"""
    SELECT {", ".join(f"o.{name}" for name in _TERMS)}, o.disabled_at IS NULL AS enabled, o.secret,
           o.next_secret, o.switch_at, o.forget_at,
           c.opened_at IS NOT NULL AND c.closed_at IS NULL AS circuit_open,
           c.reason AS circuit_reason
      FROM operator o LEFT JOIN circuit c ON c.operator = o.id
     WHERE o.ended_at IS NULL
     ORDER BY o.code LIMIT :limit
""")  # noqa: S608 - names of columns


@dataclass(frozen=True, slots=True)
class CheckedOperator:
    """What is checked of an operator."""

    terms: OperatorTerms
    enabled: bool
    secrets: EncryptedSecrets = field(repr=False)
    circuit: str | None  # why it is open; None if it is closed

    @property
    def code(self) -> str:
        """Its code."""
        return self.terms.code

    @property
    def url(self) -> str:
        """Where its calls go."""
        return self.terms.url


def read_operators(connection: Connection) -> list[CheckedOperator]:
    """Read the first 200 operators by code, without those whose partnership has ended."""
    rows = connection.execute(OPERATORS, {"limit": _OPERATORS_MAX})
    return [
        CheckedOperator(
            terms=OperatorTerms(**{name: getattr(row, name) for name in _TERMS}),
            enabled=row.enabled,
            secrets=EncryptedSecrets(row.secret, row.next_secret, row.switch_at, row.forget_at),
            circuit=(row.circuit_reason or "unknown") if row.circuit_open else None,
        )
        for row in rows
    ]


def check_secrets(
    operators: Sequence[CheckedOperator], *, vault: Vault, now: datetime
) -> Iterator[Finding]:
    """Report whose secrets the keys in SLIPWAY_SECRET_KEY do not decrypt."""
    undecryptable = []
    for operator in operators:
        try:
            verifying_secrets(operator.secrets, vault, now)
        except DecryptionFailed:
            undecryptable.append(operator.code)
    if undecryptable:
        yield wrong(
            SECRETS,
            f"no key in SLIPWAY_SECRET_KEY decrypts the secret of {', '.join(undecryptable)}",
            remedy="put the key that encrypted it back behind the present ones, or give the"
            f" operator a new secret: slipway operators rotate-secret {undecryptable[0]}",
        )
    elif operators:
        yield ok(SECRETS, f"all {len(operators)} can be decrypted")


def check_terms(operators: Sequence[CheckedOperator], settings: Settings) -> Iterator[Finding]:
    """Report terms that do not fit the settings, which may have changed since they were set."""
    for operator in operators:
        for warning in settings_warnings(operator.terms, settings):
            yield doubtful(
                f"terms of {operator.code}",
                warning,
                remedy="correct the setting, or the operator's term: slipway operators set"
                f" {operator.code} --help",
            )


def check_partners(
    operators: Sequence[CheckedOperator],
    *,
    networks: Sequence[Network],
    egress: Egress = DIRECT,
    within: timedelta = ALL_MAX,
) -> Iterator[Finding]:
    """Resolve each partner's host, check its addresses, and connect; nothing is sent.

    Of one that is called through a proxy, only an address that stands in its URL is checked.
    A partner that could not be checked *within* that time is unknown.
    """
    if not operators:
        yield doubtful(
            "operators",
            "there is none yet, so every event is rejected",
            remedy="slipway operators add CODE --url URL --protocol pam",
        )
    enabled = [operator for operator in operators if operator.enabled]
    proxied = [operator for operator in enabled if egress.proxy_for(operator.url) is not None]
    yield from (_check_proxied(operator, networks) for operator in proxied)
    direct = [operator for operator in enabled if operator not in proxied]
    checks = [
        PartCheck(_part(operator), partial(_check, operator, networks)) for operator in direct
    ]
    yield from run_at_once(checks, within=within)
    yield from (
        doubtful(
            _part(operator),
            "disabled: its notices are held",
            remedy=f"to send them: slipway operators enable {operator.code}",
        )
        for operator in operators
        if not operator.enabled
    )


def _check(operator: CheckedOperator, networks: Sequence[Network]) -> Finding:
    parts = urlsplit(operator.url)
    assert parts.hostname is not None, "checked when it was added"
    try:
        entries = socket.getaddrinfo(parts.hostname, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return wrong(
            _part(operator),
            f"{parts.hostname} has no address",
            remedy=f"fix the name (slipway operators set {operator.code} --url URL) or the DNS",
        )
    addresses = sorted({str(entry[4][0]) for entry in entries})
    allowed = [address for address in addresses if may_connect(address, allowed=networks)]
    if not allowed:
        return wrong(
            _part(operator),
            f"{parts.hostname} is {addresses[0]}, a private address outside"
            " SLIPWAY_PARTNER_NETWORKS: nothing is sent there",
            remedy="if that is correct, set for the deliverers"
            f" SLIPWAY_PARTNER_NETWORKS={_network(addresses[0])}",
        )
    port = parts.port or _PORTS[parts.scheme]
    place = host_and_port(parts.hostname, port)
    try:
        socket.create_connection((allowed[0], port), timeout=_CONNECT_SECONDS).close()
    except OSError as refusal:
        return wrong(
            _part(operator),
            f"{place} refuses connections: {refusal.strerror or refusal}",
            remedy="open this machine's firewall for it, or ask the partner; its notices are kept"
            " and sent again",
        )
    return _circuit(operator, "accepts connections") or ok(
        _part(operator), f"{place} accepts connections"
    )


def _check_proxied(operator: CheckedOperator, networks: Sequence[Network]) -> Finding:
    try:
        check_proxied(operator.url, allowed=networks)
    except CallRefused as refusal:
        return wrong(
            _part(operator),
            f"nothing is sent there: {refusal}",
            remedy=f"correct the address: slipway operators set {operator.code} --url URL",
        )
    return _circuit(operator, "called through the proxy") or ok(
        _part(operator), f"called through the proxy; {PROXY_CHECKS}"
    )


def _circuit(operator: CheckedOperator, otherwise: str) -> Finding | None:
    """Return what to say of an open circuit. *otherwise*: what is well."""
    if operator.circuit is None:
        return None
    return doubtful(
        _part(operator),
        f"{otherwise}, but its circuit is open: {operator.circuit}",
        remedy=advice_for(cause_of(operator.circuit), operator.code),
    )


def _part(operator: CheckedOperator) -> str:
    return f"operator {operator.code}"


def _network(address: str) -> str:
    return f"{address}/{128 if ':' in address else 32}"
