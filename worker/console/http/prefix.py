"""The path prefix, and who is behind a proxy."""

from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from models.platform.url_paths import keeps_escapes, path_with_escapes

_PEER_TRUSTED: Final = "slipway.peer_trusted"

Networks = Sequence[IPv4Network | IPv6Network]


class TrustedProxies:
    """ASGI middleware: believes `X-Forwarded-*` of the configured proxies, and of nobody else."""

    def __init__(self, app: ASGIApp, *, networks: Networks) -> None:
        """Wrap *app*."""
        self._networks = networks
        trusted = [str(network) for network in networks]
        forwarded = ProxyHeadersMiddleware(app, trusted_hosts=trusted)  # type: ignore[arg-type]  # uvicorn's own ASGI types are the same by another name
        self._app: ASGIApp = forwarded if trusted else app  # type: ignore[assignment]  # as above

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Note whether the peer is a proxy of ours, and pass the request on."""
        if scope["type"] == "http":
            scope[_PEER_TRUSTED] = _within(scope.get("client"), self._networks)
        await self._app(scope, receive, send)


class PublicPrefix:
    """ASGI middleware: sets `root_path`, whether or not the proxy has stripped the prefix.

    Escaped slashes stay escaped until the path is split, because ids may hold them.
    """

    def __init__(self, app: ASGIApp, *, prefix: str) -> None:
        """Wrap *app*; *prefix* is empty or begins with a slash."""
        self._app = app
        self._prefix = prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Set the paths, and pass the request on."""
        if scope["type"] == "http":
            raw: bytes = scope.get("raw_path") or b""
            path = path_with_escapes(raw) if keeps_escapes(raw) else scope["path"]
            if self._prefix and not f"{path}/".startswith(f"{self._prefix}/"):
                path = self._prefix + path
            scope = dict(scope) | {"path": path, "root_path": self._prefix}
        await self._app(scope, receive, send)


def peer_is_trusted(scope: Scope) -> bool:
    """Return whether the request came from a proxy of `SLIPWAY_CONSOLE_PROXY_NETWORKS`."""
    return bool(scope.get(_PEER_TRUSTED))


def _within(peer: tuple[str, int] | None, networks: Networks) -> bool:
    try:
        address = ip_address(peer[0]) if peer else None
    except ValueError:  # a socket's path
        return False
    return address is not None and any(address in network for network in networks)
