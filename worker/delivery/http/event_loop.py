"""The thread of the HTTP client: one libcurl multi handle, driven by epoll.

It wakes up for sockets, for libcurl's timeouts and for new calls. Why it is our own: decision 0014.
"""

import logging
import select
import socket
import threading
import time
from collections import deque
from contextlib import suppress
from datetime import timedelta
from queue import SimpleQueue
from typing import Final

import pycurl

from worker.delivery.http.egress import CallRefused
from worker.delivery.http.exchange import FinishedCall, HttpCall, NoResponse, NotReached
from worker.delivery.http.idle_connections import IdleConnections
from worker.delivery.http.limits import TransferLimits
from worker.delivery.http.transfer import Transfer

log = logging.getLogger(__name__)

HTTP_LOOP_FAILED: Final = "http_loop_failed"
_WAKE_BYTES: Final = 4096
_CLOSING_SECONDS_MAX: Final = 5.0  # libcurl waits for pending name resolution
_RESTART_PAUSE_SECONDS: Final = 0.5
# Where eight calls or more are in flight, those that are over wait for each other so long at most.
_GATHER_SECONDS: Final = 0.001
_LOOK_SECONDS: Final = 0.02  # between two looks for responses that need no body
_GATHERED_SHARE: Final = 8  # of the calls in flight: one for each so many ends the wait
_READABLE: Final[int] = pycurl.CSELECT_IN
_WRITABLE: Final[int] = pycurl.CSELECT_OUT
_WATCHED: Final = {
    pycurl.POLL_IN: select.EPOLLIN,
    pycurl.POLL_OUT: select.EPOLLOUT,
    pycurl.POLL_INOUT: select.EPOLLIN | select.EPOLLOUT,
}
_ERROR_EVENTS: Final = select.EPOLLERR | select.EPOLLHUP


