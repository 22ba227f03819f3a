"""Celery's consumer with backoff: it connects again at a pace, and closes what it opened.

Celery's own connects again at once, five times a second, where Redis answers a command with an
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

_SLICE: Final = 0.2  # seconds; how long a pause may keep SIGTERM waiting
_CELERY_S_LINES: Final = ("consumer: Connection to broker lost", "consumer: Cannot connect")

_outage: Final = Outage(log, "broker_unavailable", "broker_available")
_pauses: Final = Backoff()


def works() -> None:
    """Say that the broker did what a worker needs. For the transport, after each reply to BRPOP."""
    _outage.over()
    _pauses.reset()


class PatientConsumer(Consumer):  # type: ignore[misc]  # Celery carries no types
    """Connects again after pauses of 0.1 s to 5 s, and logs changes of state only."""

    _opened: list[Connection]  # since the last error; the event dispatcher's own among them
    _on_tick: AbstractSet[object] = frozenset()  # what the transport has the event loop call
    _is_lost = False

    def connect(self) -> Connection:
        """Open the connection for tasks; after an error first wait."""
        if self._is_lost:
            _wait(_pauses.next().total_seconds())
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

        The pauses end at 5 s instead of 30 s: delivery goes on soon after Redis does.
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
        """Note why; give up what was opened meanwhile."""
        self._lost(exc)

    def on_connection_error_after_connected(self, exc: Exception) -> None:
        """Note why; give up the connections, and what was opened beside them."""
        super().on_connection_error_after_connected(exc)
        self._lost(exc)

    def _lost(self, error: Exception) -> None:
        _outage.failed(reason_of(error))
        self._is_lost = True
        dispatcher = self.event_dispatcher
        for connection in self._opened:
            if dispatcher is None or connection is not dispatcher.connection:  # that closes its own
                with suppress(Exception):  # it is given up, whatever its end says
                    connection.close()  # type: ignore[no-untyped-call]  # kombu's
        self._opened = []
        if self.hub:
            self.hub.on_tick.difference_update(self._on_tick)


def quieten() -> None:
    """Leave out Celery's own lines on what `broker_unavailable` says once, and needless advice."""
    logging.getLogger("celery.worker.consumer.consumer").addFilter(_is_news)
    logging.getLogger("py.warnings").addFilter(_is_no_advice)


def _is_news(record: logging.LogRecord) -> bool:
    return not record.getMessage().startswith(_CELERY_S_LINES)


def _is_no_advice(record: logging.LogRecord) -> bool:
    """Celery gives it at each error, also to whoever has set it to False, as we have."""
    return "worker_cancel_long_running_tasks_on_connection_loss" not in record.getMessage()


def _wait(seconds: float) -> None:
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        maybe_shutdown()
        threading.Event().wait(min(left, _SLICE))
