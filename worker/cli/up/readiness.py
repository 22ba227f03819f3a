"""Which processes are not ready yet."""

import http.client
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

from models.settings.listening import reached_at
from models.settings.settings import Settings

_RESPONSE_SECONDS_MAX = 2.0


@dataclass(frozen=True, slots=True)
class ProcessReadiness:
    """Checks the processes called *names*, whose probe files are below *private*."""

    settings: Settings
    private: Path
    names: Sequence[str]

    def missing(self) -> list[str]:
        """Return those that are not ready. Takes up to 2 s for each that hangs."""
        return [name for name in self.names if not self._is_ready(name)]

    def _is_ready(self, name: str) -> bool:
        match name:
            case "gateway":
                return self._serves(self.settings.gateway_port)
            case "console":
                return self._serves(self.settings.console_port)
            case "flower":
                return _listens(self.host, self.settings.flower_port)
            case "beat":
                return self._has_probe("beat.alive")
            case _:
                return self._has_probe(f"{name}@*.ready")

    @property
    def host(self) -> str:
        """The address to check: this machine, if the processes listen on all addresses."""
        return reached_at(self.settings.bind_address)

    def _has_probe(self, pattern: str) -> bool:
        return any(self.private.glob(f"slipway-*/{pattern}"))

    def _serves(self, port: int) -> bool:
        """Return whether `/readyz` at *port* responds with 200."""
        connection = http.client.HTTPConnection(self.host, port, timeout=_RESPONSE_SECONDS_MAX)
        try:
            connection.request("GET", "/readyz")
            return connection.getresponse().status == HTTPStatus.OK
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()


def _listens(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=_RESPONSE_SECONDS_MAX).close()
    except OSError:
        return False
    return True
