"""The options of libcurl that are the same for all calls: of every installation, and this one."""

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any, Final

import pycurl

from models.platform.durations import whole_milliseconds
from worker.delivery.http.limits import TransferLimits
from worker.delivery.http.trust import system_bundle

_REUSE_SECONDS_MAX: Final = 2  # many servers close what was idle for longer: avoid that race
_CONNECTION_SECONDS_MAX: Final = 300  # then the name is resolved again: a partner may have moved
_SUPPRESS_CONNECT_HEADERS: Final = 265  # as libcurl numbers it; pycurl has no name for it


def installation_options(limits: TransferLimits) -> Iterator[tuple[int, Any]]:
    """Yield the options that are the same for all calls of this installation."""
    yield pycurl.USERAGENT, limits.user_agent
    authorities = None if limits.authorities is None else str(limits.authorities)
    if authorities is not None:
        yield pycurl.CAINFO, authorities
    proxy = limits.egress.proxy
    if proxy is None:
        return
    yield pycurl.HTTPPROXYTUNNEL, 1  # for http URLs, too: the proxy does not see what is sent
    yield _SUPPRESS_CONNECT_HEADERS, 1
    yield pycurl.HEADEROPT, pycurl.HEADER_SEPARATE  # our headers are for the partner alone
    yield pycurl.PROXYAUTH, pycurl.HTTPAUTH_BASIC
    yield pycurl.PROXY_SSLVERSION, pycurl.SSLVERSION_TLSv1_2
    if proxy.user is not None:
        yield pycurl.PROXYUSERNAME, proxy.user.encode()
        yield pycurl.PROXYPASSWORD, (proxy.password or "").encode()
    bundle = authorities or system_bundle()
    if bundle is not None:
        yield pycurl.PROXY_CAINFO, bundle


def positive_milliseconds(duration: timedelta) -> int:
    """Return *duration* as libcurl takes it, which reads 0 as no limit."""
    return max(1, whole_milliseconds(duration))


FIXED: Final[Sequence[tuple[int, Any]]] = (
    (pycurl.POST, 1),
    (pycurl.PROTOCOLS, pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS),
    (pycurl.FOLLOWLOCATION, 0),
    # One call per connection: a connection that breaks costs one call its response.
    (pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_1_1),
    # Anything but HTTP/1 comes as a body without a head: then its beginning says what it is.
    (pycurl.HTTP09_ALLOWED, 1),
    (pycurl.NOSIGNAL, 1),
    # None but the installation's own, whatever the environment says.
    (pycurl.PROXY, ""),
    (pycurl.NOPROXY, ""),
    (pycurl.NETRC, pycurl.NETRC_IGNORED),
    (pycurl.SSL_VERIFYPEER, 1),
    (pycurl.SSL_VERIFYHOST, 2),
    (pycurl.SSLVERSION, pycurl.SSLVERSION_TLSv1_2),  # or later
    (pycurl.MAXAGE_CONN, _REUSE_SECONDS_MAX),
    (pycurl.MAXLIFETIME_CONN, _CONNECTION_SECONDS_MAX),
)
