"""The installation's egress proxy, and which partners are called without it.

A proxy's address may hold a password. So no message here repeats more of it than the host.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final
from urllib.parse import unquote

from models.settings.urls import naming_host, split_url, stripped

_EXAMPLE: Final = "http://user:password@proxy.example.com:3128"
_HOST: Final = re.compile(r"[a-z0-9_]([a-z0-9._-]*[a-z0-9_])?", re.IGNORECASE | re.ASCII)
_SCHEMES: Final = ("http", "https")
_NOT_DIRECT: Final = (
    "each entry is a host (partner.example.com, which includes what is below it), a domain without"
    " its own name (.example.com), an address or a network (10.0.0.0/8), without scheme and port"
)


@dataclass(frozen=True, slots=True)
class EgressProxy:
    """A proxy that opens connections to partners (HTTP CONNECT)."""

    scheme: str
    host: str
    port: int
    user: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)

    @property
    def address(self) -> str:
        """Its address, without user and password."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class DirectHosts:
    """The hosts that are called without the proxy."""

    names: frozenset[str] = frozenset()  # and what is below each
    domains: frozenset[str] = frozenset()  # what is below each, not itself
    networks: Sequence[IPv4Network | IPv6Network] = ()

    def includes(self, host: str) -> bool:
        """Return whether *host* is one of them. A network holds addresses that stand in a URL."""
        name = host.lower().rstrip(".")
        try:
            ip = ip_address(name)
        except ValueError:
            labels = name.split(".")
            above = {".".join(labels[start:]) for start in range(1, len(labels))}
            return name in self.names or bool(above & (self.names | self.domains))
        return any(_plain(ip) in network for network in self.networks)


def parse_proxy(text: str) -> EgressProxy:
    """Parse the address of a proxy. Raises ValueError; its message holds the host alone."""
    with naming_host(text):
        return _parsed(text)


def _parsed(text: str) -> EgressProxy:
    try:
        parts = split_url(stripped(text))
    except ValueError as error:
        raise ValueError(f"is {error}; write {_EXAMPLE}") from None
    host, port = parts.hostname, parts.port
    if parts.scheme not in _SCHEMES or not host:
        raise ValueError(f"is not the address of an HTTP proxy; write {_EXAMPLE}")
    if port is None:
        raise ValueError(f"names no port; write {_EXAMPLE}")
    if parts.path not in {"", "/"} or parts.query or parts.fragment:
        raise ValueError(
            f"must end with the port; write {_EXAMPLE}, and in user and password %2F for /, %3F for"
            " ? and %23 for #"
        )
    if not _HOST.fullmatch(host) and not _is_address(host):
        raise ValueError(f"names no host that can be called; write {_EXAMPLE}")
    user, password = _unquoted(parts.username), _unquoted(parts.password)
    if (user is not None and ":" in user) or not _printable(user) or not _printable(password):
        raise ValueError("has a colon in its user, or a control character in user or password")
    return EgressProxy(parts.scheme, host, port, user or None, password)


def parse_direct_hosts(parts: Sequence[str]) -> DirectHosts:
    """Parse the list of hosts without the proxy. Raises ValueError that names a bad entry."""
    names: set[str] = set()
    domains: set[str] = set()
    networks = []
    for number, part in enumerate(parts, start=1):
        entry = part.lower().removeprefix("*")
        network = _network(entry)
        if network is not None:
            networks.append(network)
        elif _HOST.fullmatch(entry.removeprefix(".")):
            (domains if entry.startswith(".") else names).add(entry.strip("."))
        else:
            shown = repr(part) if "@" not in part else f"entry {number}"  # it may hold a password
            raise ValueError(f"{shown} is none; {_NOT_DIRECT}")
    return DirectHosts(frozenset(names), frozenset(domains), tuple(networks))


def _network(entry: str) -> IPv4Network | IPv6Network | None:
    try:
        return ip_network(entry.removeprefix("[").removesuffix("]"))
    except ValueError:
        return None


def _plain(ip: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    mapped = ip.ipv4_mapped if isinstance(ip, IPv6Address) else None
    return ip if mapped is None else mapped


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _unquoted(text: str | None) -> str | None:
    return None if text is None else unquote(text)


def _printable(text: str | None) -> bool:
    return text is None or text.isprintable()
