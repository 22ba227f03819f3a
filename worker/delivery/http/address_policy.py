"""Which addresses a partner may have: public ones, and those in private networks that are allowed.

A partner's URL is untrusted input. Without this check it could name the database, a cloud's
metadata service or this very process. The address that is about to be connected to is checked, so
neither a DNS answer nor an odd spelling (`http://127.1/`, `http://[::ffff:7f00:1]/`) bypasses it.
"""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final

Network = IPv4Network | IPv6Network

# The IANA registries of special-purpose addresses, and multicast. Written out, because what
# `ipaddress` calls global differs between patch releases of Python.
_SPECIAL_4: Final = tuple(
    IPv4Network(block)
    for block in (
        "0.0.0.0/8",  # this host
        "10.0.0.0/8",  # private
        "100.64.0.0/10",  # shared by a carrier's customers
        "127.0.0.0/8",  # loopback
        "169.254.0.0/16",  # link-local: the clouds' metadata service
        "172.16.0.0/12",  # private
        "192.0.0.0/24",  # protocol assignments
        "192.0.2.0/24",  # documentation
        "192.88.99.0/24",  # 6to4 relays, withdrawn
        "192.168.0.0/16",  # private
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, broadcast
    )
)
_GLOBAL_UNICAST_6: Final = IPv6Network("2000::/3")  # nothing else is routed between networks
_SPECIAL_6: Final = tuple(
    IPv6Network(block)
    for block in (
        "2001::/23",  # protocol assignments: Teredo, ORCHID, benchmarks
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4, withdrawn: an IPv4 address in disguise
        "3fff::/20",  # documentation
    )
)
_NAT64: Final = IPv6Network("64:ff9b::/96")  # an IPv4 address in its last 32 bits


def may_connect(address: str, *, allowed: Sequence[Network]) -> bool:
    """Return whether a call may connect to *address* (an IP address, as the resolver returns it).

    True for an address that is routed publicly, and for one within *allowed*
    (SLIPWAY_PARTNER_NETWORKS). An IPv4 address mapped into IPv6 counts as the IPv4 address; one
    that a gateway would translate back (NAT64) must be public itself. False for anything that is
    not an IP address.
    """
    try:
        ip = ip_address(address.partition("%")[0])  # a scope names one of our own links
    except ValueError:
        return False
    if isinstance(ip, IPv6Address) and ip.ipv4_mapped is not None:
        ip = ip.ipv4_mapped
    return any(ip in network for network in allowed) or _is_public(ip)


def _is_public(ip: IPv4Address | IPv6Address) -> bool:
    if isinstance(ip, IPv4Address):
        return not any(ip in block for block in _SPECIAL_4)
    if ip in _NAT64:
        return _is_public(IPv4Address(int(ip) & 0xFFFF_FFFF))
    return ip in _GLOBAL_UNICAST_6 and not any(ip in block for block in _SPECIAL_6)
