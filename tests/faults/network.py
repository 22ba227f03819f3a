"""The network between the processes of a trial and their servers, with a port for each line."""

import asyncio
import threading
from collections.abc import Coroutine, Iterator, Sequence
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final, Self, TypeVar

from tests.faults.proxy import Relay
from tests.faults.schedule import Place
from worker.local.servers.ports import LOOPBACK

CALL_SECONDS_MAX: Final = 60.0  # for the loop's thread to do what it is asked
LATENCY_SECONDS: Final = 2.0  # there and back
RESET_EVERY_SECONDS: Final = 0.25
ACCEPTED_SECONDS: Final = 0.05  # in which a client that connected before is accepted

Line = tuple[str, Place]  # from whom, and to where
EVERYBODY: Final = "everybody"
Result = TypeVar("Result")


@dataclass(slots=True)
class Network:
    """Lines that can be disturbed, kept by a thread of its own: `with Network() as network:`."""

    _relays: dict[Line, Relay] = field(default_factory=dict)
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
        """Close all connections."""
        for relay in self._relays.values():
            self._do(relay.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(CALL_SECONDS_MAX)
        self._loop.close()

    def lay(self, line: Line, host: str, port: int, *, near: str = LOOPBACK) -> int:
        """Lay a line to a server; the port at which it begins, on the address *near*."""

        async def begin() -> Relay:
            relay = Relay((host, port), near)
            relay.open()
            return relay

        self._relays[line] = self._do(begin())
        return self._relays[line].port

    @property
    def lines(self) -> AbstractSet[Line]:
        """All lines that were laid."""
        return self._relays.keys()

    @contextmanager
    def partition(self, lines: Sequence[Line]) -> Iterator[None]:
        """Nothing passes and connecting hangs; what was under way arrives afterwards."""
        relays = self._of(lines)

        async def undo() -> None:
            for relay in relays:
                relay.open()

        for relay in relays:
            self._do(relay.shut())
        yield
        self._do(undo())

    @contextmanager
    def half_open(self, lines: Sequence[Line]) -> Iterator[None]:
        """Connections, old and new, stay open and carry nothing, for good; later ones work."""
        relays = self._of(lines)

        async def silence() -> None:
            for relay in relays:
                relay.silencing = True
                relay.silence()

        async def undo() -> None:
            await asyncio.sleep(ACCEPTED_SECONDS)
            for relay in relays:
                relay.silencing = False

        self._do(silence())
        yield
        self._do(undo())

    @contextmanager
    def latency(self, lines: Sequence[Line]) -> Iterator[None]:
        """Question and answer need 2 s for the way."""
        self._delay(lines, LATENCY_SECONDS / 2)
        yield
        self._delay(lines, 0.0)

    @contextmanager
    def detour(self, line: Line, port: int) -> Iterator[None]:
        """Lead a line to another port meanwhile; nothing that is under way is broken off."""
        [relay] = self._of([line])
        straight = relay.server

        async def turn(server: tuple[str, int]) -> None:
            relay.server = server
            relay.retire()

        self._do(turn((straight[0], port)))
        yield
        self._do(turn(straight))

    @contextmanager
    def resets(self, lines: Sequence[Line]) -> Iterator[None]:
        """Reset all connections, and four times a second those that were opened since."""
        relays = self._of(lines)

        async def reset() -> None:
            while True:
                for relay in relays:
                    relay.reset()
                await asyncio.sleep(RESET_EVERY_SECONDS)

        resetting = asyncio.run_coroutine_threadsafe(reset(), self._loop)
        yield
        resetting.cancel()

    def _delay(self, lines: Sequence[Line], seconds: float) -> None:
        for relay in self._of(lines):
            relay.latency_seconds = seconds

    def _of(self, lines: Sequence[Line]) -> list[Relay]:
        return [self._relays[line] for line in lines]

    def _do(self, work: Coroutine[Any, Any, Result]) -> Result:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(CALL_SECONDS_MAX)