class EventLoop(threading.Thread):
    """Starts the calls in *to_start*, and puts each on *finished* when it is over.

    Whatever goes wrong here, every call is returned: if the loop fails, its calls had no response.
    """

    def __init__(
        self,
        limits: TransferLimits,
        to_start: deque[HttpCall],
        finished: SimpleQueue[list[FinishedCall]],
        *,
        calls_max: int,
    ) -> None:
        super().__init__(name="http client", daemon=True)
        self._limits = limits
        self._to_start = to_start
        self._finished = finished
        self._calls_max = calls_max
        self._closing = threading.Event()
        self._wakeup_pending = False
        self._wakeup_reader, self._wakeup_writer = socket.socketpair()
        self._wakeup_reader.settimeout(0)
        self._wakeup_writer.settimeout(0)
        self._set_up()

    def wake(self) -> None:
        """Make the loop start new calls."""
        if not self._wakeup_pending:
            self._wakeup_pending = True
            with suppress(BlockingIOError):  # the socket is full, so a wakeup is pending
                self._wakeup_writer.send(b"!")

    def close(self) -> None:
        """Drop open calls, and end."""
        self._closing.set()
        self._wakeup_pending = False
        self.wake()
        self.join(_CLOSING_SECONDS_MAX)
        self._wakeup_writer.close()
        self._wakeup_reader.close()

    def run(self) -> None:
        """Run until closed; after an error, start over."""
        failed = False
        while not self._closing.is_set():
            try:
                if failed:
                    self._start_over()
                    failed = False
                self._step()
            except Exception:
                log.exception(HTTP_LOOP_FAILED, extra={"calls": len(self._active)})
                failed = True
                self._closing.wait(_RESTART_PAUSE_SECONDS)
        self._tear_down()

    def _set_up(self) -> None:
        self._watched: dict[int, int] = {}  # sockets, and the events libcurl wants of each
        self._active: dict[pycurl.Curl, Transfer] = {}
        self._spare: list[Transfer] = []
        self._over: list[FinishedCall] = []  # not handed over yet
        self._hand_over_at = 0.0
        self._look_at = 0.0
        self._connections = IdleConnections()
        self._epoll = select.epoll()
        self._epoll.register(self._wakeup_reader, select.EPOLLIN)
        self._multi: pycurl.CurlMulti = pycurl.CurlMulti()
        self._multi.setopt(pycurl.M_MAXCONNECTS, self._calls_max)
        self._multi.setopt(pycurl.M_SOCKETFUNCTION, self._watch)

    def _step(self) -> None:
        """Wait for events and handle them."""
        wakeup = self._wakeup_reader.fileno()
        for descriptor, events in self._epoll.poll(self._wait()):
            if descriptor == wakeup:
                self._wakeup_reader.recv(_WAKE_BYTES)
                self._wakeup_pending = False
                self._start_calls()
            else:
                self._multi.socket_action(descriptor, _as_curl_events(events))
        if self._multi.timeout() == 0:
            self._multi.socket_action(pycurl.SOCKET_TIMEOUT, 0)
        self._collect()
        self._end_bodiless()
        self._hand_over()

    def _wait(self) -> float | None:
        """Return for how many seconds nothing is due; None: nothing is at all.

        libcurl is asked each time. A callback would tell it after every call that ends.
        """
        milliseconds: int = self._multi.timeout()
        wait = None if milliseconds < 0 else milliseconds / 1000
        if not self._active and not self._over:
            return wait
        ours = _GATHER_SECONDS if self._over else _LOOK_SECONDS
        return ours if wait is None else min(wait, ours)

    def _start_calls(self) -> None:
        while self._to_start:
            self._start(self._to_start.popleft())

    def _start(self, call: HttpCall, *, fresh: bool = False) -> None:
        """Start *call*; *fresh*: on a new connection. If libcurl refuses it, the call is over."""
        transfer: Transfer | None = None
        try:
            transfer = (
                self._spare.pop() if self._spare else Transfer(self._limits, self._connections)
            )
            transfer.load(call, fresh=fresh)
            self._multi.add_handle(transfer.easy)
        except Exception as error:  # noqa: BLE001 - whatever it is, the call must be returned
            if transfer is not None:
                transfer.close()
            self._finished.put(
                [FinishedCall(call.call_id, NotReached(_start_problem(error)), timedelta())]
            )
        else:
            self._active[transfer.easy] = transfer

    def _collect(self) -> None:
        """Take the calls that are over; start those again whose kept connection was dead."""
        over = self._over
        were_over = len(over)
        stale: list[HttpCall] = []
        more = 1
        while more:
            more, done, failed = self._multi.info_read()
            for easy in done:
                self._active[easy].remember_connection()
                transfer, call = self._detach(easy)
                over.append(transfer.finished(call, transfer.response()))
                transfer.unload()
                self._spare.append(transfer)
            for easy, code, message in failed:
                transfer, call = self._detach(easy)
                if transfer.stale:
                    stale.append(call)
                else:
                    result = transfer.failure(code, message)
                    over.append(transfer.finished(call, result))
                transfer.close()
        if over and not were_over:
            self._hand_over_at = time.monotonic() + _GATHER_SECONDS
        for call in stale:
            self._start(call, fresh=True)

    def _end_bodiless(self) -> None:
        """End the calls whose response is whole while libcurl waits for a body; they are rare."""
        now = time.monotonic()
        if now < self._look_at:
            return
        self._look_at = now + _LOOK_SECONDS
        for transfer in [each for each in self._active.values() if each.is_whole]:
            _, call = self._detach(transfer.easy)
            self._over.append(transfer.finished(call, transfer.response()))
            transfer.close()

    def _hand_over(self) -> None:
        """Return the calls that are over, several at once where many are in flight.

        Each time wakes another thread, which takes as long as several calls.
        """
        if not self._over:
            return
        few = len(self._over) * _GATHERED_SHARE < len(self._active)
        if few and time.monotonic() < self._hand_over_at:
            return
        over, self._over = self._over, []
        self._finished.put(over)

    def _detach(self, easy: pycurl.Curl) -> tuple[Transfer, HttpCall]:
        transfer = self._active.pop(easy)
        assert transfer.call is not None, "an active transfer has a call"
        self._multi.remove_handle(easy)
        return transfer, transfer.call

    def _watch(self, events: int, descriptor: int, _multi: object, _data: object) -> None:
        """Watch a socket as libcurl wants: for reading, for writing, or no longer."""
        known = self._watched.pop(descriptor, None)
        wanted = _WATCHED.get(events)
        if wanted is None:
            if known is not None:
                self._epoll.unregister(descriptor)
            return
        if known is None:
            self._epoll.register(descriptor, wanted)
        elif known != wanted:
            self._epoll.modify(descriptor, wanted)
        self._watched[descriptor] = wanted

    def _start_over(self) -> None:
        """Return every open call as one without a response, and set everything up again."""
        over = [
            *self._over,
            *(_lost(each.call.call_id) for each in self._active.values() if each.call is not None),
        ]
        self._tear_down()
        self._finished.put(over)
        self._set_up()
        self._wakeup_pending = False
        if self._to_start:
            self.wake()

    def _tear_down(self) -> None:
        for transfer in self._active.values():
            with suppress(pycurl.error):  # it may be what failed
                self._multi.remove_handle(transfer.easy)
        for transfer in (*self._active.values(), *self._spare):
            transfer.close()
        self._active.clear()
        self._spare.clear()
        self._multi.close()
        self._epoll.close()


def _as_curl_events(events: int) -> int:
    """Translate epoll's events for libcurl. An error or a closed connection counts as both."""
    readable = bool(events & (select.EPOLLIN | _ERROR_EVENTS))
    writable = bool(events & (select.EPOLLOUT | _ERROR_EVENTS))
    return _READABLE * readable | _WRITABLE * writable


def _lost(call_id: int) -> FinishedCall:
    return FinishedCall(
        call_id, NoResponse("the HTTP client failed and was restarted"), timedelta()
    )


def _start_problem(error: Exception) -> str:
    """Describe why a call could not be started; a ValueError's text would repeat its bytes."""
    if isinstance(error, pycurl.error):
        return str(error.args[-1])
    if isinstance(error, CallRefused):
        return str(error)
    if isinstance(error, ValueError):
        return "the address or a header holds a character that cannot be sent"
    return f"the call could not be started ({type(error).__name__})"
