"""The process that carries a trial's bytes: all its lines, and what is done to them."""

import asyncio
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Final

from tests.faults.proxy import Relay
from tests.faults.schedule import Place

RESET_EVERY_SECONDS: Final = 0.25
ACCEPTED_SECONDS: Final = 0.05  # in which a client that connected before is accepted

Line = tuple[str, Place]  # from whom, and to where


def keep(pipe: Connection) -> None:
    """Carry, and do what comes through *pipe*, until its other end is closed."""
    os.setsid()  # Linux shares the CPU among sessions first; Ctrl-C ends the trial, and the pipe
    asyncio.run(Relays().obey(pipe))


@dataclass(slots=True)
class Relays:
    """All lines of a network, and what can be done to them."""

    _relays: dict[Line, Relay] = field(default_factory=dict)
    _resetting: "asyncio.Task[None] | None" = None

    async def obey(self, pipe: Connection) -> None:
        """Do one thing after the other; each is answered with its result."""
        readable = asyncio.Event()
        asyncio.get_running_loop().add_reader(pipe.fileno(), readable.set)
        while True:
            await readable.wait()
            readable.clear()
            if not pipe.poll():  # the event came once more than there was to read
                continue
            try:
                work, words, options = pipe.recv()
            except EOFError:
                break
            pipe.send(await work(self, *words, **options))
        for relay in self._relays.values():
            await relay.close()

    async def lay(self, line: Line, server: tuple[str, int], near: str) -> int:
        """Begin to carry; the port at which the line begins."""
        relay = self._relays[line] = Relay(server, near)
        relay.open()
        return relay.port

    async def shut(self, lines: Sequence[Line]) -> None:
        """Carry nothing, and take no connection."""
        for relay in self._of(lines):
            await relay.shut()

    async def open(self, lines: Sequence[Line]) -> None:
        """Let all pass again."""
        for relay in self._of(lines):
            relay.open()

    async def silence(self, lines: Sequence[Line]) -> None:
        """Let nothing pass for good on the connections that exist and those that are opened."""
        for relay in self._of(lines):
            relay.silencing = True
            relay.silence()

    async def speak(self, lines: Sequence[Line]) -> None:
        """Let pass what comes on connections that are opened from now on."""
        await asyncio.sleep(ACCEPTED_SECONDS)
        for relay in self._of(lines):
            relay.silencing = False

    async def delay(self, lines: Sequence[Line], seconds: float) -> None:
        """Let each byte take so long, each way."""
        for relay in self._of(lines):
            relay.latency_seconds = seconds

    async def turn(self, line: Line, port: int) -> int:
        """Lead new connections to another port of the server; the port until now."""
        [relay] = self._of([line])
        host, until_now = relay.server
        relay.server = (host, port)
        relay.retire()
        return until_now

    async def begin_resets(self, lines: Sequence[Line]) -> None:
        """Reset all connections, now and every quarter of a second."""
        self._resetting = asyncio.create_task(self._reset_again(self._of(lines)))

    async def end_resets(self) -> None:
        """Reset no more."""
        assert self._resetting is not None, "it has begun"
        self._resetting.cancel()

    @staticmethod
    async def _reset_again(relays: Sequence[Relay]) -> None:
        while True:
            for relay in relays:
                relay.reset()
            await asyncio.sleep(RESET_EVERY_SECONDS)

    def _of(self, lines: Sequence[Line]) -> list[Relay]:
        return [self._relays[line] for line in lines]
