"""The network between the processes of a trial and their servers, with a port for each line."""

import asyncio
import threading
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final, Self, TypeVar

from tests.faults.proxy import Door
from tests.faults.schedule import Place
from worker.local.servers.ports import LOOPBACK

CALL_SECONDS_MAX: Final = 10.0  # for the loop's thread to do what it is asked
LATENCY_SECONDS: Final = 2.0  # there and back
RESET_EVERY_SECONDS: Final = 0.25
ACCEPTED_SECONDS: Final = 0.05  # who called before a mend is let in within it

Line = tuple[str, Place]  # from whom, and to where
EVERYBODY: Final = "everybody"
Result = TypeVar("Result")


@dataclass(slots=True)
class Network:
    """Lines that can be disturbed, kept by a thread of its own: `with Network() as network:`."""

    _doors: dict[Line, Door] = field(default_factory=dict)
    _loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)
    _thread: threading.Thread = field(init=False)

    def __post_init__(self) -> None:
        """Prepare the thread; it begins with the block."""
        self._thread = threading.Thread(target=self._loop.run_forever, name="network", daemon=True)

    def __enter__(self) -> Self:
        """Begin to carry."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Hang up everywhere."""
        for door in self._doors.values():
            self._do(door.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(CALL_SECONDS_MAX)
        self._loop.close()

    def lay(self, line: Line, host: str, port: int, *, near: str = LOOPBACK) -> int:
        """Lay a line to a server; the port at which it begins, on the address *near*."""

        async def begin() -> Door:
            door = Door((host, port), near)
            door.open()
            return door

        self._doors[line] = self._do(begin())
        return self._doors[line].port

    @contextmanager
    def partition(self, lines: Sequence[Line]) -> Iterator[None]:
        """Nothing passes and connecting hangs; what was under way arrives afterwards."""
        doors = self._of(lines)

        async def mend() -> None:
            for door in doors:
                door.open()

        for door in doors:
            self._do(door.shut())
        yield
        self._do(mend())

    @contextmanager
    def half_open(self, lines: Sequence[Line]) -> Iterator[None]:
        """Connections, old and new, stay open and carry nothing, for good; later ones work."""
        doors = self._of(lines)

        async def silence() -> None:
            for door in doors:
                door.silencing = True
                door.silence()

        async def mend() -> None:
            await asyncio.sleep(ACCEPTED_SECONDS)
            for door in doors:
                door.silencing = False

        self._do(silence())
        yield
        self._do(mend())

    @contextmanager
    def latency(self, lines: Sequence[Line]) -> Iterator[None]:
        """Question and answer need 2 s for the way."""
        self._delay(lines, LATENCY_SECONDS / 2)
        yield
        self._delay(lines, 0.0)

    @contextmanager
    def detour(self, line: Line, port: int) -> Iterator[None]:
        """Lead a line to another port meanwhile; nothing that is under way is broken off."""
        [door] = self._of([line])
        straight = door.server

        async def turn(server: tuple[str, int]) -> None:
            door.server = server
            door.retire()

        self._do(turn((straight[0], port)))
        yield
        self._do(turn(straight))

    @contextmanager
    def resets(self, lines: Sequence[Line]) -> Iterator[None]:
        """Reset all connections, and four times a second those that are made anew."""
        doors = self._of(lines)

        async def reset() -> None:
            while True:
                for door in doors:
                    door.reset()
                await asyncio.sleep(RESET_EVERY_SECONDS)

        resetting = asyncio.run_coroutine_threadsafe(reset(), self._loop)
        yield
        resetting.cancel()

    def _delay(self, lines: Sequence[Line], seconds: float) -> None:
        for door in self._of(lines):
            door.latency_seconds = seconds

    def _of(self, lines: Sequence[Line]) -> list[Door]:
        return [self._doors[line] for line in lines]

    def _do(self, work: Coroutine[Any, Any, Result]) -> Result:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(CALL_SECONDS_MAX)
