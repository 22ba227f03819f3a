"""Short calls to the OpenID Connect provider: verified TLS, public addresses, small responses."""

import socket
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta
from io import BytesIO
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

import pycurl

from models.platform.durations import whole_milliseconds
from models.platform.errors import SlipwayError
from models.settings.urls import shown_host
from worker.delivery.http.address_policy import Network, may_connect

_TIMEOUT: Final = timedelta(seconds=5)
_CONNECT_TIMEOUT: Final = timedelta(seconds=3)
_BYTES_MAX: Final = 512 * 1024
_OK: Final = 200
_TLS: Final[int] = pycurl.SSLVERSION_TLSv1_2
_NO_SOCKET: Final[int] = pycurl.SOCKET_BAD


class ProviderUnavailable(SlipwayError):
    """The provider did not respond as it should; the message names no secret."""


@dataclass(frozen=True, slots=True)
class HttpsClient:
    """Makes one call at a time, each on its own connection."""

    networks: Sequence[Network]  # private ones that the provider may be in
    authorities: Path | None  # a file with certificates; None: the system's

    def get(self, url: str, *, token: str | None = None) -> bytes:
        """Return the body. Raises ProviderUnavailable for any other status than 200."""
        return self._call(url, {"Authorization": f"Bearer {token}"} if token else {})

    def post(self, url: str, form: Mapping[str, str], *, client: tuple[str, str]) -> bytes:
        """Post *form* as *client* (id and secret). Raises ProviderUnavailable."""
        body = urlencode(form)
        # The id and the secret are form-encoded before they are joined (RFC 6749, 2.3.1).
        options = ((pycurl.POSTFIELDS, body), (pycurl.USERPWD, ":".join(map(_encoded, client))))
        return self._call(url, {}, options)

    def _call(
        self, url: str, headers: Mapping[str, str], options: Sequence[tuple[int, Any]] = ()
    ) -> bytes:
        body = BytesIO()
        refused: list[str] = []
        sockets = ExitStack()

        def take(part: bytes) -> int | None:
            return -1 if body.tell() + len(part) > _BYTES_MAX else body.write(part)

        def open_socket(_purpose: int, address: Any) -> socket.socket | int:  # noqa: ANN401 - pycurl's
            if not may_connect(str(address.addr[0]), allowed=self.networks):
                refused.append(str(address.addr[0]))
                return _NO_SOCKET
            opened = socket.socket(address.family, address.socktype, address.protocol)
            return sockets.enter_context(opened)  # pycurl duplicates the descriptor

        easy = pycurl.Curl()
        try:
            for option, content in (
                (pycurl.URL, url),
                (pycurl.PROTOCOLS, pycurl.PROTO_HTTPS),
                (pycurl.FOLLOWLOCATION, 0),
                (pycurl.PROXY, ""),
                (pycurl.NOSIGNAL, 1),
                (pycurl.SSLVERSION, _TLS),
                (pycurl.SSL_VERIFYPEER, 1),
                (pycurl.SSL_VERIFYHOST, 2),
                (pycurl.TIMEOUT_MS, whole_milliseconds(_TIMEOUT)),
                (pycurl.CONNECTTIMEOUT_MS, whole_milliseconds(_CONNECT_TIMEOUT)),
                (pycurl.HTTPHEADER, [f"{name}: {text}" for name, text in headers.items()]),
                (pycurl.OPENSOCKETFUNCTION, open_socket),
                (pycurl.WRITEFUNCTION, take),
                *options,
            ):
                easy.setopt(option, content)
            if self.authorities is not None:
                easy.setopt(pycurl.CAINFO, str(self.authorities))
            easy.perform()
            status = easy.getinfo(pycurl.RESPONSE_CODE)
        except pycurl.error as error:
            raise ProviderUnavailable(_problem(error, shown_host(url), refused)) from None
        finally:
            easy.close()
            sockets.close()
        if status != _OK:
            raise ProviderUnavailable(
                f"the identity provider at {shown_host(url)} answered with status {status}"
            )
        return body.getvalue()


def _problem(error: pycurl.error, host: str | None, refused: Sequence[str]) -> str:
    if refused:
        return (
            f"the identity provider at {host} has the private address {refused[0]}; if that is"
            " right, add its network to SLIPWAY_CONSOLE_OIDC_NETWORKS"
        )
    text = error.args[1] if len(error.args) > 1 else str(error)
    if "certificate" in text:
        text = f"{text}; an authority of your own belongs into SLIPWAY_CONSOLE_OIDC_CA_FILE"
    return f"the identity provider at {host} cannot be reached: {text}"


def _encoded(text: str) -> str:
    return urlencode({"": text})[1:]
