"""Partners whose gateways misbehave: each repeats all that it was sent, our credentials included.

Each operator has another method of access; every secret of them is in `Gateways.canaries`.
"""

import json
from base64 import b64encode
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import yaml

from tests.support.client_certificates import Pair, make_pair
from tests.support.raw_server import Conversation, Line, RawServer, raw_server

CENTURY: Final = timedelta(days=36500)  # it holds on any day
HEADER, PASSWORD, BEARER = "canary-header-4Gw", "canary-password-4Gw", "canary-bearer-4Gw"
CLIENT_SECRET, TOKEN, PASSPHRASE = "canary-secret+4Gw", "canary-token-4Gw", "canary-phrase-4Gw"
PROXY_PASSWORD: Final = "canary-proxy-4Gw"
BEHIND_PROXY: Final = "http://8.8.8.8/"  # the proxy refuses it; nothing leaves this machine
CODES: Final = ("keyed", "borne", "issued", "locked", "proxied")


def encoded(user: str, password: str) -> str:
    return b64encode(f"{user}:{password}".encode()).decode()


@dataclass
class Gateways:
    """What was asked of whom, and the files that describe our access."""

    folder: Path
    pair: Pair
    proxy_port: int = 0
    urls: dict[str, str] = field(default_factory=dict)
    requests: dict[str, list[bytes]] = field(default_factory=dict)

    @property
    def canaries(self) -> list[str]:
        """Everything that may stand nowhere, in each form in which it is sent."""
        form = CLIENT_SECRET.replace("+", "%2B")
        key_lines = [line for line in self.pair.key.splitlines() if not line.startswith("-----")]
        return [
            *(HEADER, PASSWORD, BEARER, CLIENT_SECRET, TOKEN, PASSPHRASE, PROXY_PASSWORD, form),
            *(encoded("us", PASSWORD), encoded("us", form), encoded("us", PROXY_PASSWORD)),
            *key_lines,
        ]

    def access_file(self, code: str) -> Path:
        """Write the operator's access as the command line reads it."""
        path = self.folder / f"{code}.yaml"
        path.write_text(yaml.safe_dump(self._document(code)))
        return path

    def _document(self, code: str) -> Mapping[str, Any]:
        match code:
            case "keyed":
                key = {"name": "X-Api-Key", "value_file": self._file("header", HEADER)}
                basic = {"user": "us", "password_file": self._file("password", PASSWORD)}
                return {"headers": [key], "basic": basic}
            case "borne":
                return {"bearer_file": self._file("bearer", BEARER)}
            case "issued":
                secret = self._file("client-secret", CLIENT_SECRET)
                url = f"{self.urls['tokens']}token"
                oauth = {"token_url": url, "client_id": "us", "client_secret_file": secret}
                return {"oauth": oauth}
            case "locked":
                certificate = {
                    "chain_file": self._file("chain", self.pair.chain),
                    "key_file": self._file("key", self.pair.encrypted_key(PASSPHRASE)),
                    "passphrase_file": self._file("passphrase", PASSPHRASE),
                }
                return {"certificate": certificate}
            case _:
                return {}

    def _file(self, name: str, content: str) -> str:
        (self.folder / name).write_text(content)
        return name


def repeating(requests: list[bytes], status: str, *headers: str) -> Conversation:
    """Answer with *status* and all that was sent, in the body and in the headers."""

    def converse(line: Line) -> None:
        while (request := line.request()) is not None:
            requests.append(request)
            shown = b" ".join(request.replace(b"\r\n", b" ").split())
            head = f"HTTP/1.1 {status}\r\nContent-Length: {len(request)}\r\n"
            head += "".join(f"{header}\r\n" for header in headers)
            line.send(head.encode() + b"X-You-Sent: " + shown[:4000] + b"\r\n\r\n" + request)

    return converse


def issuing(requests: list[bytes]) -> Conversation:
    """Refuse in two ways, each repeating the request, then issue a token, and so on."""

    def converse(line: Line) -> None:
        request = line.request()
        if request is None:
            return
        requests.append(request)
        shown = " ".join(request.decode("latin-1").split())
        refusal = {"error": "invalid_client", "error_description": f"you sent {shown}"}
        granted = {"access_token": TOKEN, "token_type": "Bearer", "expires_in": 10}
        turn = len(requests) % 3
        body = json.dumps(granted if turn == 0 else refusal).encode()
        status = ("200 OK", "401 No", "302 Found")[turn]
        moved = f"Location: https://elsewhere.example/?{CLIENT_SECRET}={shown[-400:]}\r\n"
        head = (
            f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{moved if turn == 2 else ''}\r\n"
        )
        line.send(head.encode("latin-1", "replace") + body)

    return converse


def garbling(requests: list[bytes]) -> Conversation:
    """Answer what begins TLS with anything but TLS."""

    def converse(line: Line) -> None:
        requests.append(line.connection.recv(65536))
        line.send(b"SSH-2.0-OpenSSH_9\r\n")

    return converse


def refusing_proxy(requests: list[bytes]) -> Conversation:
    """Refuse to connect to anybody, and repeat who asked."""

    def converse(line: Line) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            part = line.connection.recv(65536)
            if not part:
                return
            head += part
        requests.append(head)
        shown = b" ".join(head.split())
        line.send(
            b"HTTP/1.1 407 You sent " + shown[:2000] + b"\r\nProxy-Authenticate: Basic realm=x\r\n"
            b"Content-Length: 0\r\nX-You-Sent: " + shown[:2000] + b"\r\n\r\n"
        )

    return converse


@contextmanager
def misbehaving_gateways(folder: Path, *, now: datetime) -> Iterator[Gateways]:
    """Run all of them; the files that describe our access are made in *folder*."""
    with ExitStack() as servers:
        gateways = Gateways(folder, make_pair(now, lasting=CENTURY))

        def serve(converse: Conversation) -> RawServer:
            return servers.enter_context(raw_server(converse))

        kinds = {
            "keyed": ("401 No", "WWW-Authenticate: Basic"),
            "borne": ("302 Found", f"Location: https://elsewhere.example/{BEARER}"),
            "issued": ("403 No",),
        }
        for code, (status, *headers) in kinds.items():
            gateways.requests[code] = []
            server = serve(repeating(gateways.requests[code], status, *headers))
            gateways.urls[code] = server.url
        gateways.requests |= {"tokens": [], "proxied": [], "locked": []}
        garbled = serve(garbling(gateways.requests["locked"]))
        gateways.urls["locked"] = garbled.url.replace("http:", "https:")
        gateways.urls["tokens"] = serve(issuing(gateways.requests["tokens"])).url
        proxy = serve(refusing_proxy(gateways.requests["proxied"]))
        gateways.proxy_port, gateways.urls["proxied"] = proxy.port, BEHIND_PROXY
        yield gateways
