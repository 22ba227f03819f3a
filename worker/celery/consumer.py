"""Celery's consumer with backoff: it pauses before it reconnects, and closes what it opened.

Celery's own reconnects at once, five times a second, where Redis answers a command with an
error (READONLY, NOREPLICAS, MISCONF …), writes a line each time, and loses the connection it has
just opened if that cannot be registered with the event loop
(deploy/decisions/0007-hardened-transport.md). Named in the setting `worker_consumer`.
"""

import logging
import threading
import time
from collections.abc import Set as AbstractSet
from contextlib import suppress
from typing import Final

from celery.worker.consumer import Consumer
from celery.worker.state import maybe_shutdown
from kombu.connection import Connection

from models.platform.backoff import SERVER_PAUSES, Backoff
from worker.process.outage import Outage, reason_of

log = logging.getLogger(__name__)

_SLICE: Final = 0.2  # seconds; how long a pause may delay SIGTERM
_CELERY_MESSAGES: Final = ("consumer: Connection to broker lost", "consumer: Cannot connect")

_outage: Final = Outage(log, "broker_unavailable", "broker_available")
_backoff: Final = Backoff()


def broker_replied() -> None:
    """End an outage. The transport calls it after each reply to BRPOP."""
    _outage.over()
    _backoff.reset()


class PatientConsumer(Consumer):  # type: ignore[misc]  # Celery carries no types
    """Reconnects after pauses of 0.1 s to 5 s, and logs changes of state only."""

    _opened: list[Connection]  # since the last error, the event dispatcher's among them
    _on_tick: AbstractSet[object] = frozenset()  # what the transport has the event loop call
    _is_lost = False

    def connect(self) -> Connection:
        """Open the connection for tasks; after an error, wait first."""
        if self._is_lost:
            _wait(_backoff.next().total_seconds())
        self._opened = []
        connection: Connection = self.connection_for_read(heartbeat=self.amqheartbeat)
        if self.hub:
            before = set(self.hub.on_tick)
            try:
                connection.transport.register_with_event_loop(connection.connection, self.hub)
            finally:
                self._on_tick = self.hub.on_tick - before
        return connection

    def ensure_connected(self, conn: Connection) -> Connection:
        """Connect *conn*, however long that takes; it is closed after the next error at the latest.

        Pauses grow to 5 s instead of 30 s: deliveries resume soon after Redis does.
        """
        self._opened.append(conn)

        def refused(error: Exception, _interval: float) -> None:
            _outage.failed(reason_of(error))

        connected: Connection = conn.ensure_connection(  # type: ignore[no-untyped-call]  # kombu's
            refused,
            self.app.conf.broker_connection_max_retries,
            interval_start=0.1,
            interval_step=0.5,
            interval_max=SERVER_PAUSES[-1].total_seconds(),
            callback=maybe_shutdown,
        )
        self.first_connection_attempt = False
        return connected

    def on_connection_error_before_connected(self, exc: Exception) -> None:
        """Log the reason; close the connections that were opened meanwhile."""
        self._lost(exc)

    def on_connection_error_after_connected(self, exc: Exception) -> None:
        """Log the reason; close the connections, and others that were opened meanwhile."""
        super().on_connection_error_after_connected(exc)
        self._lost(exc)

    def _lost(self, error: Exception) -> None:
        _outage.failed(reason_of(error))
        self._is_lost = True
        dispatcher = self.event_dispatcher
        for connection in self._opened:
            if dispatcher is None or connection is not dispatcher.connection:  # that closes its own
                with suppress(Exception):  # the connection is discarded, whatever closing it raises
                    connection.close()  # type: ignore[no-untyped-call]  # kombu's
        self._opened = []
        if self.hub:
            self.hub.on_tick.difference_update(self._on_tick)


def quieten() -> None:
    """Drop Celery's own lines about what `broker_unavailable` reports once, and its advice."""
    logging.getLogger("celery.worker.consumer.consumer").addFilter(_is_news)
    logging.getLogger("py.warnings").addFilter(_is_no_advice)


def _is_news(record: logging.LogRecord) -> bool:
    return not record.getMessage().startswith(_CELERY_MESSAGES)


def _is_no_advice(record: logging.LogRecord) -> bool:
    """Celery logs it at each error, even where the setting is False, as here."""
    return "worker_cancel_long_running_tasks_on_connection_loss" not in record.getMessage()


def _wait(seconds: float) -> None:
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        maybe_shutdown()
        threading.Event().wait(min(left, _SLICE))
