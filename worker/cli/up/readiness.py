"""Which processes do not do their work yet."""

import http.client
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

from models.settings.settings import Settings

_ANSWER_SECONDS_MAX = 2.0


@dataclass(frozen=True, slots=True)
class ProcessReadiness:
    """Asks the processes called *names*, whose probe files lie below *private*."""

    settings: Settings
    private: Path
    names: Sequence[str]

    def missing(self) -> list[str]:
        """Those that are not ready. Takes up to 2 s for each that hangs."""
        return [name for name in self.names if not self._is_ready(name)]

    def _is_ready(self, name: str) -> bool:
        match name:
            case "gateway":
                return self._gateway_is_ready()
            case "flower":
                return _listens(self.host, self.settings.flower_port)
            case "beat":
                return self._has_probe("beat.alive")
            case _:
                return self._has_probe(f"{name}@*.ready")

    @property
    def host(self) -> str:
        """The address to ask: this machine, when the processes listen on all addresses."""
        everywhere = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared, not bound
        return everywhere.get(self.settings.bind_address, self.settings.bind_address)

    def _has_probe(self, pattern: str) -> bool:
        return any(self.private.glob(f"slipway-*/{pattern}"))

    def _gateway_is_ready(self) -> bool:
        call = http.client.HTTPConnection(
            self.host, self.settings.gateway_port, timeout=_ANSWER_SECONDS_MAX
        )
        try:
            call.request("GET", "/readyz")
            return call.getresponse().status == HTTPStatus.OK
        except (OSError, http.client.HTTPException):
            return False
        finally:
            call.close()


def _listens(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=_ANSWER_SECONDS_MAX).close()
    except OSError:
        return False
    return True
