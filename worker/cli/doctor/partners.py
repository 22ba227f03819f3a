"""Examines the partners: their secrets open, and their addresses are allowed and answer."""

import socket
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final
from urllib.parse import urlsplit

from sqlalchemy import Connection, text

from models.operators.secrets import EncryptedSecrets, verifying_secrets
from models.outbox.causes import cause_of
from models.platform.encryption import DecryptionFailed, Vault
from worker.cli.circuit_advice import advice_for
from worker.cli.doctor.finding import Finding, doubtful, ok, wrong
from worker.delivery.http.address_policy import Network, may_connect

SECRETS: Final = "secrets"
_LOOKED_AT_MAX: Final = 200
_AT_ONCE: Final = 16
_CONNECT_SECONDS: Final = 3.0
_PORTS: Final = {"http": 80, "https": 443}

OPERATORS: Final = text("""
    SELECT o.code, o.url, o.disabled_at IS NULL AS enabled, o.secret, o.next_secret, o.switch_at,
           o.forget_at, c.opened_at IS NOT NULL AND c.closed_at IS NULL AS circuit_open,
           c.reason AS circuit_reason
      FROM operator o LEFT JOIN circuit c ON c.operator = o.id
     ORDER BY o.code LIMIT :limit
""")


@dataclass(frozen=True, slots=True)
class Described:
    """An operator as its row has it."""

    code: str
    url: str
    enabled: bool
    secrets: EncryptedSecrets = field(repr=False)
    circuit: str | None  # why nothing but probes is sent; None: it is closed


def read_operators(connection: Connection) -> list[Described]:
    """Read the first 200 operators by code."""
    rows = connection.execute(OPERATORS, {"limit": _LOOKED_AT_MAX})
    return [
        Described(
            code=row.code,
            url=row.url,
            enabled=row.enabled,
            secrets=EncryptedSecrets(row.secret, row.next_secret, row.switch_at, row.forget_at),
            circuit=(row.circuit_reason or "unknown") if row.circuit_open else None,
        )
        for row in rows
    ]


def examine_secrets(
    operators: Sequence[Described], *, vault: Vault, now: datetime
) -> Iterator[Finding]:
    """Say whose secrets the keys in SLIPWAY_SECRET_KEY do not open."""
    closed = []
    for one in operators:
        try:
            verifying_secrets(one.secrets, vault, now)
        except DecryptionFailed:
            closed.append(one.code)
    if closed:
        yield wrong(
            SECRETS,
            f"no key in SLIPWAY_SECRET_KEY opens the secret of {', '.join(closed)}",
            mend="put the key that sealed it back behind the present ones, or give the operator a"
            f" new secret: slipway operators rotate-secret {closed[0]}",
        )
    elif operators:
        yield ok(SECRETS, f"all {len(operators)} open")


def examine_partners(
    operators: Sequence[Described], *, networks: Sequence[Network]
) -> Iterator[Finding]:
    """Look each partner's host up, judge its addresses, and connect; nothing is sent."""
    if not operators:
        yield doubtful(
            "operators",
            "there is none yet, so every event is refused",
            mend="slipway operators add CODE --url URL --protocol pam",
        )
    enabled = [one for one in operators if one.enabled]
    with ThreadPoolExecutor(max_workers=_AT_ONCE) as pool:
        yield from pool.map(lambda one: _examine(one, networks), enabled)
    yield from (
        doubtful(
            _part(one),
            "disabled: its notices are held",
            mend=f"when they shall go: slipway operators enable {one.code}",
        )
        for one in operators
        if not one.enabled
    )


def _examine(one: Described, networks: Sequence[Network]) -> Finding:
    parts = urlsplit(one.url)
    assert parts.hostname is not None, "checked when it was added"
    try:
        found = socket.getaddrinfo(parts.hostname, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return wrong(
            _part(one),
            f"{parts.hostname} has no address",
            mend=f"mend the name (slipway operators set {one.code} --url URL) or the DNS here",
        )
    addresses = sorted({str(entry[4][0]) for entry in found})
    allowed = [address for address in addresses if may_connect(address, allowed=networks)]
    if not allowed:
        return wrong(
            _part(one),
            f"{parts.hostname} is {addresses[0]}, a private address outside"
            " SLIPWAY_PARTNER_NETWORKS: nothing is sent there",
            mend=f"if the partner may live there: SLIPWAY_PARTNER_NETWORKS={_network(addresses[0])}"
            " for the deliverers",
        )
    port = parts.port or _PORTS[parts.scheme]
    try:
        socket.create_connection((allowed[0], port), timeout=_CONNECT_SECONDS).close()
    except OSError as refusal:
        return wrong(
            _part(one),
            f"{parts.hostname}:{port} cannot be connected to: {refusal.strerror or refusal}",
            mend="let this machine's firewall through to it, or ask the partner; its notices are"
            " kept and tried again",
        )
    if one.circuit is not None:
        return doubtful(
            _part(one),
            f"can be connected to, but nothing but probes is sent: {one.circuit}",
            mend=advice_for(cause_of(one.circuit), one.code),
        )
    return ok(_part(one), f"{parts.hostname}:{port} can be connected to")


def _part(one: Described) -> str:
    return f"operator {one.code}"


def _network(address: str) -> str:
    return f"{address}/{128 if ':' in address else 32}"
