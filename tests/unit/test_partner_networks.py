"""Which addresses a partner may have: none of our own networks, however the address is written."""

from ipaddress import IPv4Address, IPv6Address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.delivery.http.address_policy import may_connect

PRIVATE_4 = ip_network("10.0.0.0/8")
LOOPBACK = (ip_network("127.0.0.0/8"), ip_network("::1/128"))
UNIQUE_LOCAL = ip_network("fd00::/8")


@pytest.mark.parametrize(
    "address",
    [
        "1.1.1.1",
        "93.184.215.14",
        "100.63.255.255",
        "100.128.0.0",
        "172.15.255.255",
        "172.32.0.1",
        "192.0.1.1",
        "223.255.255.255",
        "2606:4700:4700::1111",
        "2a00:1450:4001:82a::200e",
        "::ffff:1.1.1.1",
        "64:ff9b::1.1.1.1",
    ],
)
def test_public_addresses_are_reached(address):
    assert may_connect(address, allowed=())


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0",  # noqa: S104 - no socket is bound to it here
        "10.1.2.3",
        "100.64.0.1",
        "127.0.0.1",
        "127.255.255.254",
        "169.254.169.254",
        "172.16.0.1",
        "172.31.255.255",
        "192.0.0.8",
        "192.0.2.1",
        "192.88.99.1",
        "192.168.1.1",
        "198.18.0.1",
        "198.51.100.1",
        "203.0.113.1",
        "224.0.0.1",
        "239.255.255.250",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::127.0.0.1",  # IPv4-compatible, withdrawn
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "::ffff:169.254.169.254",
        "::ffff:0:127.0.0.1",  # IPv4-translated
        "64:ff9b::127.0.0.1",
        "64:ff9b::a9fe:a9fe",
        "64:ff9b:1::1.1.1.1",  # NAT64 within a network of one's own
        "100::1",  # discard
        "2001::1",  # Teredo
        "2001:db8::1",
        "2002:7f00:1::1",
        "2002:101:101::1",
        "2002:a9fe:a9fe::",
        "3fff::1",
        "5f00::1",
        "fc00::1",
        "fd12:3456::1",
        "fe80::1",
        "fe80::1%eth0",
        "fec0::1",
        "ff02::1",
        "fd00:ec2::254",  # a cloud's metadata service on IPv6
    ],
)
def test_whatever_is_not_routed_publicly_is_refused(address):
    assert not may_connect(address, allowed=())


@pytest.mark.parametrize("text", ["", "example.com", "127.1", "0x7f000001", "1.1.1.1/32", "[::1]"])
def test_what_is_no_address_is_refused(text):
    """The resolver gives addresses; anything else here is a mistake, and mistakes don't connect."""
    assert not may_connect(text, allowed=(ip_network("0.0.0.0/0"), ip_network("::/0")))


def test_a_private_network_is_reached_where_it_is_allowed():
    assert may_connect("10.1.2.3", allowed=(PRIVATE_4,))
    assert may_connect("127.0.0.1", allowed=LOOPBACK)
    assert may_connect("::1", allowed=LOOPBACK)
    assert may_connect("fd12:3456::1", allowed=(UNIQUE_LOCAL,))


def test_allowing_one_network_allows_no_other():
    assert not may_connect("192.168.0.1", allowed=(PRIVATE_4,))
    assert not may_connect("169.254.169.254", allowed=(PRIVATE_4, *LOOPBACK, UNIQUE_LOCAL))


def test_a_mapped_address_is_the_ipv4_address_it_holds():
    assert may_connect("::ffff:10.1.2.3", allowed=(PRIVATE_4,))


def test_an_allowed_ipv4_network_is_not_reached_through_a_translator():
    """Behind NAT64 the same number is another network's host."""
    assert not may_connect("64:ff9b::10.1.2.3", allowed=(PRIVATE_4,))


@given(st.ip_addresses(v=4))
def test_every_writing_of_an_ipv4_address_is_classified_alike(address: IPv4Address):
    plain = may_connect(str(address), allowed=())

    assert may_connect(f"::ffff:{address}", allowed=()) == plain
    assert may_connect(f"64:ff9b::{address}", allowed=()) == plain


@given(st.ip_addresses(v=6))
def test_what_python_calls_private_is_never_public_here(address: IPv6Address):
    if address.is_private or address.is_multicast or address.is_link_local:
        mapped = address.ipv4_mapped
        assert not may_connect(str(address), allowed=()) or mapped is not None
