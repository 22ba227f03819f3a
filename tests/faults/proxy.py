"""A TCP proxy that does to a line what networks do: reset, silence, latency, partition. No root.

Each port of it leads to one server. What happens to the bytes is decided per port.
"""

import asyncio
import socket
import struct
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Final, NoReturn

from worker.local.servers.ports import LOOPBACK

BYTES_MAX: Final = 1 << 20  # in one go
BACKLOG: Final = 128
FILLERS_MAX: Final = 8  # connections that fill a shut port's queue
QUEUE_FULL_SECONDS: Final = 0.05  # a connection that takes longer found the queue full
# A real line whose far end is gone is given up by the kernel, within 45 s by the settings of
# models/database/engine.py. A proxy's kernel answers for the dead, so the proxy closes instead.
UNSEEN_SECONDS_MAX: Final = 45.0
RESET: Final = struct.pack("ii", 1, 0)  # SO_LINGER: closing sends RST instead of FIN


@dataclass(eq=False, slots=True)
class Link:
    """One connection from a client, and the one to the server that belongs to it."""

    near: socket.socket
    far: socket.socket
    silent: bool = False  # nothing will ever pass again, and neither end is told
    answered: bool = False  # the last word was the server's
    reset_at_end: bool = True
    task: "asyncio.Task[None] | None" = None

    def close(self, *, reset: bool) -> None:
        """Close both sides."""
        for end in (self.near, self.far):
            if reset:
                with suppress(OSError):  # it may be closed
                    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            end.close()


@dataclass(eq=False, slots=True)
class Relay:
    """One port before one server. All methods but `port` belong to the loop's thread."""

    server: tuple[str, int]
    host: str = LOOPBACK  # where it is found itself
    latency_seconds: float = 0.0  # each way
    silencing: bool = False  # of a connection that opens now, no byte arrives
    listener: socket.socket = field(init=False)
    _flowing: asyncio.Event = field(init=False, default_factory=asyncio.Event)
    links: set[Link] = field(init=False, default_factory=set)
    _fillers: list[socket.socket] = field(init=False, default_factory=list)
    _accepting: "asyncio.Task[None] | None" = field(init=False, default=None)

    def __post_init__(self) -> None:
        """Take a free port; nobody is let in before `open`."""
        self.listener = socket.create_server((self.host, 0), backlog=BACKLOG)
        self.listener.settimeout(0)

    @property
    def port(self) -> int:
        """Where clients find it."""
        return int(self.listener.getsockname()[1])

    def open(self) -> None:
        """Let clients in, and bytes through."""
        while self._fillers:
            self._fillers.pop().close()
        self.listener.listen(BACKLOG)
        self._flowing.set()
        if self._accepting is None:
            self._accepting = asyncio.create_task(self._accept())

    async def shut(self) -> None:
        """Partition: no byte passes, and connecting hangs as if nobody was there."""
        self._flowing.clear()
        self.listener.listen(0)
        while len(self._fillers) < FILLERS_MAX and await self._one_more():
            continue

    def silence(self) -> None:
        """Half-open: the connections that exist stay open, and nothing passes any more."""
        for link in self.links:
            if not link.silent:
                self._silence(link)

    def reset(self) -> None:
        """Reset all connections, but those whose ends do not hear from each other."""
        for link in self.links:
            if link.task is not None and not link.silent:
                link.task.cancel()

    def retire(self) -> None:
        """Close, as a server does, the connections that wait for nothing: the client may look."""
        for link in self.links:
            if link.task is not None and link.answered and not link.silent:
                link.reset_at_end = False
                link.task.cancel()

    async def close(self) -> None:
        """End everything."""
        tasks = [link.task for link in self.links if link.task is not None]
        if self._accepting is not None:
            tasks.append(self._accepting)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for end in (*self._fillers, self.listener):
            end.close()

    async def _one_more(self) -> bool:
        """Stand in the queue; False: it is full."""
        waiting = socket.socket()
        waiting.settimeout(0)
        self._fillers.append(waiting)
        try:
            async with asyncio.timeout(QUEUE_FULL_SECONDS):
                await asyncio.get_running_loop().sock_connect(waiting, (self.host, self.port))
        except TimeoutError:
            return _is_connected(waiting)  # on a busy machine this may be what took so long
        return True

    async def _accept(self) -> None:
        while True:
            await self._flowing.wait()
            near, _ = await asyncio.get_running_loop().sock_accept(self.listener)
            link = Link(near, socket.socket())
            self.links.add(link)
            link.task = asyncio.create_task(self._keep(link))
            # Also closes a link whose task is cancelled before its first step.
            link.task.add_done_callback(partial(self._end, link))
            if self.silencing:
                self._silence(link)

    def _silence(self, link: Link) -> None:
        link.silent = True
        if link.task is not None:
            asyncio.get_running_loop().call_later(UNSEEN_SECONDS_MAX, link.task.cancel)

    async def _keep(self, link: Link) -> None:
        """Carry bytes both ways until both ends are done; an error on one side resets the other."""
        try:
            for end in (link.near, link.far):
                end.settimeout(0)
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await self._passage(link)
            await asyncio.get_running_loop().sock_connect(link.far, self.server)
            async with asyncio.TaskGroup() as both:
                both.create_task(self._carry(link, link.near, link.far))
                both.create_task(self._carry(link, link.far, link.near))
            link.reset_at_end = False
        except* OSError:  # the server is away, or one of them reset its connection
            pass

    def _end(self, link: Link, _task: "asyncio.Task[None]") -> None:
        link.close(reset=link.reset_at_end)
        self.links.discard(link)

    async def _carry(self, link: Link, source: socket.socket, sink: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                data: bytes | None = await loop.sock_recv(source, BYTES_MAX)
            except OSError:
                data = None  # the other side hears of it when it could
            await self._passage(link)
            if data is None:
                raise ConnectionResetError
            if not data:
                sink.shutdown(socket.SHUT_WR)
                return
            link.answered = source is link.far
            await loop.sock_sendall(sink, data)

    async def _passage(self, link: Link) -> None:
        """Return when what is in hand may pass: late, much later, or never."""
        if self.latency_seconds:
            await asyncio.sleep(self.latency_seconds)
        await self._flowing.wait()
        if link.silent:
            await _never()


def _is_connected(client: socket.socket) -> bool:
    try:
        client.getpeername()
    except OSError:
        return False
    return True


async def _never() -> NoReturn:
    """Until the task is cancelled."""
    while True:
        await asyncio.Event().wait()
