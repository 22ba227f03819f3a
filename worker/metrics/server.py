"""Serves `/metrics` in a process that has no HTTP server of its own."""

import logging
from typing import Final
from wsgiref.simple_server import WSGIServer

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import start_http_server

from models.settings.listening import host_and_port, reached_at
from worker.process.health import Probes

log = logging.getLogger(__name__)

NOT_STARTED: Final = "metrics_server_not_started"


class MetricsServer:
    """Serves a registry over HTTP until closed; its address is in the process' probe folder."""

    def __init__(self, registry: CollectorRegistry, *, probes: Probes) -> None:
        """Prepare; *probes* are those of this process."""
        self._registry = registry
        self._probes = probes
        self._server: WSGIServer | None = None

    def open(self, *, address: str, port: int) -> None:
        """Listen; port 0 means any free port. A failure is logged, not raised.

        The process' work matters more than its metrics.
        """
        try:
            server, _thread = start_http_server(port, address, self._registry)
        except OSError as error:
            log.error(NOT_STARTED, extra={"port": port, "error": error.strerror})  # noqa: TRY400 - a taken port needs no traceback
            return
        self._server = server
        place = host_and_port(reached_at(address), server.server_port)
        self._probes.metrics_at(f"http://{place}/metrics")

    def close(self) -> None:
        """Stop listening."""
        if self._server is not None:
            self._probes.no_metrics()
            self._server.shutdown()
            self._server.server_close()
            self._server = None
