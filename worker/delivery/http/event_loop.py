"""The thread of the wire: one libcurl multi handle, woken by sockets, timers and new calls."""

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

from worker.delivery.http.exchange import FinishedCall, HttpCall, NoAnswer, NotReached
from worker.delivery.http.idle_connections import KeptConnections
from worker.delivery.http.transfer import Transfer, TransferLimits

log = logging.getLogger(__name__)

WIRE_BROKE: Final = "wire_broke"
_WAKE_BYTES: Final = 4096
_CLOSING_SECONDS_MAX: Final = 5.0  # libcurl waits for names that are still being resolved
_AFTER_BREAK_SECONDS: Final = 0.5
_READABLE: Final[int] = pycurl.CSELECT_IN
_WRITABLE: Final[int] = pycurl.CSELECT_OUT
_WATCHED: Final = {
    pycurl.POLL_IN: select.EPOLLIN,
    pycurl.POLL_OUT: select.EPOLLOUT,
    pycurl.POLL_INOUT: select.EPOLLIN | select.EPOLLOUT,
}
_BROKEN: Final = select.EPOLLERR | select.EPOLLHUP


class EventLoop(threading.Thread):
    """Starts the calls of *to_start* and puts those that are over, as they come, on *over*.

    Whatever goes wrong here, every call comes back: the calls of a loop that broke as unanswered.
    """

    def __init__(
        self,
        terms: TransferLimits,
        to_start: deque[HttpCall],
        over: SimpleQueue[list[FinishedCall]],
        *,
        calls_max: int,
    ) -> None:
        super().__init__(name="wire", daemon=True)
        self._terms = terms
        self._to_start = to_start
        self._over = over
        self._calls_max = calls_max
        self._closing = threading.Event()
        self._waking = False
        self._ear, self._bell = socket.socketpair()
        self._ear.settimeout(0)
        self._bell.settimeout(0)
        self._build()

    def wake(self) -> None:
        """Let the loop look at its new calls."""
        if not self._waking:  # one ring is enough until it was heard
            self._waking = True
            with suppress(BlockingIOError):  # full of rings unheard: it will look
                self._bell.send(b"!")

    def close(self) -> None:
        """Drop the calls that are open, and end."""
        self._closing.set()
        self._waking = False
        self.wake()
        self.join(_CLOSING_SECONDS_MAX)
        self._bell.close()
        self._ear.close()

    def run(self) -> None:
        """Go round until closed."""
        broken = False
        while not self._closing.is_set():
            try:
                if broken:
                    self._start_over()
                    broken = False
                self._turn()
            except Exception:
                log.exception(WIRE_BROKE, extra={"calls": len(self._carrying)})
                broken = True
                self._closing.wait(_AFTER_BREAK_SECONDS)
        self._dismantle()

    def _build(self) -> None:
        self._due: float | None = None  # when libcurl wants to be called without any event
        self._watched: dict[int, int] = {}  # sockets, and what libcurl wants to know of each
        self._carrying: dict[pycurl.Curl, Transfer] = {}
        self._idle: list[Transfer] = []
        self._kept = KeptConnections()
        self._epoll = select.epoll()
        self._epoll.register(self._ear, select.EPOLLIN)
        self._multi: pycurl.CurlMulti = pycurl.CurlMulti()
        self._multi.setopt(pycurl.M_MAXCONNECTS, self._calls_max)
        self._multi.setopt(pycurl.M_SOCKETFUNCTION, self._watch)
        self._multi.setopt(pycurl.M_TIMERFUNCTION, self._set_timer)

    def _turn(self) -> None:
        """Wait for something to do, and do it."""
        wait = None if self._due is None else max(0.0, self._due - time.monotonic())
        ear = self._ear.fileno()
        for descriptor, events in self._epoll.poll(wait):
            if descriptor == ear:
                self._ear.recv(_WAKE_BYTES)
                self._waking = False
                self._start_calls()
            else:
                self._multi.socket_action(descriptor, _heard(events))
        if self._due is not None and time.monotonic() >= self._due:
            self._due = None
            self._multi.socket_action(pycurl.SOCKET_TIMEOUT, 0)
        self._collect()

    def _start_calls(self) -> None:
        while self._to_start:
            self._start(self._to_start.popleft())

    def _start(self, call: HttpCall, *, fresh: bool = False) -> None:
        """Start *call*; *fresh*: on a new connection. Where that is refused, it is over."""
        transfer: Transfer | None = None
        try:
            transfer = self._idle.pop() if self._idle else Transfer(self._terms, self._kept)
            transfer.load(call, fresh=fresh)
            self._multi.add_handle(transfer.easy)
        except Exception as error:  # noqa: BLE001 - whatever it is, the call must come back
            if transfer is not None:
                transfer.close()
            self._over.put([FinishedCall(call.token, NotReached(_told(error)), timedelta())])
        else:
            self._carrying[transfer.easy] = transfer

    def _collect(self) -> None:
        over: list[FinishedCall] = []
        stale: list[HttpCall] = []
        more = 1
        while more:
            more, done, failed = self._multi.info_read()
            for easy in done:
                self._carrying[easy].remember_connection()
                transfer, call = self._taken_off(easy)
                over.append(FinishedCall(call.token, transfer.answer(), transfer.took))
                transfer.unload()
                self._idle.append(transfer)
            for easy, code, message in failed:
                transfer, call = self._taken_off(easy)
                if transfer.stale:
                    stale.append(call)
                else:
                    reply = transfer.failure(code, message)
                    over.append(FinishedCall(call.token, reply, transfer.took))
                transfer.close()
        if over:
            self._over.put(over)
        for call in stale:
            self._start(call, fresh=True)

    def _taken_off(self, easy: pycurl.Curl) -> tuple[Transfer, HttpCall]:
        transfer = self._carrying.pop(easy)
        assert transfer.call is not None, "what is carried was loaded"
        self._multi.remove_handle(easy)
        return transfer, transfer.call

    def _watch(self, events: int, descriptor: int, _multi: object, _data: object) -> None:
        """Watch a socket as libcurl wants: for what can be read, written, or no more at all."""
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

    def _set_timer(self, milliseconds: int) -> None:
        """Note when libcurl wants to be called without any event; -1: not at all."""
        self._due = None if milliseconds < 0 else time.monotonic() + milliseconds / 1000

    def _start_over(self) -> None:
        """Hand every open call back as unanswered and build everything anew."""
        open_calls = [one.call.token for one in self._carrying.values() if one.call is not None]
        self._dismantle()
        self._over.put([_lost(token) for token in open_calls])
        self._build()
        self._waking = False
        if self._to_start:
            self.wake()

    def _dismantle(self) -> None:
        for transfer in self._carrying.values():
            with suppress(pycurl.error):  # it may be what broke
                self._multi.remove_handle(transfer.easy)
        for transfer in (*self._carrying.values(), *self._idle):
            transfer.close()
        self._carrying.clear()
        self._idle.clear()
        self._multi.close()
        self._epoll.close()


def _heard(events: int) -> int:
    """Put epoll's events in libcurl's words. An error or a hang-up counts as both."""
    readable = bool(events & (select.EPOLLIN | _BROKEN))
    writable = bool(events & (select.EPOLLOUT | _BROKEN))
    return _READABLE * readable | _WRITABLE * writable


def _lost(token: int) -> FinishedCall:
    return FinishedCall(token, NoAnswer("the wire broke and was built anew"), timedelta())


def _told(error: Exception) -> str:
    """Put libcurl's refusal in words; a ValueError would repeat what was refused."""
    if isinstance(error, pycurl.error):
        return str(error.args[-1])
    if isinstance(error, ValueError):
        return "the address or a header holds a character that cannot be sent"
    return f"the call could not be started ({type(error).__name__})"
