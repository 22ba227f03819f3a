"""The address that processes listen on: how it is set, reached, and written in a URL."""

import re
from ipaddress import ip_address
from typing import Annotated, Final

from pydantic import AfterValidator

_EVERY_ADDRESS: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared, not bound
# A last label of digits would be an IPv4 address with a mistake in it.
_NAME: Final = re.compile(r"(?:[A-Za-z0-9-]+\.)*[A-Za-z0-9-]*[A-Za-z-][A-Za-z0-9-]*")


def reached_at(bound: str) -> str:
    """Return the address at which this machine reaches what listens on *bound*.

    That is *bound* itself, unless it stands for all addresses.
    """
    return _EVERY_ADDRESS.get(bound, bound)


def host_and_port(host: str, port: int) -> str:
    """Write them as a URL does: an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _checked(address: str) -> str:
    try:
        ip_address(address)
    except ValueError:
        if not _NAME.fullmatch(address):
            raise ValueError(
                "must be an address of this machine, without brackets, port and scheme: 127.0.0.1,"
                " ::1, or for all of its addresses 0.0.0.0 or, with IPv6, ::"
            ) from None
    return address


BindAddress = Annotated[str, AfterValidator(_checked)]
